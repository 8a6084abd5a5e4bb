"""The state of a kernel between two cells, kept as a process that waits: a checkpoint.

Executed inside an IPython kernel, which may know nothing of nbtools, so it imports the
standard library, what the kernel has loaded, and the files beside it. `freeze` forks the
kernel; the fork waits at a socket for whoever wants to go on from there, and forks itself
for each, so that the same state can be gone on from many times.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import importlib.util
import os
import select
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from nbtools.kernels import forked, loading, wire
else:

    def _beside(name: str) -> Any:
        """A module of this folder; the one that a zygote has loaded, if one has."""
        known = f"_nbtools_{name}"
        if known not in sys.modules:
            file = Path(__file__).with_name(f"{name}.py")
            spec = importlib.util.spec_from_file_location(known, file)
            module = sys.modules[known] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        return sys.modules[known]

    forked, loading, wire = _beside("forked"), _beside("loading"), _beside("wire")

#: packages whose threads a kernel has anyway, and gets anew when it goes on.
OWN = (
    "ipykernel", "IPython", "zmq", "_nbtools_", "debugpy", "pydevd", "_pydevd_bundle",
    "nbtools.logbook", "nbtools.about",
)  # fmt: skip
#: seconds for the fork that tries whether parallel work survives one.
PATIENCE = 3.0


def freeze(path: str, keep: float) -> str:
    """Keep this moment at the socket `path` for `keep` seconds; "" or why it cannot be."""
    if reason := _unfit():
        return reason
    with socket.socket(socket.AF_UNIX) as listen:
        listen.bind(path)
        Path(path).chmod(0o600)
        listen.listen(4)
        if os.fork() == 0:
            _wait(listen, keep)
    return ""


def _unfit() -> str:
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        return "CUDA is in use, which does not survive a fork"
    strangers = [
        thread.name
        for thread in threading.enumerate()
        if thread is not threading.main_thread() and not _is_own(thread)
    ]
    if strangers:
        return f"threads are at work, which a fork would lose: {', '.join(strangers)}"
    hint = "; --threads 1 makes it possible" if torch else ""
    hangs: str = loading.trial(PATIENCE)
    return hangs and f"{hangs}{hint}"


def _is_own(thread: threading.Thread) -> bool:
    target = getattr(thread, "_target", None)
    modules = (type(thread).__module__, getattr(target, "__module__", None) or "")
    return any(module.startswith(OWN) for module in modules)


def _wait(listen: socket.socket, keep: float) -> NoReturn:
    """The frozen process: waits, and forks for each that wants to go on."""
    try:
        os.setsid()
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # the kernel's need its threads
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who guards a kernel is not waited for
        while select.select([listen], [], [], keep)[0]:
            connection, _ = listen.accept()
            try:
                request, fds = wire.receive(connection)
            except (OSError, EOFError, ValueError):
                connection.close()  # somebody only looked whether we are here
                continue
            if request.get("stop"):
                wire.send(connection, {"gone": "asked to stop"})
                break
            if os.fork() == 0:
                listen.close()
                _guard(connection, request, fds)
            connection.close()
            for fd in fds:
                os.close(fd)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(listen.getsockname())  # noqa: PTH108
        os._exit(0)


def _guard(connection: socket.socket, request: dict[str, Any], fds: list[int]) -> NoReturn:
    """The parent of a kernel that goes on: tells how it ends, and ends it with its client."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        pid = os.fork()
        if pid == 0:
            connection.close()
            _go_on(request, fds)
        for fd in fds:
            os.close(fd)
        pidfd = os.pidfd_open(pid)
        wire.send(connection, {"pid": pid}, [pidfd])
        if connection.fileno() in select.select([connection.fileno(), pidfd], [], [])[0]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        with contextlib.suppress(OSError):
            wire.send(connection, {"exit": os.waitstatus_to_exitcode(status)})
    finally:
        os._exit(0)


def _go_on(request: dict[str, Any], fds: list[int]) -> NoReturn:
    """Be the kernel again, in the state in which it was frozen, at new sockets."""
    code = 1
    try:
        forked.descriptors(fds, bool(request.get("lifeline")))
        forked.signals()
        asyncio.events._set_running_loop(None)  # that of the kernel that was forked
        asyncio.set_event_loop(asyncio.new_event_loop())
        _relaunch(list(request["argv"]))
        code = 0
    finally:
        forked.leave(code)


def _relaunch(argv: list[str]) -> None:
    """A new kernel around the old shell: the shell is what holds the state."""
    from ipykernel.kernelapp import IPKernelApp

    old: Any = IPKernelApp.instance()
    shell = old.shell
    for farewell in (old.close, old.cleanup_connection_file):
        atexit.unregister(farewell)
    kernel_class = type(old.kernel)
    IPKernelApp.clear_instance()
    kernel_class.clear_instance()  # the shell's own singleton stays: the new kernel takes it
    if history := getattr(shell, "history_manager", None):
        history.enabled = False  # its database belongs to the process that was forked
    app: Any = IPKernelApp.instance()
    for setup in ("init_extensions", "init_code", "init_gui_pylab", "init_path"):
        setattr(app, setup, lambda: None)  # has been done, and what it did is in the state
    app.initialize(argv)
    shell.kernel = shell.parent = app.kernel
    for comm in app.kernel.comm_manager.comms.values():
        comm.kernel = app.kernel
    app.start()
