"""Zygotes for one test, programs for them to fork, and kernels to talk to."""

import contextlib
import dataclasses
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import pytest
from jupyter_client import KernelManager

from nbtools.kernels.fork import Fork, Program
from nbtools.kernels.zygotes import Spec, Zygotes


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)
    return found


def state(pid):
    """The letter that says what a process does; "" when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def children(pid):
    """{pid: state} of its children."""
    found = (Path(f"/proc/{pid}/task") / str(pid) / "children").read_text().split()
    return {int(child): state(child) for child in found}


@pytest.fixture
def runtime():
    """A folder for sockets, with a short name."""
    with tempfile.TemporaryDirectory(prefix="nbt-") as folder:
        yield Path(folder) / "run"


@pytest.fixture
def zygotes(runtime):
    """Those of this test, which are stopped with it; none ends of itself meanwhile."""
    made = Zygotes(runtime, idle=300.0)
    yield made
    made.stop()


@dataclasses.dataclass
class Forks:
    """Forks programs and reads what they print."""

    zygotes: Zygotes
    folder: Path
    lib: Path
    count: int = 0

    def begin(self, code, *argv, preload=(), wait=60.0, options=(), env=None, **values):
        self.count += 1
        name = f"program{self.count}"
        (self.folder / f"{name}.py").write_text(code)
        self.out = self.folder / f"{name}.out"
        full = {**os.environ, "PYTHONPATH": str(self.lib), **(env or {})}
        with self.out.open("wb") as out:
            program = Program(
                module=name,
                argv=argv,
                env=full,
                cwd=str(self.folder),
                stdio=(None, out, out),
                **values,
            )
            spec = Spec.of(sys.executable, tuple(preload), full, options)
            fork = self.zygotes.fork(spec, program, wait)
        if fork:
            fork.out = self.out
        return fork

    def run(self, code, *argv, **values):
        """What it printed, as JSON where it is that; it must end well."""
        fork = self.begin(code, *argv, **values)
        assert fork.wait(60) == 0, fork.out.read_text()
        text = fork.out.read_text()
        try:
            return json.loads(text)
        except ValueError:
            return text

    def module(self, name, code):
        """Write a module that zygotes can load."""
        path = self.lib / f"{name}.py"
        path.write_text(code)
        return path

    def zygote(self):
        """The only zygote, as it stands."""
        (found,) = self.zygotes.list()
        return found


@pytest.fixture
def forks(zygotes, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "lib").mkdir()
    return Forks(zygotes, tmp_path / "work", tmp_path / "lib")


def write_spec(folder, name, preload=(), config=None, **more):
    """A kernelspec whose kernels are forked."""
    spec = folder / "kernels" / name
    spec.mkdir(parents=True)
    config = {"preload": list(preload), "patience": 60.0, **(config or {})}
    provisioner = {"provisioner_name": "nbtools-warm", "config": config}
    content = {
        "argv": [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher",
                 "-f", "{connection_file}"],
        "display_name": name,
        "language": "python",
        "metadata": {"kernel_provisioner": provisioner},
        **more,
    }  # fmt: skip
    (spec / "kernel.json").write_text(json.dumps(content))


@pytest.fixture(scope="package")
def specs(tmp_path_factory):
    """Kernelspecs `warm`, and `warm-torch` and the like with more loaded."""
    folder = tmp_path_factory.mktemp("jupyter")
    write_spec(folder, "warm")
    write_spec(folder, "warm-numpy", ["numpy", "matplotlib.pyplot", "matplotlib_inline"])
    write_spec(folder, "asking", ["asking.calm", "asking.auto"])
    write_spec(folder, "warm-torch", ["numpy", "torch"])
    write_spec(folder, "warm-pyarrow", ["pandas", "pyarrow"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder), prepend=os.pathsep)  # templates may be there
        yield folder


class Kernel:
    """A kernel to talk to."""

    def __init__(self, manager):
        self.manager = manager
        self.client = manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    @property
    def process(self):
        return self.manager.provisioner.process

    def hear(self, code):
        """The messages that running `code` gave, its reply last."""
        heard = []
        reply = self.client.execute_interactive(
            code, timeout=60, output_hook=heard.append, allow_stdin=False
        )
        return [*heard, reply]

    def run(self, code):
        """What it printed; raises what went wrong."""
        *heard, reply = self.hear(code)
        assert reply["content"]["status"] == "ok", reply["content"]
        return "".join(m["content"]["text"] for m in heard if m["msg_type"] == "stream")


@pytest.fixture
def kernel(specs, tmp_path):
    """Begins kernels, which end with the test."""
    with contextlib.ExitStack() as stack:

        def begin(name="warm", **options):
            manager = KernelManager(kernel_name=name)
            options.setdefault("cwd", str(tmp_path))
            manager.start_kernel(**options)
            stack.callback(manager.shutdown_kernel, now=True)
            made = Kernel(manager)
            stack.callback(made.client.stop_channels)
            assert isinstance(made.process, Fork)
            return made

        yield begin
