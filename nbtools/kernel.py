"""The kernel of one execution: started, made sure to be heard, and ended for good."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any

import zmq
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import ensure_async
from traitlets import default

from nbtools.kernels.fork import ended
from nbtools.kernels.zygotes import can_fork
from nbtools.masking import Pipe
from nbtools.screen import Screen
from nbtools.secrets import Secrets
from nbtools.settings import environment

if TYPE_CHECKING:
    from nbformat import NotebookNode

#: seconds that what is executed unseen may take.
PATIENCE = 30.0
#: what a Python kernel does first that has secrets: it may not have nbtools, then it cannot log.
KNOW = "__import__('nbtools.secrets', fromlist=['own']).own() and ''"
#: what a kernelspec says to have its kernels forked.
WARM = {"provisioner_name": "nbtools-warm"}


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How the kernel is to be started."""

    kernel: str  #: kernelspec name
    warm: bool = True  #: from a zygote, where it is an IPython kernel and this is Linux
    preload: tuple[str, ...] = ()  #: what the zygote shall have loaded
    patience: float = 60.0  #: seconds to wait for a zygote that is loading
    thaw: str = ""  #: go on from the kernel that is frozen at this socket
    setup: str = ""  #: executed there first, unseen
    secrets: Secrets = field(default_factory=Secrets)  #: values that are to be shown nowhere
    sealed: Mapping[str, str] = field(default_factory=dict, repr=False)  #: its own environment
    startup_timeout: float = 60.0  #: seconds until the kernel must answer
    options: dict[str, Any] = field(default_factory=dict)  #: for nbclient


class Manager(AsyncKernelManager):
    """jupyter_client's, without the hundredth of a second that it lets pass after each start
    and each end for the sake of its tests.
    """

    start_kernel = inspect.unwrap(AsyncKernelManager.start_kernel)
    shutdown_kernel = inspect.unwrap(AsyncKernelManager.shutdown_kernel)


class Kernel(Screen):
    """nbclient's client, with a kernel that is warm where it can be, whose end is noticed at
    once and known by its reason, and that leaves nothing behind.
    """

    km: Any
    kc: Any
    task_poll_for_reply: Any

    def __init__(self, nb: NotebookNode, launch: Launch) -> None:
        super().__init__(
            nb, kernel_name=launch.kernel, raise_on_iopub_timeout=True, **launch.options
        )
        self._launch = launch
        self._process: Any = None  #: the kernel's, or None where it is not on this machine
        self._ooms = _out_of_memory()
        self._heard = 0  #: messages about cells
        self._aside: Pipe | None = None  #: what the kernel writes besides what it says

    @default("kernel_manager_class")
    def _kernel_manager_class_default(self) -> type[AsyncKernelManager]:
        return Manager

    @property
    def pid(self) -> int:
        """The kernel's process; 0 before it is there, and where it is on another machine."""
        return getattr(self._process, "pid", 0)

    async def start(self) -> None:
        """Start it, or take the one that was given; raises RuntimeError when it does not."""
        if self.km is None:
            self.km = self.create_kernel_manager()
        if not self.km.has_kernel:
            await self._launch_kernel()
        self._process = getattr(self.km.provisioner, "process", None)
        self.kc = AsyncKernelClient(parent=self.km, **self.km.get_connection_info(session=True))
        self.kc.context.setsockopt(zmq.RCVHWM, 0)  # else what we are slow to read is thrown away
        self.kc.start_channels(hb=False)
        self.kc.allow_stdin = False
        await self._ready()
        if self._launch.secrets and self.nb.metadata.language_info["name"] == "python":
            await self.silently("", KNOW)
        if self._launch.thaw:
            await self.silently(self._launch.setup)

    async def _launch_kernel(self) -> None:
        spec, launch = self.km.kernel_spec, self._launch
        more: dict[str, Any] = {}
        if launch.warm and spec.language == "python" and not _provisioner(spec):
            spec.metadata = {**spec.metadata, "kernel_provisioner": WARM}
            more = {"preload": launch.preload, "patience": launch.patience}
        if launch.thaw:
            more = {"thaw": launch.thaw}
        if launch.sealed:
            more["env"] = {**environment(), **launch.sealed, **launch.secrets.environment()}
            if _provisioner(spec) == WARM["provisioner_name"]:
                more["secrets"] = launch.secrets
        if launch.secrets:
            self._aside = Pipe(launch.secrets.masking)
            more["stdout"] = more["stderr"] = self._aside.end
        resource_path = self.resources.get("metadata", {}).get("path") or None
        if resource_path:
            more["cwd"] = resource_path
        arguments = list(self.extra_arguments)
        if self.km.ipykernel and self.ipython_hist_file:  # a job's lines are nobody's history
            arguments.append(f"--HistoryManager.hist_file={self.ipython_hist_file}")
        try:
            await ensure_async(self.km.start_kernel(extra_arguments=arguments, **more))
        finally:
            if self._aside:
                self._aside.given()

    async def _ready(self) -> None:
        """Wait until the kernel answers, and is heard: both its channels must be there."""
        deadline = time.monotonic() + self._launch.startup_timeout
        while True:
            asked = self.kc.kernel_info()
            with contextlib.suppress(Empty):
                reply = await self._hear(self.kc.shell_channel, asked, 1.0)
                self.nb.metadata["language_info"] = reply["content"]["language_info"]
                while (await self._hear(self.kc.iopub_channel, asked, 0.2))["content"].get(
                    "execution_state"
                ) != "idle":
                    pass
                return
            if not await ensure_async(self.km.is_alive()):
                raise RuntimeError(f"it {self.how_it_ended()} before it answered")
            if time.monotonic() > deadline:
                raise RuntimeError(f"no answer in {self._launch.startup_timeout:g} seconds")

    async def _hear(self, channel: Any, asked: str, timeout: float) -> dict[str, Any]:
        """The next message on `channel` that answers `asked`. Raises Empty."""
        while True:
            message: dict[str, Any] = await channel.get_msg(timeout=timeout)
            if message["parent_header"].get("msg_id") == asked:
                return message

    async def silently(self, code: str, expression: str = "''") -> str:
        """Execute unseen; the value of `expression`, which is text, or how that failed."""
        asked = self.kc.execute(
            code, silent=True, store_history=False, user_expressions={"value": expression}
        )
        reply = (await self._hear(self.kc.shell_channel, asked, PATIENCE))["content"]
        value = reply.get("user_expressions", {}).get("value", reply)
        if value["status"] == "error":
            return f"{value['ename']}: {value['evalue']}"
        if "data" not in value:
            return "this kernel evaluates no expressions"
        return str(ast.literal_eval(value["data"]["text/plain"]))

    async def end(self, now: bool) -> None:
        """No kernel, no channel and nothing that the kernel started is left; `now`: killed."""
        if self.km is None:
            return
        if self.kc is not None:
            self.kc.stop_channels()
        if not self.owns_km:  # whose it is goes on with it
            return
        if self.km.provisioner is not None:
            with contextlib.suppress(RuntimeError):  # it never started
                await self.km.shutdown_kernel(now=now)
            await self.km.cleanup_resources()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        if self._aside:
            self._aside.wait()
        self.km = self.kc = None

    async def _async_poll_for_reply(
        self,
        msg_id: str,
        cell: NotebookNode,
        timeout: int | None,
        task_poll_output_msg: asyncio.Future[Any],
        task_poll_kernel_alive: asyncio.Future[Any],
    ) -> dict[str, Any]:
        """The reply, when all that was shown is here. nbclient allows for that so many seconds
        in all, which a busy machine and a cell that prints much may exceed: here they begin
        anew with whatever is heard.
        """
        shown, loop = task_poll_output_msg, asyncio.get_running_loop()
        at_once = loop.create_future()
        at_once.set_result(None)
        try:
            reply: dict[str, Any] = await super()._async_poll_for_reply(
                msg_id, cell, timeout, at_once, loop.create_future()
            )
            heard = -1
            while not shown.done() and heard != self._heard:
                heard = self._heard
                await asyncio.wait([shown], timeout=self.iopub_timeout)
        finally:
            task_poll_kernel_alive.cancel()
        if not shown.done():
            from nbclient.exceptions import CellTimeoutError

            raise CellTimeoutError.error_from_timeout_and_cell(
                "Timeout waiting for IOPub output", self.iopub_timeout, cell
            )
        shown.result()  # or what was wrong with it
        return reply

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> Any:
        """As nbclient's; counts what is heard."""
        self._heard += 1
        return super().process_message(msg, cell, cell_index)

    async def _async_poll_kernel_alive(self) -> None:
        """Notice the end of the kernel at once, where nbclient asks once a second."""
        if self._process is None or not can_fork():
            await super()._async_poll_kernel_alive()
            return
        await ended(self._process.pid)
        await asyncio.sleep(0.1)  # what it said last may still be on its way
        self.task_poll_for_reply.cancel()

    def how_it_ended(self) -> str:
        """In words: by itself, or by which signal."""
        code = self._process.poll() if self._process is not None else None
        if code is None:
            return "died"
        if code >= 0:
            return f"ended by itself with exit status {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        if name == "SIGKILL" and _out_of_memory() > self._ooms:
            return "was killed by SIGKILL: the machine ran out of memory"
        hint = ", often a sign that the machine ran out of memory" if name == "SIGKILL" else ""
        return f"was killed by {name}{hint}"


def _provisioner(spec: Any) -> str:
    name: str = spec.metadata.get("kernel_provisioner", {}).get("provisioner_name", "")
    return "" if name == "local-provisioner" else name


def _out_of_memory() -> int:
    """How often this machine has killed a process for want of memory."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
