"""The same tests on both sides: the emulator, in every run, and Google's own with `-m live`."""

import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

NBTOOLS = str(Path(sys.executable).with_name("nbtools"))
#: what the tests on Google's side have to be told.
NEEDED = ("GOOGLE_CLOUD_PROJECT", "NBTOOLS_LIVE_BUCKET")


def missing():
    """One sentence, or nothing."""
    names = [name for name in NEEDED if not os.environ.get(name)]
    said = f"tests on Google's side need {' and '.join(names)} in the environment"
    return f"{said}: see docs/emulator.md" if names else ""


def pytest_collection_finish(session):
    """Say at once what is missing: of many tests none could begin."""
    config = session.config
    if config.option.collectonly or hasattr(config, "workerinput"):  # of pytest-xdist
        return
    if any(item.get_closest_marker("live") for item in session.items) and (said := missing()):
        raise pytest.UsageError(said)


@dataclass
class Side:
    """One of the two, to programs that do not know which."""

    name: str  #: emulator or vertex
    env: dict[str, str]
    folder: Path
    project: str
    location: str  #: a region
    bucket: str  #: gs://…, for what is to be staged; of the emulator empty

    @property
    def zone(self):
        return os.environ.get("NBTOOLS_LIVE_ZONE", f"{self.location}-a")

    def new(self, word):
        """A name that nothing there has."""
        return f"nbtools-live-{word}-{uuid.uuid4().hex[:8]}"

    def program(self, code: str, *args: str) -> Any:
        """What a program, that uses Google's SDK as anybody does, prints as JSON in the end."""
        where = f"project={self.project!r}, location={self.location!r}"
        lines = ("import json, sys", "from google.cloud import aiplatform")
        begin = f"aiplatform.init({where})"
        done = subprocess.run(
            [sys.executable, "-c", "\n".join([*lines, begin, code]), *args], env=self.env,
            cwd=self.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def nbtools(self, *words: object, code: int = 0) -> Any:
        """What a command prints as JSON; what it says instead, where it ends with `code`."""
        done = subprocess.run(
            [NBTOOLS, *map(str, words), "--project", self.project, "--json"], env=self.env,
            cwd=self.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        return done.stderr if code else json.loads(done.stdout)


@pytest.fixture(scope="session")
def emulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    own = {**os.environ, "NBTOOLS_STORE": str(folder / "store")}
    subprocess.run([NBTOOLS, "emulator", "start", "--project", "lab"], env=own, check=True)
    try:
        command = f"eval \"$('{NBTOOLS}' emulator env)\" && env -0"
        said = subprocess.run(
            ["/bin/sh", "-c", command], env=own, check=True, capture_output=True, text=True
        ).stdout
        env = dict(line.split("=", 1) for line in said.split("\0") if line)
        yield Side("emulator", env, folder, "lab", "us-central1", "")
    finally:
        subprocess.run([NBTOOLS, "emulator", "stop"], env=own, check=True)


@pytest.fixture(scope="session")
def googles(tmp_path_factory):
    if said := missing():
        pytest.fail(said, pytrace=False)
    folder = tmp_path_factory.mktemp("live")
    env = {key: value for key, value in os.environ.items() if not key.startswith("NBTOOLS_VERTEX")}
    env["NBTOOLS_STORE"] = str(folder / "store")
    project, bucket = (env[name] for name in NEEDED)
    location = env.get("NBTOOLS_LIVE_LOCATION", "us-central1")
    return Side("vertex", env, folder, project, location, f"gs://{bucket.removeprefix('gs://')}")


@pytest.fixture(params=["emulator", pytest.param("vertex", marks=pytest.mark.live)])
def side(request):
    """Both of them, one after the other."""
    kind = "emulated" if request.param == "emulator" else "googles"
    return request.getfixturevalue(kind)
