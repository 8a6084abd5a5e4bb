"""What many tests start from: a store of their own, and notebooks made on the spot."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from nbtools.kernels.zygotes import Zygotes
from nbtools.settings import Settings

# A shell's background jobs, and all that these begin, ignore Ctrl-C unless told otherwise.
signal.signal(signal.SIGINT, signal.default_int_handler)
# gcsfs reads it when it is imported, whichever test does that first; else it asks for each
# bucket, for a minute, by a door that no emulator has.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"


@pytest.fixture
def store_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NBTOOLS_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def call(store_folder, tmp_path):
    """The command, as its user calls it."""

    def call(*args, **options):
        command = [str(Path(sys.executable).with_name("nbtools")), *map(str, args)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, **options)

    return call


@pytest.fixture
def make_notebook(tmp_path):
    def make(
        name, *cells, parameters="lr: float = 1e-3  # learning rate", kernel="python3", folder=None
    ):
        node = new_notebook(
            cells=[new_code_cell(c) for c in cells],
            metadata={"kernelspec": {"name": kernel, "display_name": kernel}},
        )
        if parameters is not None:
            tagged = {"tags": ["parameters"]}
            node.cells.insert(0, new_code_cell(parameters, metadata=tagged))
        path = (folder or tmp_path) / name
        nbformat.write(node, path)
        return path

    return make


@pytest.fixture(autouse=True)
def own_wandb():
    """W&B, used in this process, tells those that it begins where its service is: not ours."""
    before = {key for key in os.environ if key.startswith("WANDB")}
    yield
    for key in {key for key in os.environ if key.startswith("WANDB")} - before:
        del os.environ[key]


@pytest.fixture(scope="session", autouse=True)
def own_zygotes():
    """Zygotes of the tests' own, and none left when the tests have ended."""
    # Short: sockets go there. A kernel that ends just now may still write into it.
    with tempfile.TemporaryDirectory(prefix="nbt-", ignore_cleanup_errors=True) as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder
        yield
        Zygotes(Settings.load().runtime).stop()
