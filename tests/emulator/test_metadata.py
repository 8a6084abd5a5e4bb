"""Contexts, executions and artifacts, through the SDK's own clients."""

import math
from datetime import UTC, datetime

import pytest
from google.api_core import exceptions
from google.cloud.aiplatform_v1 import types
from google.protobuf import field_mask_pb2

from nbtools.nouns import RUN, Artifact, Context

KINDS = {
    "context": types.Context,
    "execution": types.Execution,
    "artifact": types.Artifact,
}


@pytest.fixture
def make(clients):
    def make(kind="context", id_="", **values):
        values = {"schema_title": "system.Dataset", "display_name": id_, **values}
        return getattr(clients.metadata, f"create_{kind}")(
            parent=clients.store, **{kind: KINDS[kind](**values), f"{kind}_id": id_}
        )

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_is_said_of_a_record_comes_back(make, clients, kind):
    metadata = {"n": 1, "x": 0.5, "s": "text", "b": True, "none": None, "l": [1, {"k": "v"}]}
    made = make(
        kind,
        "one",
        display_name="One Ü",
        description="what it is",
        labels={"team": "vision", "größe": "1"},
        schema_version="0.0.2",
        metadata=metadata,
    )
    found = getattr(clients.metadata, f"get_{kind}")(name=made.name)
    assert found == made
    assert found.name == f"{clients.store}/{kind}s/one"
    assert (found.display_name, found.description) == ("One Ü", "what it is")
    assert (found.schema_title, found.schema_version) == ("system.Dataset", "0.0.2")
    assert dict(found.labels) == {"team": "vision", "größe": "1"}
    assert types.Context.to_dict(types.Context(metadata=found.metadata))["metadata"] == metadata
    assert found.create_time == found.update_time
    assert abs((found.create_time - datetime.now(UTC)).total_seconds()) < 60
    assert found.etag == "1000000000001"


def test_whole_numbers_are_doubles_on_the_wire(make, emulator):
    made = make(id_="one", metadata={"n": 3})
    assert isinstance(made.metadata["n"], float)
    assert emulator.store.get(Context, "one").metadata == {"n": 3.0}


def test_an_id_is_made_where_none_is_said(make):
    first, second = make("artifact"), make("artifact")
    assert first.name != second.name
    assert len(first.name.rpartition("/")[2]) == 36


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_there_is_not_made_again(make, kind):
    make(kind, "one")
    with pytest.raises(exceptions.Conflict, match="'one'"):
        make(kind, "one")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_there_is_not_found(clients, kind):
    name = f"{clients.store}/{kind}s/none"
    with pytest.raises(exceptions.NotFound, match=name):
        getattr(clients.metadata, f"get_{kind}")(name=name)
    with pytest.raises(exceptions.NotFound, match=name):
        getattr(clients.metadata, f"delete_{kind}")(name=name)
    with pytest.raises(exceptions.NotFound, match=name):
        getattr(clients.metadata, f"update_{kind}")(**{kind: KINDS[kind](name=name)})


@pytest.mark.parametrize(
    "values",
    [
        {"display_name": "x" * 129},
        {"labels": {"Team": "x"}},
        {"labels": {"team": "x y"}},
        {"labels": {"k" * 65: "x"}},
        {"labels": {f"k{n}": "x" for n in range(65)}},
        {"metadata": {"text": "x" * 205_000}},
        {"schema_title": RUN, "display_name": "other"},
        {"schema_title": RUN, "display_name": "one", "metadata": {"_state": "DREAMING"}},
        {"schema_title": RUN, "display_name": "one", "metadata": {"_params": [1]}},
    ],
)
def test_what_is_beyond_the_limits_is_refused(make, emulator, values):
    with pytest.raises(exceptions.BadRequest):
        make(id_="exp-one", **values)
    assert emulator.store.select(Context) == []


@pytest.mark.parametrize("id_", ["-a", "A", "a_b", "ä", "a" * 129, "a.b"])
def test_ids_are_small_letters_digits_and_hyphens(make, id_):
    with pytest.raises(exceptions.BadRequest, match="Invalid Context ID"):
        make(id_=id_)


# -- changing ----------------------------------------------------------------------------


def update(clients, context, *paths, **more):
    mask = field_mask_pb2.FieldMask(paths=paths) if paths else None
    return clients.metadata.update_context(
        request={"context": context, "update_mask": mask, **more}
    )


def test_without_a_mask_what_is_said_is_changed(make, clients):
    made = make(id_="one", description="old", metadata={"a": 1, "b": 2})
    name = made.name
    found = update(clients, types.Context(name=name, metadata={"a": 5}))
    assert dict(found.metadata) == {"a": 5.0}
    assert (found.description, found.display_name) == ("old", "one")
    assert found.etag == "1000000000002"
    assert found.update_time > found.create_time


def test_a_mask_says_what_is_changed_and_what_is_emptied(make, clients):
    made = make(id_="one", description="old", metadata={"a": 1}, labels={"k": "v"})
    sent = types.Context(name=made.name, metadata={"a": 5}, display_name="new")
    found = update(clients, sent, "display_name", "labels", "description")
    assert (found.display_name, found.description, dict(found.labels)) == ("new", "", {})
    assert dict(found.metadata) == {"a": 1.0}


@pytest.mark.parametrize("path", ["create_time", "parent_contexts", "name", "metadata.a"])
def test_a_mask_of_what_does_not_change_is_refused(make, clients, path):
    made = make(id_="one")
    with pytest.raises(exceptions.BadRequest, match=f"no path {path!r}"):
        update(clients, types.Context(name=made.name), path)


def test_an_etag_that_is_old_stops_an_update(make, clients):
    made = make(id_="one", metadata={"a": 1})
    update(clients, types.Context(name=made.name, metadata={"a": 2}, etag=made.etag))
    with pytest.raises(exceptions.Conflict) as caught:
        update(clients, types.Context(name=made.name, metadata={"a": 3}, etag=made.etag))
    said = "Specified Context `etag`: `1000000000001` does not match server `etag`: `1000000000002`"
    assert said in caught.value.message
    assert clients.metadata.get_context(name=made.name).metadata["a"] == 2


def test_an_update_that_changes_nothing_keeps_the_etag(make, clients):
    made = make(id_="one", metadata={"a": 1})
    assert update(clients, made).etag == made.etag


def test_allow_missing_makes_what_is_not_there(clients):
    name = f"{clients.store}/contexts/fresh"
    sent = types.Context(name=name, schema_title="system.Dataset", display_name="f")
    assert update(clients, sent, allow_missing=True).name == name
    with pytest.raises(exceptions.BadRequest, match="Invalid Context ID"):
        update(clients, types.Context(name=f"{clients.store}/contexts/Fr"), allow_missing=True)


def test_states_are_the_clients_own(make, clients):
    made = make("execution", "one", state=types.Execution.State.RUNNING)
    made.state = types.Execution.State.CACHED
    assert clients.metadata.update_execution(execution=made).state == made.state
    artifact = make("artifact", "two", uri="gs://b/x", state=types.Artifact.State.PENDING)
    assert (artifact.uri, artifact.state) == ("gs://b/x", types.Artifact.State.PENDING)


def test_whole_numbers_of_our_runs_survive_an_update_of_theirs(clients, emulator):
    now = datetime.now(UTC)
    ours = {
        "_experiment": "e",
        "_state": "RUNNING",
        "_params": {"n": 3, "deep": [1, {"m": 2}], "big": 2**60 + 1},
    }
    ours["_metrics"] = {"loss": math.nan, "up": math.inf}
    run = Context(name="e-r", schema_title=RUN, display_name="r", metadata=ours)
    emulator.store.add(run, now)
    found = clients.metadata.get_context(name=f"{clients.store}/contexts/e-r")
    assert found.metadata["_metrics"]["loss"] == "NaN"
    found.metadata["_params"]["more"] = 1.5
    update(clients, found)
    kept = emulator.store.get(Context, "e-r").metadata
    assert kept["_params"] == {"n": 3, "deep": [1, {"m": 2}], "big": 2**60 + 1, "more": 1.5}
    assert isinstance(kept["_params"]["n"], int)
    assert isinstance(kept["_params"]["deep"][1]["m"], int)
    assert math.isnan(kept["_metrics"]["loss"])
    assert kept["_metrics"]["up"] == math.inf


# -- deleting ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_deleted_is_gone(make, clients, kind):
    made = make(kind, "one")
    operation = getattr(clients.metadata, f"delete_{kind}")(name=made.name)
    operation.result(timeout=10)
    assert operation.done()
    with pytest.raises(exceptions.NotFound):
        getattr(clients.metadata, f"get_{kind}")(name=made.name)


def test_an_etag_that_is_old_stops_a_deletion(make, clients):
    made = make("artifact", "one")
    with pytest.raises(exceptions.BadRequest, match="does not match"):
        clients.metadata.delete_artifact(request={"name": made.name, "etag": "7"})
    clients.metadata.delete_artifact(request={"name": made.name, "etag": made.etag}).result()


def test_a_purge_shows_what_it_would_delete_and_deletes_it_when_forced(make, clients, emulator):
    for number in range(5):
        make("artifact", f"old-{number}", metadata={"n": number})
    make("artifact", "new", schema_title="system.Model")
    wanted = {"parent": clients.store, "filter": 'schema_title = "system.Dataset"'}
    operation = clients.metadata.purge_artifacts(request=wanted)
    shown = operation.result()
    assert shown.purge_count == 5
    assert f"{clients.store}/artifacts/old-3" in shown.purge_sample
    assert isinstance(operation.metadata, types.PurgeArtifactsMetadata)
    assert len(emulator.store.select(Artifact)) == 6
    done = clients.metadata.purge_artifacts(request={**wanted, "force": True}).result()
    assert (done.purge_count, list(done.purge_sample)) == (5, [])
    assert [a.name for a in emulator.store.select(Artifact)] == ["new"]


@pytest.mark.parametrize("filter", ["", "  ", "color = 1"])
def test_a_purge_without_a_filter_that_is_understood_deletes_nothing(
    make, clients, emulator, filter
):
    make("execution", "one")
    with pytest.raises(exceptions.BadRequest):
        clients.metadata.purge_executions(
            request={"parent": clients.store, "filter": filter, "force": True}
        )
    assert clients.metadata.get_execution(name=f"{clients.store}/executions/one")


# -- listing -----------------------------------------------------------------------------


def names(found):
    return [one.name.rpartition("/")[2] for one in found]


def test_pages_hold_every_record_once_while_others_are_added(make, clients):
    for number in range(25):
        make(id_=f"c{number:02}")
    asked = {"parent": clients.store, "page_size": 10}
    seen, token = [], ""
    for number in range(3):
        page = clients.metadata.transport.list_contexts(
            types.ListContextsRequest(**asked, page_token=token)
        )
        seen += names(page.contexts)
        token = page.next_page_token
        make(id_=f"later-{number}")
    assert token == ""
    assert seen == [f"c{number:02}" for number in reversed(range(25))]
    assert len(list(clients.metadata.list_contexts(request=asked))) == 28


def test_a_page_of_another_list_is_refused(make, clients):
    for number in range(3):
        make(id_=f"c{number}")
    listing = clients.metadata.transport.list_contexts
    first = listing(types.ListContextsRequest(parent=clients.store, page_size=1))
    for wrong in (
        {"page_token": first.next_page_token, "order_by": "name"},
        {"page_token": "bm90IG91cnM="},
        {"page_token": "!!"},
        {"page_size": -1},
        {"page_size": 1001},
    ):
        with pytest.raises(exceptions.BadRequest):
            listing(types.ListContextsRequest(parent=clients.store, **wrong))


def test_filters_and_orders_are_vertex_ais(make, clients):
    for number in range(4):
        make("artifact", f"a{number}", metadata={"n": number}, uri=f"gs://b/{number % 2}")

    def listed(filter, order_by="name"):
        asked = {"parent": clients.store, "filter": filter, "order_by": order_by}
        return names(clients.metadata.list_artifacts(request=asked))

    assert listed("metadata.n.number_value >= 2") == ["a2", "a3"]
    assert listed('uri = "gs://b/1" OR display_name = "a0"', "name desc") == ["a3", "a1", "a0"]
    assert listed(f'name = "{clients.store}/artifacts/a1"') == ["a1"]
    assert listed('state = LIVE AND NOT display_name = "a*"') == []
    assert listed("", "metadata.n.number_value desc") == ["a3", "a2", "a1", "a0"]
    for wrong in ("metadata.n.number_value >", 'colour = "red"', "display_name"):
        with pytest.raises(exceptions.BadRequest):
            listed(wrong)


def test_in_context_and_parents_are_filters(make, clients):
    outer, inner = make(id_="outer"), make(id_="inner")
    inside, _ = make("artifact", "inside"), make("artifact", "outside")
    clients.metadata.add_context_children(context=outer.name, child_contexts=[inner.name])
    clients.metadata.add_context_artifacts_and_executions(
        context=inner.name, artifacts=[inside.name]
    )
    asked = {"parent": clients.store, "filter": f'in_context("{inner.name}")'}
    assert names(clients.metadata.list_artifacts(request=asked)) == ["inside"]
    asked["filter"] = f'parent_contexts:"{outer.name}"'
    assert names(clients.metadata.list_contexts(request=asked)) == ["inner"]
    asked["filter"] = f'child_contexts:"{inner.name}"'
    assert names(clients.metadata.list_contexts(request=asked)) == ["outer"]


# -- stores and schemas ------------------------------------------------------------------


def test_there_is_one_store(clients):
    found = clients.metadata.get_metadata_store(name=clients.store)
    assert found.name == clients.store
    assert found.state.disk_utilization_bytes > 0
    assert [s.name for s in clients.metadata.list_metadata_stores(parent=clients.parent)] == [
        clients.store
    ]
    create = clients.metadata.create_metadata_store
    with pytest.raises(exceptions.Conflict):
        create(parent=clients.parent, metadata_store={}, metadata_store_id="default")
    with pytest.raises(exceptions.MethodNotImplemented):
        create(parent=clients.parent, metadata_store={}, metadata_store_id="other")
    with pytest.raises(exceptions.BadRequest, match="nbtools"):
        clients.metadata.delete_metadata_store(name=clients.store)
    with pytest.raises(exceptions.NotFound):
        clients.metadata.list_contexts(parent=f"{clients.parent}/metadataStores/other")


def test_schemas_are_kept_by_title_and_version(clients):
    def create(title="my.Data", version="1.0.0", id_=""):
        schema = types.MetadataSchema(
            schema=f"title: {title}\ntype: object\n",
            schema_version=version,
            schema_type=types.MetadataSchema.MetadataSchemaType.ARTIFACT_TYPE,
            description="of ours",
        )
        return clients.metadata.create_metadata_schema(
            parent=clients.store, metadata_schema=schema, metadata_schema_id=id_
        )

    made = create(id_="data")
    assert made.name == f"{clients.store}/metadataSchemas/data"
    assert clients.metadata.get_metadata_schema(name=made.name) == made
    assert made.schema_type.name == "ARTIFACT_TYPE"
    create(version="1.0.1")
    create(title="my.Other")
    listed = list(clients.metadata.list_metadata_schemas(parent=clients.store))
    assert [s.schema_version for s in listed] == ["1.0.0", "1.0.1", "1.0.0"]
    asked = {"parent": clients.store, "filter": 'schema_title = "my.Other"'}
    assert len(list(clients.metadata.list_metadata_schemas(request=asked))) == 1
    with pytest.raises(exceptions.Conflict):
        create()
    with pytest.raises(exceptions.BadRequest, match="version"):
        create(version="1")
    with pytest.raises(exceptions.BadRequest, match="title"):
        create(title="")
    with pytest.raises(exceptions.NotFound):
        clients.metadata.get_metadata_schema(name=f"{made.name}-none")
