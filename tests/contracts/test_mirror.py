"""What every mirror keeps to, and what no mirror can do to a training loop."""

import json
import math
import os
import signal
import struct
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import ClassVar

import pytest

from nbtools import removal
from nbtools.errors import MissingDependency, RequestError
from nbtools.journal import SUFFIX, Journal
from nbtools.mirror import MirroredRun, MirrorWarning
from nbtools.mirroring import Feeder, Mirroring
from nbtools.nouns import RUN, Artifact, Context, utc_now
from nbtools.push import push, send_run
from nbtools.runs import close_run, find_run, open_run, run_folder
from nbtools.spool import spools
from nbtools.states import ExecutionState
from nbtools.store import Store
from tests.vertex.remotes import TO, Remote, graph

HERE = "tests.contracts.mirrors_of_tests"
ROOT = Path(__file__).parent.parent.parent

KILLED = """
import json, os, signal, sys, time
from tests.contracts.test_mirror import Session
name, options, store = json.loads(sys.argv[1])
session = Session(store, name, options, params={"lr": 0.5})
session.log({"_metrics": {"acc": 0.25}})
for step in range(200):
    session.points({"loss": step / 8}, step)
    if step == 100:
        time.sleep(1.5)  # the mirror has heard of the first half
os.kill(os.getpid(), signal.SIGKILL)
"""


ENDING = """
import atexit, json, os, sys, threading, time
from tests.contracts.test_mirror import Session
name, options, store, ending = json.loads(sys.argv[1])
over = []
def end():
    if not over:
        over.append(session.end())
session = Session(store, name, options, at_exit=end)
for step in range(200):
    session.points({"loss": step / 8}, step)
if ending != "at once":
    time.sleep(1.5)
if ending == "forked kernel":
    threading._shutdown()
    atexit._run_exitfuncs()
    os._exit(0)
"""


class Session:
    """A process that logs to a run: its journal, and its mirrors at work."""

    def __init__(
        self, store, name, options=None, *, run="one", params=None, resume=False, job="",
        at_exit=lambda: None,
    ):  # fmt: skip
        self.store = Store(Path(store))
        self.context = open_run(
            self.store, "digits", run, utc_now(), params=params, resume=resume, job=job
        )
        self.run = find_run(self.store, utc_now(), run, "digits")
        self.folder = run_folder(self.store.folder, self.run)
        self.journal = Journal(self.store.journals, self.context.name)
        self.log = self.journal.append
        self.mirroring = Mirroring(
            self.store.folder, self.context, self.journal.path, self.folder, [name],
            {name: options or {}},
        )  # fmt: skip
        self.mirroring.start(at_exit)

    def points(self, values, step, seconds=None):
        seconds = 1e9 + step if seconds is None else seconds
        self.log({"series": values, "step": step, "time": seconds})

    def end(self, state="COMPLETE", timeout=30.0):
        self.log({"_state": state})
        self.journal.close()

        def gone():  # a process that is just being begun may hold its lock for a moment
            self.store.drain(utc_now())
            return not self.journal.path.exists()

        until(gone)
        self.mirroring.end(state, timeout)


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)
    return found


def kept(store_folder):
    return list(spools(Path(store_folder)))


def push_all(store_folder):
    store = Store(store_folder)
    store.drain(utc_now())
    return list(push(store))


class MirrorContract:
    """A mirror inherits, and says how to make it and how to read it from outside."""

    keeps = frozenset({"points"})  #: also params, metrics, artifacts, state
    environ: ClassVar = {}

    @pytest.fixture
    def made(self, tmp_path):
        """The name of the mirror and its options."""
        raise NotImplementedError

    def read(self, folder, tmp_path):
        """What is there: points {key: {step: (wall time, value)}}, and what else it keeps."""
        raise NotImplementedError

    @pytest.fixture
    def begin(self, made, store_folder):
        return lambda **values: Session(store_folder, *made, **values)

    def test_all_that_is_logged_is_there(self, begin, tmp_path, store_folder):
        session = begin(params={"lr": 0.5})
        session.log({"_params": {"depth": 3, "name": "x", "flag": True}})
        for step in range(50):
            session.points({"loss": step / 8, "val/acc": -step}, step)
        file = session.folder / "model.txt"
        file.parent.mkdir(parents=True, exist_ok=True)  # packages.txt may be there by now
        file.write_text("weights")
        model = {"path": str(file), "name": "the model", "schema_title": "system.Model"}
        session.log({"_artifact": model})
        session.log({"_metrics": {"acc": 0.25}})
        session.log({"_metrics": {"acc": 0.75, "best": "yes"}})
        session.end()
        there = self.read(session.folder, tmp_path)
        assert set(there) == self.keeps
        want = {
            "params": {"lr": 0.5, "depth": 3, "name": "x", "flag": True},
            "metrics": {"acc": 0.75, "best": "yes"},
            "points": {
                "loss": {step: (1e9 + step, step / 8) for step in range(50)},
                "val/acc": {step: (1e9 + step, -step) for step in range(50)},
            },
            "artifacts": {"the model": "weights"},
            "state": "COMPLETE",
        }
        assert there == {key: want[key] for key in self.keeps}
        assert kept(store_folder) == []

    def test_a_late_step_and_a_step_again_are_as_in_the_store(self, begin, tmp_path):
        session = begin()
        for step in (1, 2, 5, 3, 9, 5, 4):
            session.points({"loss": step / 4, "acc": step}, step)
        feed = session.mirroring._threads[0]._spool
        until(lambda: feed.position or self.replays_all)  # one telling, then another
        session.points({"loss": 7.0}, 2, 5.0)
        session.points({"loss": 8.0}, 10)
        session.points({"acc": 8.0}, 7)
        session.end()
        want = {
            key: {step: (time, value) for step, time, value in points}
            for key, points in session.store.points(session.context.name).items()
        }
        assert want["loss"][2] == (5.0, 7.0)
        assert self.read(session.folder, tmp_path)["points"] == want

    replays_all = False  #: only the end says that it is safe

    def test_no_number_is_lost_in_translation(self, begin, tmp_path):
        session = begin()
        values = [math.nan, math.inf, -math.inf, 1e30, -0.125, 1e-30]
        for step, value in enumerate(values):
            session.points({"loss": value}, step)
        session.end()
        there = self.read(session.folder, tmp_path)["points"]["loss"]
        got = [there[step][1] for step in range(len(values))]
        assert math.isnan(got[0])
        assert got[1:] == pytest.approx(values[1:], rel=1e-6)

    def test_told_again_is_the_same_as_told_once(self, begin, tmp_path):
        session = begin(params={"lr": 0.5})
        for step in range(20):
            session.points({"loss": step / 8}, step)
        spool = session.mirroring._threads[0]._spool
        copy = spool.path.read_bytes()
        session.end()
        before = self.read(session.folder, tmp_path), self.size(session.folder, tmp_path)
        spool.path.write_bytes(copy)  # as if what was sent had not been written down
        spool.position = 0
        again = Feeder(spool)
        spool.save()
        spool.lock()
        again.finish("COMPLETE")
        assert (self.read(session.folder, tmp_path), self.size(session.folder, tmp_path)) == before

    def size(self, folder, tmp_path):
        """How much there is in all; the same where nothing is there twice."""
        raise NotImplementedError

    def test_a_run_that_is_continued_goes_on_there(self, begin, tmp_path):
        session = begin(params={"lr": 0.5})
        session.points({"loss": 1.0}, 1)
        session.end("FAILED")
        again = begin(resume=True)
        again.points({"loss": 2.0}, 2)
        again.end()
        there = self.read(session.folder, tmp_path)
        assert there["points"] == {"loss": {1: (1e9 + 1, 1.0), 2: (1e9 + 2, 2.0)}}
        if "params" in self.keeps:
            assert there["params"] == {"lr": 0.5}

    def test_killed_in_the_middle_then_pushed_twice(self, made, tmp_path, store_folder, call):
        code = json.dumps([*made, str(store_folder)])
        done = subprocess.run(
            [sys.executable, "-c", KILLED, code], cwd=ROOT, capture_output=True, text=True,
            env={**os.environ, **self.environ},
        )  # fmt: skip
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert len(kept(store_folder)) == 1
        environ = {**os.environ, **self.environ, "PYTHONPATH": str(ROOT)}
        first = call("push", env=environ)
        assert first.returncode == 0, first.stdout + first.stderr
        assert "digits/one" in first.stdout
        folder = run_folder(store_folder, find_run(Store(store_folder), utc_now(), "one"))
        there = self.read(folder, tmp_path)
        assert there["points"] == {"loss": {s: (1e9 + s, s / 8) for s in range(200)}}
        if "params" in self.keeps:
            assert (there["params"], there["metrics"]) == ({"lr": 0.5}, {"acc": 0.25})
        if "state" in self.keeps:
            assert there["state"] == "FAILED"
        before = self.size(folder, tmp_path)
        second = call("push", env=environ)
        assert (second.returncode, second.stdout) == (0, "nothing is left to send\n")
        assert self.size(folder, tmp_path) == before
        assert list((store_folder / "mirrors").rglob("*.lock")) == []

    @pytest.mark.parametrize("ending", ["plain", "at once", "forked kernel"])
    def test_a_process_that_ends_without_a_word_has_told_all(
        self, made, tmp_path, store_folder, ending
    ):
        code = json.dumps([*made, str(store_folder), ending])
        done = subprocess.run(
            [sys.executable, "-c", ENDING, code], cwd=ROOT, capture_output=True, text=True,
            env={**os.environ, **self.environ},
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        folder = run_folder(store_folder, find_run(Store(store_folder), utc_now(), "one"))
        there = self.read(folder, tmp_path)
        assert there["points"] == {"loss": {s: (1e9 + s, s / 8) for s in range(200)}}
        assert kept(store_folder) == []

    def test_a_run_that_it_never_heard_of_is_sent_from_the_store(
        self, made, tmp_path, store_folder
    ):
        store = Store(store_folder)
        context = open_run(store, "digits", "old", utc_now(), params={"lr": 0.5})
        store.add_points(context.name, "loss", [(s, 1e9 + s, s / 4) for s in range(9)])
        close_run(store, context.name, ExecutionState.COMPLETE, "", utc_now())
        run = find_run(store, utc_now(), "old")
        assert send_run(store, run, *made).left == ""
        there = self.read(run_folder(store_folder, run), tmp_path)
        assert there["points"] == {"loss": {s: (1e9 + s, s / 4) for s in range(9)}}


class TestFileMirror(MirrorContract):
    keeps = frozenset({"points", "params", "metrics", "artifacts", "state"})

    @pytest.fixture
    def made(self, tmp_path):
        return f"{HERE}:FileMirror", {"path": str(tmp_path / "remote.json")}

    def read(self, folder, tmp_path):
        there = json.loads((tmp_path / "remote.json").read_text())
        there["points"] = {
            key: {int(step): tuple(point) for step, point in steps.items()}
            for key, steps in there["points"].items()
        }
        return {key: there[key] for key in self.keeps}

    def size(self, folder, tmp_path):
        return (tmp_path / "remote.json").read_bytes()


class TestSlowMirror(TestFileMirror):
    @pytest.fixture
    def made(self, tmp_path):
        return f"{HERE}:FileMirror", {"path": str(tmp_path / "remote.json"), "fault": "slow"}


class TestManagedMirror(MirrorContract):
    @pytest.fixture
    def made(self, tmp_path):
        return f"{HERE}:ServiceMirror", {"path": str(tmp_path / "service.json")}

    def read(self, folder, tmp_path):
        series = json.loads((tmp_path / "service.json").read_text())["series"]
        assert all(name.startswith("experiments/digits/runs/") for name in series)
        points = {
            one["key"]: {int(step): tuple(point) for step, point in one["points"].items()}
            for one in series.values()
        }
        return {"points": points}

    def size(self, folder, tmp_path):
        return self.read(folder, tmp_path)

    def test_a_request_has_at_most_5000_points(self, begin, tmp_path):
        session = begin()
        for step in range(7000):
            session.points({"loss": step, "acc": -step}, step)
        session.end()
        there = self.read(session.folder, tmp_path)["points"]
        assert {key: len(steps) for key, steps in there.items()} == {"loss": 7000, "acc": 7000}
        requests = json.loads((tmp_path / "service.json").read_text())["requests"]
        assert max(requests) <= 5000
        assert sum(requests) == 14_000


class TestVertexMirror(MirrorContract):
    """In an emulator of another store, which stands for Vertex AI."""

    keeps = frozenset({"points", "params", "metrics", "artifacts", "state"})

    @pytest.fixture
    def made(self, tmp_path, monkeypatch):
        self.remote = Remote()
        monkeypatch.setenv("NBTOOLS_VERTEX", self.remote.url)
        yield "vertex", {"to": TO, "staging_bucket": f"file://{tmp_path}/bucket"}
        self.remote.close()

    def read(self, folder, tmp_path):
        store = self.remote.store
        (run,) = store.select(Context, RUN)
        points = store.points(run.name)
        artifacts = store.select(Artifact, "system.Model", context=run.name)
        there = {
            "points": {key: {s: (t, v) for s, t, v in series} for key, series in points.items()},
            "params": run.metadata["_params"],
            "metrics": run.metadata["_metrics"],
            "artifacts": {a.display_name: a.path.read_text() for a in artifacts},
            "state": run.metadata["_state"],
        }
        assert all(a.uri.startswith(f"file://{tmp_path}/bucket/nbtools/") for a in artifacts)
        return there

    def size(self, folder, tmp_path):
        return graph(self.remote.store)


class TestTensorboardMirror(MirrorContract):
    @pytest.fixture
    def made(self):
        return "tensorboard", {}

    def read(self, folder, tmp_path):
        """As TensorBoard itself reads it."""
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
        events.Reload()
        points = {}
        for tag in events.Tags()["scalars"]:
            scalars = events.Scalars(tag)
            points[tag] = {s.step: (s.wall_time, s.value) for s in scalars}
            assert [s.step for s in scalars] == sorted(points[tag]), "a step twice, or in disorder"
        return {"points": points}

    def size(self, folder, tmp_path):
        return sum(path.stat().st_size for path in (folder / "tensorboard").iterdir())

    def test_series_that_a_writer_writes_there_itself_are_left_to_it(self, begin, tmp_path):
        session = begin()
        folder = session.folder / "tensorboard"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tags.jsonl").write_text('"loss"\n')
        session.points({"loss": 1.0, "acc": 2.0}, 1)
        session.end()
        assert set(self.read(session.folder, tmp_path)["points"]) == {"acc"}

    def test_half_a_record_at_the_end_is_passed_over(self, begin, tmp_path):
        session = begin()
        session.points({"loss": 1.0}, 1)
        session.end()
        (file,) = (session.folder / "tensorboard").glob("*.nbtools")
        file.write_bytes(file.read_bytes()[:-3])  # as a crash leaves it
        again = begin(resume=True)
        again.points({"loss": 1.5}, 1)
        again.points({"loss": 2.0}, 2)
        again.end()
        there = self.read(session.folder, tmp_path)["points"]["loss"]
        assert {step: value for step, (_, value) in there.items()} == {1: 1.5, 2: 2.0}


def wandb_records(path):
    """The records of W&B's own file: LevelDB's log format, protobuf inside."""
    from wandb.proto import wandb_internal_pb2

    data, position, part = path.read_bytes(), 7, b""
    while position + 7 <= len(data):
        if 32768 - position % 32768 < 7:
            position += 32768 - position % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        position += 7
        if position + length > len(data):
            return  # it is being written
        part += data[position : position + length]
        position += length
        if kind in (1, 4):  # whole, or the last part
            yield wandb_internal_pb2.Record.FromString(part)
            part = b""


def wandb_key(item):
    return item.key or "/".join(item.nested_key)


#: of W&B, where nobody listens.
UNREACHABLE = {
    "WANDB_MODE": "online", "WANDB_BASE_URL": "http://127.0.0.1:9",
    "WANDB_API_KEY": "0" * 40, "WANDB_INIT_TIMEOUT": "2", "WANDB_SILENT": "true",
}  # fmt: skip


class TestWandbMirror(MirrorContract):
    keeps = frozenset({"points", "params", "metrics", "artifacts", "state"})
    replays_all = True
    environ: ClassVar = {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}

    @pytest.fixture(autouse=True)
    def surroundings(self, tmp_path, monkeypatch):
        for name in ("DATA", "CACHE", "CONFIG", "ARTIFACT"):
            monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path))
        monkeypatch.delenv("WANDB_SERVICE", raising=False)  # each process has its own

    @pytest.fixture
    def made(self):
        return "wandb", {"mode": "offline"}

    def files(self, folder):
        """Once W&B's service has written them, which is after it says that it has finished."""

        def written():
            found = sorted(folder.parent.glob("wandb/*/wandb/offline-run-*/*.wandb"))
            ends = [{r.WhichOneof("record_type") for r in wandb_records(f)} for f in found]
            return found and all("exit" in kinds for kinds in ends) and found

        return until(written)

    def rows(self, folder):
        for path in self.files(folder):
            steps = []
            for record in wandb_records(path):
                if record.WhichOneof("record_type") == "history":
                    row = {wandb_key(i): json.loads(i.value_json) for i in record.history.item}
                    steps.append(row["_step"])
                    yield row
            assert steps == sorted(set(steps)), "W&B takes steps in ascending order"

    def read(self, folder, tmp_path):
        there = {"points": {}, "params": {}, "metrics": {}, "artifacts": {}, "state": None}
        for row in self.rows(folder):
            step, seconds = row.pop("nbtools_step"), row.pop("_timestamp")
            for key, value in row.items():
                if not key.startswith("_"):
                    points = there["points"].setdefault(key, {})
                    points[step] = (seconds, float(value))
        for path in self.files(folder):
            for record in wandb_records(path):
                self.take(record, there)
        for key in (*there["points"], "nbtools_step"):
            there["metrics"].pop(key, None)  # W&B's summary has the last of each series too
        return there

    def take(self, record, there):
        kind = record.WhichOneof("record_type")
        if kind in ("run", "config"):
            config = record.run.config if kind == "run" else record.config
            for item in config.update:
                if not wandb_key(item).startswith("_"):
                    there["params"][wandb_key(item)] = json.loads(item.value_json)
        elif kind == "summary":
            for item in record.summary.update:
                if not wandb_key(item).startswith("_"):
                    there["metrics"][wandb_key(item)] = json.loads(item.value_json)
        elif kind == "artifact":
            (entry,) = record.artifact.manifest.contents
            name = record.artifact.name.replace("-", " ")
            there["artifacts"][name] = Path(entry.local_path).read_text()
            assert record.artifact.type == "model"
        elif kind == "exit":
            there["state"] = "FAILED" if record.exit.exit_code else "COMPLETE"

    def size(self, folder, tmp_path):
        return len(list(self.rows(folder)))

    def test_in_order_its_steps_are_ours_and_its_run_has_our_names(self, begin, tmp_path):
        session = begin()
        for step in (0, 3, 10, 500):
            session.points({"loss": 1.0}, step)
            session.points({"acc": 2.0}, step)
        session.points({"val": 3.0}, 1)
        session.end()
        rows = list(self.rows(session.folder))
        assert [row["_step"] for row in rows] == [0, 3, 10, 500, 501]
        assert [row["nbtools_step"] for row in rows] == [0, 3, 10, 500, 1]
        assert all({"loss", "acc"} <= set(row) for row in rows[:-1])
        (path,) = self.files(session.folder)
        (run,) = [r.run for r in wandb_records(path) if r.WhichOneof("record_type") == "run"]
        assert (run.project, run.display_name, run.run_id) == ("digits", "one", "digits-one")

    def test_the_user_s_own_wandb_run_is_left_alone(self, begin, tmp_path):
        import wandb

        own = wandb.init(project="own", mode="offline", dir=tmp_path)
        session = begin()
        session.points({"loss": 1.0}, 1)
        session.end()
        assert wandb.run is own
        own.log({"x": 1})
        own.finish()
        assert [row["loss"] for row in self.rows(session.folder)] == [1.0]

    def test_online_and_unreachable_the_run_goes_on_and_is_sent_later(
        self, tmp_path, store_folder, call
    ):
        code = (
            "from tests.contracts.test_mirror import Session; import sys, time\n"
            "s = Session(sys.argv[1], 'wandb')\n"
            "[s.points({'loss': i / 8}, i) for i in range(50)]\n"
            "begun = time.monotonic(); s.end(timeout=1.0)\n"
            "assert time.monotonic() - begun < 60\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(store_folder)], cwd=ROOT, capture_output=True,
            text=True, env={**os.environ, **UNREACHABLE},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("wandb does not hear of run 'one'") == 1
        sent = call("push", env={**os.environ, **self.environ})
        assert sent.returncode == 0, sent.stdout + sent.stderr
        run = find_run(Store(store_folder), utc_now(), "one")
        there = self.read(run_folder(store_folder, run), tmp_path)
        assert there["points"] == {"loss": {s: (1e9 + s, s / 8) for s in range(50)}}
        assert there["state"] == "COMPLETE"

    def test_an_attempt_that_failed_does_not_spoil_the_next(self, store_folder, tmp_path):
        code = (
            "from nbtools.mirrors.wandb import WandbMirror as W; import pathlib, sys\n"
            "from nbtools.mirror import MirroredRun as R; p = pathlib.Path(sys.argv[1])\n"
            "r = R(id='e-r', experiment='e', name='r', store=p, folder=p / 'files', part='x')\n"
            "for _ in range(2):\n"
            "    try: W(mode='online').start(r)\n"
            "    except Exception as error: print(type(error).__name__)\n"
            "mirror = W(mode='offline')\n"
            "mirror.start(r); mirror.points([('loss', 1, 1e9, 2.0)]); mirror.end('COMPLETE')\n"
            "mirror.close()\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True,
            text=True, env={**os.environ, **UNREACHABLE},
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (0, "CommError\nCommError\n"), done.stderr
        assert [row["loss"] for row in self.rows(tmp_path / "files")] == [2.0]


FAULTS = pytest.mark.parametrize("fault", ["raises", "unreachable", "hangs"])


class TestFaults:
    """A mirror that is broken costs one warning, and loses nothing."""

    @pytest.fixture
    def remote(self, tmp_path):
        return tmp_path / "remote.json"

    @pytest.fixture
    def down(self, remote):
        return remote.with_suffix(".down")

    def begin(self, store_folder, remote, fault):
        return Session(store_folder, f"{HERE}:FileMirror", {"path": str(remote), "fault": fault})

    @FAULTS
    def test_the_loop_does_not_notice_and_all_is_sent_later(
        self, store_folder, remote, down, fault
    ):
        down.touch()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            session = self.begin(store_folder, remote, fault)
            for step in range(500):
                session.points({"loss": step}, step)
            time.sleep(2.0)  # several attempts
            session.end(timeout=0.5)
        mine = [w for w in said if issubclass(w.category, MirrorWarning)]
        assert len(mine) == 1
        assert "'one'" in str(mine[0].message)
        assert "nbtools push" in str(mine[0].message)
        assert len(session.store.points("digits-one")["loss"]) == 500
        assert not remote.exists()
        down.unlink()
        until(
            lambda: not any("a process that is at work" in s.left for s in push_all(store_folder))
        )
        there = json.loads(remote.read_text())
        assert len(there["points"]["loss"]) == 500
        assert there["state"] == "COMPLETE"
        assert kept(store_folder) == []

    @pytest.mark.parametrize("fault", ["raises", "unreachable"])
    def test_what_comes_back_is_told_without_anybody_s_doing(
        self, store_folder, remote, down, fault
    ):
        down.touch()
        with pytest.warns(MirrorWarning) as told:
            session = self.begin(store_folder, remote, fault)
            session.points({"loss": 1.0}, 1)
            until(lambda: len(told))
        down.unlink()
        until(lambda: remote.exists() and "loss" in remote.read_text())
        session.points({"loss": 2.0}, 2)
        session.end()
        assert set(json.loads(remote.read_text())["points"]["loss"]) == {"1", "2"}

    def test_away_in_the_middle_of_a_run(self, store_folder, remote, down):
        session = self.begin(store_folder, remote, "unreachable")
        session.points({"loss": 1.0}, 1)
        until(lambda: remote.exists() and "loss" in remote.read_text())
        down.touch()
        with pytest.warns(MirrorWarning):
            session.points({"loss": 2.0}, 2)
            session.end(timeout=1.0)
        # Its thread may be making its last attempt, and leaves it to others then.
        until(lambda: push_all(store_folder)[0].left.startswith("ConnectionError"))
        down.unlink()
        assert [s.left for s in push_all(store_folder)] == [""]
        assert set(json.loads(remote.read_text())["points"]["loss"]) == {"1", "2"}

    def test_where_warnings_are_errors_none_reaches_the_loop(self, store_folder, remote, down):
        down.touch()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            session = self.begin(store_folder, remote, "raises")
            session.points({"loss": 1.0}, 1)
            session.end(timeout=0.2)
        assert len(kept(store_folder)) == 1

    def test_a_mirror_that_hangs_does_not_keep_another_from_hearing(
        self, store_folder, remote, down, tmp_path
    ):
        down.touch()
        store = Store(store_folder)
        context = open_run(store, "digits", "one", utc_now())
        journal = Journal(store.journals, context.name)
        options = {f"{HERE}:FileMirror": {"path": str(remote), "fault": "hangs"}}
        folder = tmp_path / "files"
        names = [f"{HERE}:FileMirror", "tensorboard"]
        mirroring = Mirroring(store_folder, context, journal.path, folder, names, options)
        mirroring.start(lambda: None)
        journal.append({"series": {"loss": 1.0}, "step": 1, "time": 1e9})
        until(lambda: list(folder.rglob("*.nbtools")))
        journal.close()
        with pytest.warns(MirrorWarning, match="FileMirror does not hear"):
            mirroring.end("COMPLETE", 0.2)
        down.unlink()  # so that its thread ends
        until(lambda: kept(store_folder) == [])

    def test_while_a_process_is_at_work_push_leaves_its_run_to_it(self, store_folder, remote):
        session = self.begin(store_folder, remote, "")
        session.points({"loss": 1.0}, 1)
        (sent,) = push_all(store_folder)
        assert sent.left == "a process that is at work sends it"
        session.end()
        assert push_all(store_folder) == []

    def test_where_a_file_has_one_name_only_a_copy_is_kept(
        self, store_folder, remote, down, monkeypatch
    ):
        def refuse(*_):
            raise OSError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
        session = self.begin(store_folder, remote, "")
        for step in range(100):
            session.points({"loss": step}, step)
        until(lambda: remote.exists() and "loss" in remote.read_text())
        session.points({"loss": 0.5}, 100)
        session.log({"_state": "COMPLETE"})
        session.journal.close()
        session.mirroring.end("COMPLETE")
        assert len(json.loads(remote.read_text())["points"]["loss"]) == 101


def test_a_mirror_that_there_is_not_is_refused_at_once(store_folder):
    with pytest.raises(RequestError, match="no mirror 'mlflow': there is tensorboard, wandb"):
        Session(store_folder, "mlflow")
    with pytest.raises(MissingDependency, match="pip install nowhere"):
        Session(store_folder, "nowhere:Mirror", run="two")
    with pytest.raises(RequestError, match="cannot be made.*projekt"):
        Session(store_folder, "wandb", {"projekt": "x"}, run="three")
    assert kept(store_folder) == []


def test_what_is_sent_by_another_while_push_looks_around_is_passed_over(store_folder):
    folder = store_folder / "mirrors" / "tensorboard"
    folder.mkdir(parents=True)
    (folder / f"gone{SUFFIX}.json").symlink_to("nowhere")  # listed, and no longer there
    assert kept(store_folder) == []


def test_what_a_mirror_is_told_first_survives_being_written_down(store_folder, tmp_path):
    context = open_run(
        Store(store_folder), "digits", "one", utc_now(), params={"x": math.inf, "n": 2, "t": "ö"}
    )
    run = MirroredRun.of(context, store_folder, tmp_path, "part")
    assert MirroredRun.loads(run.dumps()) == run


def test_a_run_at_work_is_not_sent_from_the_store(store_folder, tmp_path, call):
    open_run(Store(store_folder), "digits", "one", utc_now(), job="j")
    done = call("push", "one", "--mirror", "tensorboard")
    assert done.returncode == 2
    assert "at work: push it when it has ended" in done.stderr
    assert call("push", "one").returncode == 2


@pytest.mark.parametrize("state", ["COMPLETE", "FAILED", None])
def test_a_mirror_hears_how_the_job_ended_when_the_job_has(store_folder, tmp_path, call, state):
    """None: the run is deleted before."""
    path = tmp_path / "remote.json"
    session = Session(store_folder, f"{HERE}:HopefulMirror", {"path": str(path)}, job="j")
    session.points({"loss": 1.0}, 1)
    session.journal.close()
    session.mirroring.end("")
    assert json.loads(path.read_text())["state"] == "COMPLETE"  # nobody has said otherwise
    (waits,) = json.loads(call("push", "--status", "--json").stdout)
    assert waits["left"] == "how its job ends: the run is shown as COMPLETE"
    (sent,) = push_all(store_folder)
    assert sent.left == "its job is still at work"
    if state is None:
        removal.remove(session.store, Context, session.context.name)
    else:
        close_run(session.store, session.context.name, ExecutionState(state), "", utc_now())
    (sent,) = push_all(store_folder)
    assert sent.left == ""
    there = json.loads(path.read_text())
    assert (there["state"], list(there["points"])) == (state or "COMPLETE", ["loss"])
    assert kept(store_folder) == []
    assert not list((store_folder / "mirrors").rglob("*.*"))
