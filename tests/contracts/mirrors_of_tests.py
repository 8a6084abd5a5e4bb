"""Mirrors that stand for remotes: a file, with every fault that a remote may have."""

import json
import time
from pathlib import Path

from nbtools.mirrors.managed import MAX_POINTS, ManagedMirror


class FileMirror:
    """Keeps what it is told in one JSON file, which is what is safe; the rest is lost with it."""

    def __init__(self, path, fault=""):
        self.path, self.fault = Path(path), fault
        self.down = self.path.with_suffix(".down")  # the fault lasts while this file is there

    def trouble(self):
        if self.fault == "slow":
            time.sleep(0.3)
        if not self.down.exists():
            return
        if self.fault == "raises":
            raise ValueError("no such thing")
        if self.fault == "unreachable":
            raise ConnectionError("nobody there")
        while self.fault == "hangs" and self.down.exists():
            time.sleep(0.05)

    def start(self, run):
        self.trouble()
        old = json.loads(self.path.read_text()) if self.path.exists() else {}
        empty = {"params": {}, "metrics": {}, "points": {}, "artifacts": {}, "state": None}
        self.kept = {**empty, "run": [run.experiment, run.name], **old}

    def params(self, values):
        self.trouble()
        self.kept["params"].update(values)

    def metrics(self, values):
        self.trouble()
        self.kept["metrics"].update(values)

    def points(self, points):
        self.trouble()
        for key, step, wall_time, value in points:
            self.kept["points"].setdefault(key, {})[str(step)] = [wall_time, value]

    def artifact(self, path, name, schema_title):
        self.trouble()
        self.kept["artifacts"][name] = path.read_text()

    def flush(self):
        self.trouble()
        self.path.write_text(json.dumps(self.kept))
        return True

    def end(self, state):
        self.trouble()
        self.kept["state"] = state

    def close(self):
        self.flush()


class HopefulMirror(FileMirror):
    """Shows a run as complete whose job has not said otherwise."""

    def end(self, state):
        super().end(state or "COMPLETE")
        return self.kept["state"]


class FileService:
    """A managed TensorBoard as Vertex AI's: limits, resource names; each write is at once safe."""

    def __init__(self, path):
        self.path = Path(path)
        self.down = self.path.with_suffix(".down")

    def _load(self):
        if self.down.exists():
            raise ConnectionError("503 service unavailable")
        return json.loads(self.path.read_text()) if self.path.exists() else {"requests": []}

    def open_run(self, experiment, run):
        self._load()
        return f"experiments/{experiment}/runs/{run}"

    def open_series(self, run, keys):
        kept = self._load()
        ids = {key: f"{run}/timeSeries/{key.replace('/', '_')}-id" for key in keys}
        for key in keys:
            kept.setdefault("series", {}).setdefault(ids[key], {"key": key, "points": {}})
        self.path.write_text(json.dumps(kept))
        return ids

    def write(self, run, series):
        kept = self._load()
        count = sum(len(points) for points in series.values())
        assert 0 < count <= MAX_POINTS, f"400 {count} points in one request"
        for name, points in series.items():
            steps = [point[0] for point in points]
            assert len(set(steps)) == len(steps), "400 a step twice in one request"
            for step, wall_time, value in points:
                kept["series"][name]["points"][str(step)] = [wall_time, value]
        kept["requests"].append(count)
        self.path.write_text(json.dumps(kept))


class ServiceMirror(ManagedMirror):
    def __init__(self, path):
        super().__init__(FileService(path))
