"""Whatever a client sends is answered or refused: never an error of ours, never half done."""

import random
import re

import pytest

from nbtools.emulator import handlers, transcoding
from nbtools.emulator.call import STATUS, Refused, word
from nbtools.errors import NbtoolsError, StoreError
from nbtools.nouns import JOB, RUN, Context, Execution, Job, Run, utc_now
from nbtools.resources import Resource
from nbtools.schedule import Schedule
from nbtools.states import JobState
from nbtools.store import Store

L = "projects/p/locations/us-central1"
S = f"{L}/metadataStores/default"
B = f"{L}/tensorboards/1"
TEXTS = (
    "", "a", "exp", "exp-r", "r", "-", "A b", "ü\u0000\ud7ff", "x" * 200, "system.ExperimentRun",
    "system.Experiment", "RUNNING", "title: t", "title: [", '"', "1.0.0", "step desc", "name",
    'display_name = "a"', 'metadata.a = 1', "is_default=true", "create_time desc", "*", "NaN",
    "1000000000001", "nbtools.TensorboardRun",
    L, S, f"{S}/contexts/exp", f"{S}/contexts/exp-r", f"{S}/artifacts/a", f"{S}/executions/a",
    f"{S}/executions/job", "system.ContainerExecution",
    f"{S}/metadataSchemas/a", f"{S}/contexts/", f"{S}/contexts/a/b", f"{L}/metadataStores/other",
    B, f"{B}/experiments/exp", f"{B}/experiments/exp/runs/r", f"{B}/experiments/exp/runs/a",
    f"{B}/experiments/exp/runs/r/timeSeries/1", f"{B}/experiments/exp/runs/r/timeSeries/2",
    f"{B}/experiments/exp/runs/r/timeSeries/3", f"{B}/experiments/exp/runs/r/timeSeries/a",
    f"{L}/schedules/a", f"{L}/notebookExecutionJobs/done", f"{L}/notebookRuntimeTemplates/a",
    f"{L}/notebookRuntimeTemplates/b", "* * * * *", "n1-standard-4", "me@p.com", "gs://bucket/x",
    'displayName=~"a"', "state=ACTIVE", "end_time:*", "labels:a",
    f"{B}/operations/1", f"{S}/contexts/nbtools", "tensorboards/1", "//", "projects/p",
    f"{L}/instances/a", f"{L}/instances/r", f"{L}/instances/old", f"{L}/runtimes/old",
)  # fmt: skip
NUMBERS = (0, 1, -1, 2, 7, 1000, 10_001, 2**31 - 1, -(2**31))

#: fields that name a resource.
NAMED = {
    "name", "parent", "context", "execution", "artifact", "child_contexts", "artifacts",
    "executions", "tensorboard", "tensorboard_experiment", "tensorboard_run", "time_series",
    "tensorboard_time_series",
}  # fmt: skip


def fill(rng, message, depth=0):
    """Some of the fields of a message, by chance."""
    for field in message.DESCRIPTOR.fields:
        if rng.random() < (0.4 if depth < 2 else 0.6):
            continue
        if field.message_type and field.message_type.GetOptions().map_entry:
            entries = getattr(message, field.name)
            if field.message_type.fields_by_name["value"].message_type:
                fill(rng, entries[rng.choice(TEXTS[:8])], depth + 1)
            else:
                entries[rng.choice(TEXTS[:8])] = rng.choice(TEXTS[:8])
        elif field.message_type:
            if depth > 5:
                continue
            count = rng.randint(1, 2) if field.is_repeated else 1
            for _ in range(count):
                into = getattr(message, field.name)
                into = into.add() if field.is_repeated else into
                into.SetInParent()
                fill(rng, into, depth + 1)
        else:
            value = scalar(rng, field)
            if field.is_repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)


def aim(rng, method, request):
    """Mostly what the RPC is for: names of its kind, and no page of another list."""
    for name, pattern in transcoding._VARIABLE.findall(template(method)):
        fitting = [x for x in TEXTS if re.fullmatch(pattern.replace("*", "[^/]+"), x)]
        if fitting and rng.random() < 0.9:
            *outer, last = name.split(".")
            into = request
            for part in outer:
                into = getattr(into, part)
            setattr(into, last, rng.choice(fitting))
    for field in ("page_token", "filter", "order_by", "update_mask", "read_mask", "etag"):
        if field in request.DESCRIPTOR.fields_by_name and rng.random() < 0.8:
            request.ClearField(field)
    if "filter" in request.DESCRIPTOR.fields_by_name and "Purge" in method.name:
        request.filter = 'create_time > "2020-01-01T00:00:00Z"'


def template(method):
    """The path of an RPC; of one that only gRPC has, what it would be."""
    if method.routes:
        return method.routes[0].template
    if "parent" in method.request.DESCRIPTOR.fields_by_name:
        return "{parent=projects/*/locations/*}"
    kind = "runtimes" if "Runtime" in method.name else "instances"
    return f"{{name=projects/*/locations/*/{kind}/*}}"


def scalar(rng, field):
    if field.enum_type:
        return rng.choice([0, 1, 2, 3, 99])
    if field.cpp_type == field.CPPTYPE_BOOL:
        return rng.random() < 0.5
    if field.type == field.TYPE_BYTES:
        return rng.choice([b"", b"x", b"\xff" * 9])
    if field.cpp_type == field.CPPTYPE_STRING:
        if field.name.endswith("_id"):
            return rng.choice(["", "a", "r", "exp", "1", "A b"])
        if field.name == "display_name":
            return rng.choice(["", "a", "r", "x" * 200])
        if field.name in NAMED and rng.random() < 0.9:
            return rng.choice([text for text in TEXTS if "/" in text])
        return rng.choice(TEXTS).replace("\ud7ff", "y")
    if field.cpp_type in (field.CPPTYPE_DOUBLE, field.CPPTYPE_FLOAT):
        return rng.choice([0.0, -1.5, float("nan"), float("inf"), 1e300])
    numbers = [n for n in NUMBERS if n >= 0] if "U" in str(field.cpp_type) else NUMBERS
    if field.containing_type.full_name == "google.protobuf.Timestamp":
        return rng.choice([0, 1, 999, -5, 2**40, 2**62][: 6 if field.name == "seconds" else 3])
    return rng.choice(numbers)


def prepare(service, known, store):
    """Something of each kind, so that what is asked for is there now and then."""
    new = known.message

    def do(rpc, **values):
        method = known.methods[rpc]
        return service.answer(method, method.request(**values))

    for name, title in (("exp", "system.Experiment"), ("exp-r", RUN)):
        context = new("Context")(display_name=name.removeprefix("exp-"), schema_title=title)
        do("MetadataService.CreateContext", parent=S, context=context, context_id=name)
    do("MetadataService.CreateArtifact", parent=S, artifact_id="a")
    do("MetadataService.CreateExecution", parent=S, execution_id="a")
    job = Job(name="job", notebook="/n.ipynb", experiment="exp", run="r")
    store.add(job.execution(), utc_now())
    new_board = Resource(name="tensorboards/1", type="Tensorboard", display_name="b")
    store.resources.add(new_board, utc_now())
    do("TensorboardService.CreateTensorboardExperiment", parent=B, tensorboard_experiment_id="exp")
    prepare_notebooks(store, do)
    of = f"{B}/experiments/exp"
    do("TensorboardService.CreateTensorboardRun", parent=of, tensorboard_run_id="r")
    do("notebooks_v2.NotebookService.CreateInstance", parent=L, instance_id="a")
    do("notebooks_v1.NotebookService.CreateInstance", parent=L, instance_id="old")
    do("notebooks_v1.ManagedNotebookService.CreateRuntime", parent=L, runtime_id="old")
    for number in (1, 2, 3):
        series = new("TensorboardTimeSeries")(display_name=f"s{number}", value_type=number)
        do(
            "TensorboardService.CreateTensorboardTimeSeries",
            parent=f"{of}/runs/r", tensorboard_time_series=series,
            tensorboard_time_series_id=str(number),
        )  # fmt: skip


def prepare_notebooks(store, do):
    done = Job(name="done", notebook="/n.ipynb", experiment="e", run="r", state=JobState.FAILED)
    store.add(done.execution(), utc_now())
    store.timetable.put(Schedule(name="a", notebook="/n.ipynb", cron="TZ=UTC 0 0 1 1 *"))
    direct = {"direct_notebook_source": {}}
    asked = {"create_notebook_execution_job_request": {"notebook_execution_job": direct}}
    for name, kind, record in (
        ("notebookExecutionJobs/done", "NotebookExecutionJob", {**direct, "job": "done"}),
        ("schedules/a", "Schedule", {"cron": "0 0 1 1 *", **asked}),
    ):
        store.resources.add(Resource(name=name, type=kind, record=record), utc_now())
    do(
        "NotebookService.CreateNotebookRuntimeTemplate",
        parent=L, notebook_runtime_template_id="a",
        notebook_runtime_template={"display_name": "a"},
    )  # fmt: skip


def job_as_it_was(execution):
    return Job(
        name="job", notebook="/n.ipynb", experiment="exp", run="r",
        create_time=execution.create_time,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_random_requests_find_no_fault_of_ours(known, seed, tmp_path):
    rng = random.Random(seed)
    served = [known.methods[name] for name in handlers.HANDLERS]
    words, answered = set(), set()
    for number in range(1500):
        if number % 100 == 0:
            store = Store(tmp_path / str(number))
            service = handlers.Service(known, store, utc_now)
            prepare(service, known, store)
        method = rng.choice(served)
        request = method.request()
        fill(rng, request)
        aim(rng, method, request)
        before = store.version
        try:
            answer = service.answer(method, request)
            for message in answer if method.streams else [answer]:
                message.SerializeToString()
                assert isinstance(message, method.response)
            answered.add(method.name)
        except StoreError as error:
            raise AssertionError(f"{method.name}: {error}\n{request}") from error
        except NbtoolsError as error:
            words.add(word(error))
            refused_by = method.name.partition(".")[2]
            if refused_by.startswith(("Create", "Update", "Delete", "Add", "Batch", "Write")):
                assert store.version[0] == before[0]
        except Exception as error:
            raise AssertionError(f"{method.name}: {error!r}\n{request}") from error
        if number % 100 == 99:
            for context in store.select(Context, RUN):  # whatever came in, nbtools can read it
                assert Run.of(context).id == context.name
            jobs = [e for e in store.select(Execution, JOB) if e.name == "job"]
            assert all(Job.of(e) == job_as_it_was(e) for e in jobs)
            store.table()
            store.close()
    assert {"NOT_FOUND", "INVALID_ARGUMENT"} <= words <= set(STATUS)
    assert len(answered) > 40  # of some seventy: what they are sent makes sense now and then
    assert words.isdisjoint({"INTERNAL", "UNKNOWN"})


def test_a_word_that_google_has_not_is_none():
    with pytest.raises(KeyError):
        Refused("NO_SUCH_WORD", "x")
