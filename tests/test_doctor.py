"""What the doctor finds in environments that are broken in one way or another."""

import json
import subprocess
import sys

import pytest

from nbtools.doctor import examine
from nbtools.settings import Settings
from nbtools.store import Store


@pytest.fixture
def wrong(tmp_path, monkeypatch):
    """What is wrong: what was looked at -> (what was found, what mends it)."""
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))

    def wrong(**settings):
        settings = Settings(**{"store": tmp_path / "store", **settings})
        return {f.what: (f.found, f.mend) for f in examine(settings) if f.mend}

    return wrong


def kernel(tmp_path, text):
    folder = tmp_path / "jupyter" / "kernels" / "mine"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(text)
    return folder


def test_nothing_is_wrong_here(wrong):
    assert wrong() == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{broken", "cannot be read (JSONDecodeError"),
        ("{}", "cannot be read (KeyError"),
        ("[]", "cannot be read (TypeError"),
        ('{"argv": []}', "cannot be read (IndexError"),
        ('{"argv": ["/no/such/python", "-m", "ipykernel_launcher"]}', "no program /no/such/python"),
    ],
)
def test_a_kernel_that_cannot_start(wrong, tmp_path, text, said):
    folder = kernel(tmp_path, text)
    found, mend = wrong()["kernel mine"]
    assert said in found
    assert mend == f"mend {folder}/kernel.json, or remove {folder}"


@pytest.mark.parametrize("program", ["python", "python3", "python3.11", sys.executable, "sh"])
def test_a_kernel_that_can(wrong, tmp_path, program):
    kernel(tmp_path, json.dumps({"argv": [program]}))
    assert wrong() == {}


def test_a_store_that_is_damaged(wrong, tmp_path):
    Store(tmp_path / "store").close()
    path = tmp_path / "store" / "store.sqlite"
    data = path.read_bytes()
    path.write_bytes(data[:8192] + bytes(len(data) - 8192))
    ((found, mend),) = wrong().values()
    assert found
    assert "nbtools store repair" in mend


def test_a_store_that_cannot_be(wrong, tmp_path):
    (tmp_path / "file").touch()
    assert "set NBTOOLS_STORE to a folder" in wrong(store=tmp_path / "file")["store works"][1]


def test_a_package_that_is_not_there(store_folder):
    """In a process in which the package cannot be found, nor anything be imported from it."""
    script = (
        "import sys; sys.modules['jupyter_client'] = None\n"
        "import importlib.metadata as m\nreal = m.version\n"
        "def version(name):\n"
        "    if name == 'jupyter_client': raise m.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "m.version = version\n"
        "sys.argv = ['nbtools', 'doctor']\nfrom nbtools.cli import main\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "pip install jupyter_client" in done.stdout
