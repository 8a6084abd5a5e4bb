"""What a forked process does to be what `python -m MODULE ARGS` would be.

Part of the zygote program: imports the standard library only.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import itertools
import json
import os
import runpy
import signal
import sys
import threading
import traceback
import types
import weakref
from typing import Any, NoReturn

#: added to the likelihood of being killed when memory runs out: a job goes, the zygote stays.
OOM_SCORE = 300
#: seconds that a kernel's last words may take.
STALL = 10.0
#: what a request must say.
NEEDED = {"module", "argv", "env", "cwd"}
#: bytes of names after which nothing is learned any more.
LEARNED = 1 << 20


def become(request: dict[str, Any], fds: list[int], learned: str) -> NoReturn:
    """Run `python -m request["module"] *request["argv"]` in `cwd` with `env`, and end.

    `fds` are standard input, output and error, then the lifeline, whose end of file ends
    this process, then, if `sealed`, that of variables that only this process may know, then
    any that the module is to have: their numbers go behind `argv`.
    `learned` is the file where the names of modules go that had to be imported besides.
    """
    newest = next(reversed(sys.modules))
    kept = descriptors(fds, bool(request.get("lifeline")))
    _streams()
    os.environ.clear()
    os.environ.update(request["env"])
    if request.get("sealed"):
        with open(kept.pop(0), "rb") as file:  # noqa: PTH123
            os.environ.update(json.load(file))
    os.chdir(request["cwd"])
    signals()
    _place(request["cwd"])
    _chance()
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        finalizer.atexit = False  # what the zygote would clean up is not ours to clean up
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write(str(OOM_SCORE))
    sys.argv = ["-m", *request["argv"], *map(str, kept)]
    here = in_front(request)
    if here:
        sys.path.insert(0, here)
    gc.enable()
    code = _run(request["module"])
    with contextlib.suppress(OSError):
        _report(newest, beside(here), learned)
    leave(code)


def in_front(request: dict[str, Any]) -> str:
    """The folder that `python -m` puts in front of the search path, or ""."""
    return "" if request.get("safe_path") or sys.flags.safe_path else str(request["cwd"])


def beside(folder: str) -> set[str]:
    """The top-level modules that lie in a folder."""
    found = set()
    with contextlib.suppress(OSError), os.scandir(folder or "/dev/null") as entries:
        for entry in entries:
            name, _, suffix = entry.name.partition(".")
            package = not suffix and os.path.isfile(f"{entry.path}/__init__.py")  # noqa: PTH113
            if package or suffix == "py" or suffix.endswith("so"):
                found.add(name)
    return found


def descriptors(fds: list[int], lifeline: bool) -> list[int]:
    """Be a session of its own with these streams; the descriptors that are left to keep."""
    os.setsid()
    for number, fd in enumerate(fds[:3]):
        os.dup2(fd, number)
        os.close(fd)
    kept = fds[3:]
    if lifeline:
        threading.Thread(target=_watch, args=(kept.pop(0),), daemon=True).start()
    return kept


def _streams() -> None:
    """The zygote's streams were made for its log: these may be a terminal, or a pipe."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        old = getattr(sys, name)
        raw = open(number, "wb", 0 if old.write_through else -1, closefd=False)  # noqa: SIM115
        new = io.TextIOWrapper(
            raw,
            old.encoding,
            old.errors,
            line_buffering=number == 2 or os.isatty(number),
            write_through=old.write_through,
        )
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


def _watch(lifeline: int) -> None:
    """End, with all that was started here, when whoever asked for this process has ended."""
    os.read(lifeline, 1)
    with contextlib.suppress(OSError):
        os.killpg(0, signal.SIGKILL)


def signals() -> None:
    """Handle signals as a new Python does."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _place(cwd: str) -> None:
    """What multiprocessing noted when it was loaded is what it would note here."""
    if multiprocessing := sys.modules.get("multiprocessing.process"):
        multiprocessing.ORIGINAL_DIR = cwd  # type: ignore[attr-defined]
        multiprocessing.current_process().authkey = os.urandom(32)


def _chance() -> None:
    """Every process has random numbers of its own, as if it had imported the modules itself."""
    if random := sys.modules.get("numpy.random"):
        random.seed()
    if torch := sys.modules.get("torch"):
        torch.default_generator.seed()


def _run(module: str) -> int:
    """Run it to its end; the exit status that Python would give."""
    try:
        sys.modules["__main__"] = types.ModuleType("__main__")
        runpy._run_module_as_main(module)  # type: ignore[attr-defined]  # what `-m` calls
    except SystemExit as leaving:
        if leaving.code is None or isinstance(leaving.code, int):
            return leaving.code or 0
        print(leaving.code, file=sys.stderr)  # noqa: T201 - as Python does
        return 1
    except BaseException as error:  # noqa: BLE001 - told as Python tells it
        traceback.print_exc()
        return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _report(newest: str, own: set[str], learned: str) -> None:
    """Write down the modules that came after `newest`.

    From the end: to look at all of them would copy a thousand pages that are still shared.
    """
    late = itertools.takewhile(lambda name: name != newest, reversed(sys.modules))
    names = [name for name in late if name.partition(".")[0] not in own][::-1]
    fd = os.open(learned, os.O_WRONLY | os.O_APPEND)
    if names and os.fstat(fd).st_size < LEARNED:
        os.write(fd, json.dumps(names).encode() + b"\n")
    os.close(fd)


def _settle_kernel() -> None:
    """Let ipykernel's control thread finish while all that it needs is there.

    Its last act is to flush what was printed. ipykernel stops the thread that takes that
    first, then waits for the control thread: now and then for seconds.
    """
    module = sys.modules.get("ipykernel.kernelapp")
    if module and module.IPKernelApp.initialized():
        control = module.IPKernelApp.instance().control_thread
        if control and control.is_alive():
            control.stop()
            control.join(STALL)


def leave(code: int) -> NoReturn:
    """End as the interpreter does, but for taking apart the modules that came from the
    zygote: freeing those would first copy them, a fifth of a second where torch is loaded.
    """
    try:
        _settle_kernel()
        threading._shutdown()  # type: ignore[attr-defined]  # wait for threads
        atexit._run_exitfuncs()
        main = vars(sys.modules["__main__"])
        for name in [n for n in main if not n.startswith("__")]:
            main[name] = None  # what the program made is finalized, as at any end
        gc.collect()
        for thing in gc.get_objects():  # what the zygote had is frozen, and not among them
            if isinstance(thing, io.TextIOWrapper | io.BufferedWriter | io.BufferedRandom):
                with contextlib.suppress(ValueError, OSError):
                    thing.flush()
    except BaseException:  # noqa: BLE001 - nobody is left to raise it to
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or gone
            sys.__stdout__.flush()  # type: ignore[union-attr]
            sys.__stderr__.flush()  # type: ignore[union-attr]
        if code < 0:  # what Python does after a KeyboardInterrupt
            signal.signal(-code, signal.SIG_DFL)
            os.kill(os.getpid(), -code)
        os._exit(code)
