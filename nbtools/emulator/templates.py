"""NotebookService: runtime templates. Remembered, found in order; what one says of the
environment reaches the kernels of the jobs that name it, the rest has no effect here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

from nbtools.emulator import etags, names, operations, paging, records, selection, specs, wire
from nbtools.emulator.call import Call, Handler, Refused
from nbtools.resources import Resource

TYPE: Final = "NotebookRuntimeTemplate"
COLLECTION: Final = specs.TEMPLATES
SHORTEST: Final = 600  #: seconds of idle_timeout, as documented: 10 minutes
LONGEST: Final = 86_400  #: likewise: a day
FIELDS: Final = {
    "notebook_runtime_template": selection.Field(selection.id_of, ("=", "!="), is_id=True),
    "display_name": selection.Field(lambda m: m.display_name, ("=", "!=")),
    "labels": selection.Field(lambda m: m.labels, ("=", ":")),
    "notebook_runtime_type": selection.Field(
        selection.word_of("notebook_runtime_type"), ("=", "!=")
    ),
    "machine_type": selection.Field(lambda m: m.machine_spec.machine_type, ("=", "!=")),
    "accelerator_type": selection.Field(
        lambda m: selection.word_of("accelerator_type")(m.machine_spec), ("=", "!=")
    ),
}
ORDERS: Final = ("display_name", "create_time", "update_time")
#: the one path that an update may name.
CHANGEABLE: Final = "encryption_spec.kms_key_name"


def create(call: Call, request: Any) -> Any:
    (location,) = names.ids(request.parent)
    sent = request.notebook_runtime_template
    _check(sent)
    asked = request.notebook_runtime_template_id
    id_ = names.new_id(asked, TYPE) if asked else str(uuid4().int % 10**18)
    kept = type(sent)()
    kept.CopyFrom(sent)
    kept.is_default = False  # for output only, as is what follows from it
    kept.notebook_runtime_type = kept.notebook_runtime_type or 1  # USER_DEFINED
    kept.euc_config.ClearField("bypass_actas_check")
    new = Resource(
        name=f"{COLLECTION}/{id_}",
        type=TYPE,
        display_name=sent.display_name,
        record=wire.record(kept),
    )
    answer = wire.message(call, call.store.resources.add(new, call.now), location)
    progress = call.new("CreateNotebookRuntimeTemplateOperationMetadata")
    return operations.done(call, answer.name, answer, progress)


def _check(sent: Any) -> None:
    specs.check_name(sent, required=True)
    records.labels(sent.labels)
    specs.check_machine(sent.machine_spec)
    specs.check_disk(sent.data_persistent_disk_spec)
    specs.check_network(sent.network_spec)
    specs.check_software(sent.software_config)
    idle = sent.idle_shutdown_config
    shuts_down = sent.HasField("idle_shutdown_config") and not idle.idle_shutdown_disabled
    seconds = idle.idle_timeout.seconds
    if shuts_down and (not SHORTEST <= seconds <= LONGEST or seconds % 60):
        raise Refused(
            "INVALID_ARGUMENT",
            f"idle_timeout is {SHORTEST} to {LONGEST} seconds, in whole minutes: not {seconds}",
        )


def get(call: Call, request: Any) -> Any:
    found = specs.template(call, request.name)
    return wire.message(call, found, names.split(request.name)[0])


def list_(call: Call, request: Any) -> Any:
    (location,) = names.ids(request.parent)
    page = paging.page(request, call.now, default=100, most=1000)
    there = page.old(call.store.resources.select(TYPE))
    made = [wire.message(call, resource, location) for resource in there]
    found = selection.matching(made, request.filter, request.order_by, FIELDS, ORDERS)
    here, token = page.cut(found)
    return call.new(
        "ListNotebookRuntimeTemplatesResponse",
        notebook_runtime_templates=[wire.masked(one, request.read_mask) for one in here],
        next_page_token=token,
    )


def update(call: Call, request: Any) -> Any:
    sent = request.notebook_runtime_template
    old = specs.template(call, sent.name)
    etags.check(TYPE, old.etag, sent.etag)
    paths = list(request.update_mask.paths)
    if paths not in ([CHANGEABLE], ["encryption_spec"]):
        raise Refused("INVALID_ARGUMENT", f"update_mask is {CHANGEABLE}: nothing else changes")
    spec = {"kms_key_name": sent.encryption_spec.kms_key_name}
    new = replace(old, record={**old.record, "encryption_spec": spec})
    location = names.split(sent.name)[0]
    return wire.message(call, call.store.resources.put(new, call.now), location)


def delete(call: Call, request: Any) -> Any:
    """Jobs and schedules that name it have taken from it what they need."""
    call.store.resources.remove(specs.template(call, request.name).name)
    return operations.done(call, request.name)


HANDLERS: Mapping[str, Handler] = {
    "NotebookService.CreateNotebookRuntimeTemplate": create,
    "NotebookService.GetNotebookRuntimeTemplate": get,
    "NotebookService.ListNotebookRuntimeTemplates": list_,
    "NotebookService.UpdateNotebookRuntimeTemplate": update,
    "NotebookService.DeleteNotebookRuntimeTemplate": delete,
}
