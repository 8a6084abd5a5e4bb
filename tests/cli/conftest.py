"""Services that run, for tests of what they do."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

NBTOOLS = str(Path(sys.executable).with_name("nbtools"))


def until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)
    return found


@pytest.fixture
def service(store_folder, tmp_path):
    """Begins services; all that are left are killed in the end."""
    begun = []

    def service(*args):
        log = (tmp_path / f"service-{len(begun)}.log").open("w")
        begun.append(subprocess.Popen([NBTOOLS, "service", "run", *args], cwd=tmp_path, stderr=log))
        return begun[-1]

    yield service
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.wait()
