"""MetadataService: contexts, executions and artifacts, each alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from nbtools import contents, filters, removal
from nbtools.emulator import etags, names, operations, paging, records
from nbtools.emulator.call import Call, Handler, Refused
from nbtools.grammar import Reader
from nbtools.nouns import Context, Execution, Job
from nbtools.rows import Record
from nbtools.terms import Comparison, Field, Filter, Group, Text, Time, Tree

#: names in the answer of a purge that was not carried out.
SAMPLE: Final = 100


def shown(call: Call, found: list[Record], store: str) -> list[Any]:
    """Records as messages, contexts with their parents."""
    parents: dict[str, list[str]] = {}
    if found and isinstance(found[0], Context):
        for parent, child in contents.pairs(
            call.store, "children", "child", [record.name for record in found]
        ):
            parents.setdefault(child, []).append(parent)
    return [records.message(call, r, store, parents.get(r.name)) for r in found]


def create(kind: type[Record], call: Call, request: Any) -> Any:
    noun = kind.__name__.lower()
    store = names.metadata_store(request.parent)
    id_ = names.new_id(getattr(request, f"{noun}_id"), noun.capitalize())
    sent = getattr(request, noun)
    new = call.store.add(records.created(kind, id_, sent), call.now)
    if isinstance(new, Context) and sent.parent_contexts:
        raise Refused("INVALID_ARGUMENT", "parent_contexts is output only: add the children")
    return shown(call, [new], store)[0]


def get(kind: type[Record], call: Call, request: Any) -> Any:
    store, _ = names.in_store(request.name, records.COLLECTIONS[kind])
    return shown(call, [records.find(call, kind, request.name)], store)[0]


def list_(kind: type[Record], call: Call, request: Any) -> Any:
    store = names.metadata_store(request.parent)
    page = paging.page(request, call.now, default=100, most=1000, strict=True)
    wanted = _until(filters.parse(request.filter, kind), page)

    def read(limit: int, offset: int) -> list[Record]:
        return call.store.select(
            kind, filter=wanted, order_by=request.order_by, limit=limit, offset=offset
        )

    found, token = page.fetched(read)
    answer = call.new(f"List{kind.__name__}sResponse", next_page_token=token)
    getattr(answer, records.COLLECTIONS[kind]).extend(shown(call, found, store))
    return answer


def update(kind: type[Record], call: Call, request: Any) -> Any:
    noun = kind.__name__.lower()
    sent = getattr(request, noun)
    store, id_ = names.in_store(sent.name, records.COLLECTIONS[kind])
    old = call.store.find(kind, id_)
    if old is None or old.schema_title == records.HIDDEN:
        if not request.allow_missing:
            raise records.missing(kind, store, id_)
        names.new_id(id_, noun.capitalize())
        new = call.store.add(records.created(kind, id_, sent), call.now)
        return shown(call, [new], store)[0]
    etags.check(kind.__name__, old.etag, sent.etag)
    paths = list(request.update_mask.paths)
    fields = records.populated(sent) if paths in ([], ["*"]) else paths
    if isinstance(old, Execution):
        changed: Any = records.changed(old, sent, fields)
        _need_no_job(old, changed)
    new = call.store.amend(kind, id_, lambda was: records.changed(was, sent, fields), call.now)
    return shown(call, [new], store)[0]


def _need_no_job(old: Execution, new: Execution) -> None:
    """Refuse to change what nbtools knows of a job."""
    own = ("state", "metadata", "schema_title", "schema_version")
    if Job.is_in(old) and any(getattr(new, name) != getattr(old, name) for name in own):
        raise Refused(
            "FAILED_PRECONDITION",
            f"{old.name} is a job of nbtools, which alone says how it stands: its display_name, "
            "description and labels can be changed",
        )


def delete(kind: type[Record], call: Call, request: Any) -> Any:
    found = records.find(call, kind, request.name)
    etags.check(kind.__name__, found.etag, request.etag, "FAILED_PRECONDITION")
    removal.remove(call.store, kind, found.name)
    return operations.done(call, request.name)


def purge(kind: type[Record], call: Call, request: Any) -> Any:
    store = names.metadata_store(request.parent)
    if not request.filter.strip():
        raise Refused("INVALID_ARGUMENT", "a purge needs a filter that says what to delete")
    wanted = _visible(filters.parse(request.filter, kind))
    found = [record.name for record in call.store.select(kind, filter=wanted)]
    plural = f"{kind.__name__}s"
    answer = call.new(f"Purge{plural}Response", purge_count=len(found))
    if request.force:
        for name in found:
            removal.remove(call.store, kind, name)
    else:
        collection = records.COLLECTIONS[kind]
        answer.purge_sample.extend(f"{store}/{collection}/{name}" for name in found[:SAMPLE])
    return operations.done(call, store, answer, call.new(f"Purge{plural}Metadata"))


def _visible(wanted: Filter) -> Filter:
    """With what no client sees left out."""
    if wanted.kind is not Context:
        return wanted
    hidden = Comparison(Field("schema_title", "text"), "!=", Text((records.HIDDEN,)))
    return replace(wanted, tree=_both(wanted.tree, hidden))


def _until(wanted: Filter, page: paging.Page) -> Filter:
    """With what was added after the list's first page left out.

    Not on that page itself: there a record is whatever its clock said.
    """
    if page.is_first:
        return _visible(wanted)
    text = page.time.isoformat()
    moment = Reader(f'create_time <= "{text}"', wanted.kind).restriction()
    assert isinstance(moment, Comparison)
    assert isinstance(moment.value, Time)
    return replace(_visible(wanted), tree=_both(_visible(wanted).tree, moment))


def _both(tree: Tree, other: Tree) -> Tree:
    return Group("AND", (tree, other))


_VERBS: Final[tuple[tuple[str, str, Callable[..., Any]], ...]] = (
    ("Create", "", create),
    ("Get", "", get),
    ("List", "s", list_),
    ("Update", "", update),
    ("Delete", "", delete),
    ("Purge", "s", purge),
)
HANDLERS: Mapping[str, Handler] = {
    f"MetadataService.{verb}{kind.__name__}{plural}": partial(handler, kind)
    for kind in records.COLLECTIONS
    for verb, plural, handler in _VERBS
}
