"""What every importer does, with a history that its tracker has written."""

import hashlib
from collections import Counter
from datetime import UTC, datetime

import pytest

from nbtools import importing, registry
from nbtools.errors import NotFound
from nbtools.importing import import_runs
from nbtools.nouns import RUN, Artifact, Context, Execution, Run, run_id
from nbtools.store import Store
from tests import histories

NOW = datetime(2031, 1, 2, tzinfo=UTC)  # later than every history
MAKE = {
    "mlflow": (histories.mlflow_database, histories.mlflow_files),
    "wandb": (histories.wandb,),
    "trackio": (histories.trackio,),
    "tensorboard": (histories.tensorboard,),
}
CASES = [(tool, make) for tool, makes in MAKE.items() for make in makes]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Each history, made once: nothing may change it."""
    return {
        make.__name__: make(tmp_path_factory.mktemp("history") / make.__name__) for _, make in CASES
    }


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture(params=CASES, ids=lambda case: case[1].__name__)
def case(request, made):
    tool, make = request.param
    return tool, made[make.__name__]


def everything(store):
    return [
        sorted(store.select(kind), key=lambda r: r.name) for kind in (Context, Execution, Artifact)
    ] + [{c.name: store.points(c.name) for c in store.select(Context, RUN)}]


def test_it_is_guessed(case):
    tool, path = case
    assert importing.guess(path) == tool


def test_no_other_importer_finds_it(case):
    tool, path = case
    assert [t for t in registry.IMPORTERS if registry.importer(t).finds(path)] == [tool]


def test_runs_have_what_runs_need(case, store):
    tool, path = case
    done = import_runs(path, store=store, now=NOW)
    assert done.tool == tool
    assert done.new == len(done.runs) == len(set(done.runs)) >= 2
    assert sum(done.experiments.values()) == len(done.runs)
    for context in store.select(Context, RUN):
        run = Run.of(context)  # raises for a state that there is not
        assert context.name == run_id(run.experiment, run.name)
        beside = store.select(Context, RUN, parent=run.experiment)
        assert context.name in [other.name for other in beside]
        (execution,) = store.select(Execution, context=context.name)
        assert execution.state == run.state
        assert run.create_time < NOW
        source = context.metadata["_source"]
        assert source["tool"] == tool
        assert source["id"]
        assert context.metadata["_source_name"]


def test_every_point_of_every_series_is_counted(case, store):
    done = import_runs(case[1], store=store, now=NOW)
    points = [p for c in store.select(Context, RUN) for p in store.points(c.name).values()]
    assert done.points == sum(map(len, points)) > 0


def test_every_file_is_there_and_is_what_it_was(case, store):
    done = import_runs(case[1], store=store, now=NOW)
    artifacts = store.select(Artifact)
    assert done.files == len(artifacts)
    for artifact in artifacts:
        data = artifact.path.read_bytes()
        assert artifact.metadata["sha256"] == hashlib.sha256(data).hexdigest()
        assert artifact.metadata["bytes"] == len(data)
        (event,) = store.events(artifact=artifact.name)
        assert event.type == "OUTPUT"


def test_importing_again_is_the_same_runs_and_changes_nothing(case, store):
    first = import_runs(case[1], store=store, now=NOW)
    before = everything(store)
    again = import_runs(case[1], store=store, now=NOW)
    assert (again.new, again.points, again.files) == (0, 0, 0)
    assert set(again.runs) == set(first.runs)
    assert again.remarks == first.remarks
    # As text: a NaN is unlike itself.
    assert repr(everything(store)) == repr(before)


def test_into_an_experiment_of_ones_own(case, store):
    done = import_runs(case[1], store=store, now=NOW, experiment="moved")
    assert done.experiments == {"moved": len(done.runs)}
    import_runs(case[1], store=store, now=NOW, experiment="moved")
    assert len(store.select(Context, RUN)) == len(done.runs)


def test_what_lies_there_is_only_read(case, store):
    def state():
        return {
            path: (path.stat().st_mtime_ns, path.read_bytes())
            for path in sorted(case[1].rglob("*"))
            if path.is_file()
        }

    before = state()
    import_runs(case[1], store=store, now=NOW)
    assert state() == before


def test_the_ids_of_runs_are_their_own(case):
    tool, path = case
    runs = list(registry.importer(tool).runs(path, Counter()))
    assert len({run.id for run in runs}) >= 2
    assert all(run.id and run.experiment and run.name for run in runs)


@pytest.mark.parametrize("tool", list(registry.IMPORTERS))
def test_nothing_is_found_where_nothing_is(tool, tmp_path):
    (tmp_path / "notes.txt").write_text("no history")
    (tmp_path / "empty.db").touch()
    (tmp_path / "folder").mkdir()
    importer = registry.importer(tool)
    for path in (tmp_path, *tmp_path.iterdir()):
        assert not importer.finds(path)
        assert list(importer.runs(path, Counter())) == []


def test_runs_of_several_trackers_share_an_experiment_of_one_name(made, store):
    import_runs(made["trackio"], store=store, now=NOW)  # digits
    import_runs(made["wandb"], store=store, now=NOW)  # Digits
    tools = {c.metadata["_source"]["tool"] for c in store.select(Context, RUN, parent="digits")}
    assert tools == {"trackio", "wandb"}


def test_runs_are_listed_with_those_made_here(made, store):
    import_runs(made["tensorboard"], store=store, now=NOW)
    from nbtools.runs import find_run, list_runs

    assert {run.name for run in list_runs(store, NOW, "runs")} == {"baseline", "wide"}
    assert find_run(store, NOW, "base").experiment == "runs"
    with pytest.raises(NotFound):
        find_run(store, NOW, "nope")
