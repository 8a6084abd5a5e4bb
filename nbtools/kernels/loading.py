"""What a zygote has loaded, and whether it can be forked.

Part of the zygote program: imports the standard library only.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import json
import os
import select
import signal
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

#: messages of a kernel that may wait to be read.
QUEUE = 200_000
#: modules that want to know one thing of IPython, whether it is a kernel: it will be.
ABOUT_KERNELS = {"pandas.core.config_init"}
ONCE = "it looks for IPython when it is imported, and cannot be imported a second time"
THREADS = "it starts threads, which a fork would lose"
#: threads that their library starts again after a fork: jemalloc's, which pyarrow brings.
REVIVED = {"jemalloc_bg_thd"}
#: seconds for the forked process that tries whether forking works.
PATIENCE = 20.0


def load(names: list[str]) -> dict[str, str]:
    """Import modules in order; returns those that were refused, with the reason.

    Stops at one that starts threads: that cannot be undone, so it is the last returned.
    """
    refused = {}
    for name in names:
        try:
            with warnings.catch_warnings():  # the kernel that uses it is the one to warn
                warnings.simplefilter("ignore")
                importlib.import_module(name)
        except BaseException as error:  # noqa: BLE001 - modules raise anything, SystemExit too
            refused[name] = f"{type(error).__name__}: {error}"
        if _threads() > 1 and canary() == THREADS:
            refused[name] = THREADS
            break
    return refused


def rehearse() -> None:
    """Do once what every IPython kernel would do anew: patterns compiled here are there."""
    if transformer := sys.modules.get("IPython.core.inputtransformer2"):
        transformer.TransformerManager().transform_cell("%time x = !ls\nprint(x?)\n")
    if "ipykernel.kernelbase" in sys.modules:
        with contextlib.suppress(ImportError):
            importlib.import_module("psutil")  # where there is one, each asks it at its end


def widen() -> None:
    """Let what a kernel says wait until it is read: zmq throws away what is beyond 1000."""
    app: Any = getattr(sys.modules.get("ipykernel.kernelapp"), "IPKernelApp", None)
    if app is None:
        return
    begin = app.init_iopub

    def init_iopub(self: Any, context: Any) -> None:
        context.setsockopt(sys.modules["zmq"].SNDHWM, QUEUE)
        begin(self, context)

    app.init_iopub = init_iopub


@contextlib.contextmanager
def noting_who_asks(askers: set[str]) -> Iterator[None]:
    """Note modules that ask, while they are imported, whether this is IPython.

    It is not here, and it will be in a child: there they must be imported anew. With the
    module that asks goes what of its own package was just importing it.
    """

    def asked(*_: object) -> Any:
        frame = sys._getframe(1)
        package = ""
        while frame := frame.f_back:  # type: ignore[assignment]
            name = frame.f_globals.get("__name__", "")
            if frame.f_code.co_name == "<module>" and name != "__main__":
                package = package or name.partition(".")[0]
                if name.partition(".")[0] == package:
                    askers.add(name)

    shell: Any = getattr(sys.modules.get("IPython.core.interactiveshell"), "InteractiveShell", None)
    if shell is None:
        yield
        return

    def get_ipython() -> Any:
        if sys._getframe(1).f_globals.get("__name__") in ABOUT_KERNELS:
            return types.SimpleNamespace(kernel=None)
        asked()
        raise NameError("name 'get_ipython' is not defined")

    shell.initialized = classmethod(asked)
    builtins.get_ipython = get_ipython  # type: ignore[attr-defined]
    try:
        yield
    finally:
        del shell.initialized, builtins.get_ipython  # type: ignore[attr-defined]


def forget(askers: set[str]) -> None:
    """Have modules imported anew by whoever asks for them next."""
    for name in askers:
        package, _, last = name.rpartition(".")
        sys.modules.pop(name, None)
        with contextlib.suppress(KeyError, AttributeError):
            delattr(sys.modules[package], last)


def once_only(askers: set[str]) -> bool:
    """Whether importing these anew fails: tried in a fork."""

    def attempt() -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        forget(askers)
        for name in sorted(askers):
            importlib.import_module(name)

    return bool(askers) and bool(_in_a_fork(attempt, PATIENCE))


def canary() -> str:
    """Fork once and look whether that works; "" or the reason why not.

    Well-made libraries (OpenBLAS) stop their threads at a fork and begin them anew; a
    thread that is still there afterwards would be missing in every child.
    """
    return trial(PATIENCE) or (THREADS if _threads() > 1 else "")


def trial(patience: float) -> str:
    """Do parallel work in a fork, for at most `patience` seconds; "" or how that fails."""
    how = _in_a_fork(_parallel_work, patience)
    return how and f"parallel work {how} after a fork"


def _in_a_fork(work: Callable[[], None], patience: float) -> str:
    """Do it in a fork that is gone afterwards: "" or that it `fails` or `hangs`."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    pidfd = os.pidfd_open(pid)
    try:
        if not select.select([pidfd], [], [], patience)[0]:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return "hangs"
    finally:
        os.close(pidfd)
    _, status = os.waitpid(pid, 0)
    return "fails" if status else ""


def _threads() -> int:
    """How many threads this process has, those of libraries in C included, but for those
    that are known to be begun anew where a fork needs them.
    """
    names = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # it has just ended
            names.append((task / "comm").read_text().strip())
    return len([name for name in names if name not in REVIVED])


def _parallel_work() -> None:
    """What hangs in a child when a pool of threads was lost: BLAS and OpenMP."""
    if numpy := sys.modules.get("numpy"):
        square = numpy.ones((256, 256))
        square @ square
    if torch := sys.modules.get("torch"):
        torch.ones(1 << 17).mul(2.0).sum().item()


class Modules:
    """The modules that are loaded: the files they came from, and what is worth adding."""

    def __init__(self, path: str) -> None:
        self.path = path  #: children append here what they had to import
        self._stamps: dict[str, object] = {}
        self.askers: set[str] = set()  #: see `noting_who_asks`
        self._base: set[str] = set()
        self._tried: set[str] = set()
        self._read = 0

    def note(self, files: list[str]) -> None:
        """Take in files, there or not, that what is loaded was made from."""
        self._stamps.update({file: _stamp(file) for file in files})

    def note_files(self) -> None:
        """Take in the modules that were loaded since."""
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if name != "__main__" and isinstance(file, str) and file not in self._stamps:
                self._stamps[file] = _stamp(file)

    def note_base(self) -> None:
        """What is loaded now every process would have loaded, wherever it is at work."""
        self._base = set(sys.modules)

    def shadowed(self, own: set[str]) -> str:
        """One of the modules here in whose place a new process would have loaded its own."""
        return next((name for name in own if name in sys.modules and name not in self._base), "")

    def changed(self) -> str:
        """A file that is no longer what was loaded, or ""."""
        return next((f"{f} changed" for f, was in self._stamps.items() if _stamp(f) != was), "")

    def learned(self) -> list[str]:
        """What children had to import since this was last asked, and the next need not.

        Only parts of packages that are here already, and of the standard library: what
        a notebook imports besides may depend on what it has done before.
        """
        with Path(self.path).open(encoding="utf-8") as file:
            file.seek(self._read)
            lines = file.readlines()
            self._read = file.tell()
        here = {name.partition(".")[0] for name in sys.modules} | sys.stdlib_module_names
        names: dict[str, None] = {}
        for line in lines:
            for name in json.loads(line):
                if name.partition(".")[0] in here and name not in sys.modules:
                    names[name] = None
        fresh = [name for name in names if name not in self._tried]
        self._tried.update(fresh)
        return fresh


def _stamp(file: str) -> object:
    try:
        found = os.stat(file)  # noqa: PTH116 - called some thousand times for a fork
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
