"""A kernel provisioner whose kernels are forked from a zygote that has the imports loaded.

jupyter_client finds it by its entry point, `nbtools-warm`; a kernelspec names it in its
metadata, so papermill, nbclient, nbconvert and JupyterLab use it unchanged. Where a fork
is not to be had, the kernel is an ordinary one, and behaves the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Float, List, Unicode

from nbtools.kernels.fork import Fork, Program, ended
from nbtools.kernels.zygotes import Spec, Zygotes, can_fork, connected, private
from nbtools.secrets import Secrets
from nbtools.settings import Settings

#: the modules that launch IPython's kernel.
LAUNCHERS = {"ipykernel_launcher", "ipykernel"}
#: what the launchers load before the working folder counts.
BASE = ("ipykernel.kernelapp",)
#: what ipykernel tells matplotlib to use when nobody says otherwise.
INLINE = "module://matplotlib_inline.backend_inline"
#: seconds to wait for a kernel to end by itself before whoever asked looks again.
MOMENT = 1.0
CHANNELS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")


class WarmProvisioner(LocalProvisioner):
    """Launches ipykernel by a fork; anything else as it would be launched anyway."""

    parent: Any
    process: Any
    _private = False  # whether the sockets are in a folder of this user's
    preload = List(Unicode(), help="Modules to load before forking.").tag(config=True)
    patience = Float(0.0, help="Seconds to wait for a zygote that is loading.").tag(config=True)

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Choose sockets in a folder that is this user's alone instead of TCP ports."""
        km = self.parent
        if can_fork() and km.transport == "tcp" and not km.shell_port:
            km.transport = "ipc"
            km.ip = str(private(Settings.load().runtime) / f"k-{os.urandom(6).hex()}")
            self._private = True
        return await super().pre_launch(**kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Fork it; `preload` and `patience` among `kwargs` go before the traits of these names.

        Of the environment what is among `secrets` goes to the kernel, and past its zygote.
        """
        secrets = kwargs.pop("secrets", None) or Secrets()
        preload = kwargs.pop("preload", None) or self.preload
        patience = float(kwargs.pop("patience", self.patience))
        made = None
        if thaw := kwargs.pop("thaw", ""):
            made = await asyncio.to_thread(self._thawed, thaw, Launch.of(cmd), kwargs)
        elif self._private and (launch := Launch.of(cmd)):
            sealed = secrets.among(kwargs["env"])
            open_ = {k: v for k, v in kwargs["env"].items() if k not in sealed}
            program = launch.program({**kwargs, "env": open_}, self._leavings(), sealed)
            spec, settings = launch.spec(tuple(preload), program.env), Settings.load()
            zygotes = Zygotes(settings.runtime, settings.idle)
            # In a thread: a server that starts a kernel goes on serving meanwhile.
            made = await asyncio.to_thread(zygotes.fork, spec, program, patience)
        if made is None:
            return await super().launch_kernel(cmd, **kwargs)
        self.process, self.pid, self.pgid = made, made.pid, made.pid
        self.cwd = kwargs.get("cwd") or Path.cwd()
        await self._bound()
        return self.connection_info

    def _thawed(self, path: str, launch: Launch | None, kwargs: dict[str, Any]) -> Fork:
        """Go on from the state of another kernel, frozen at `path`."""
        connection = connected(Path(path))
        if connection is None or launch is None:
            raise RuntimeError(f"its checkpoint {path} is gone")
        connection.settimeout(30.0)
        return Fork.ask(connection, launch.program(kwargs, self._leavings()))

    async def wait(self) -> int | None:
        """Wait for its end without asking again and again."""
        if isinstance(self.process, Fork):
            await ended(self.process.pid)
        return await super().wait()

    async def shutdown_requested(self, restart: bool = False) -> None:
        """Give it a moment to end by itself: whoever asked looks only ten times a second."""
        await super().shutdown_requested(restart)
        if isinstance(self.process, Fork):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended(self.process.pid), MOMENT)

    async def _bound(self) -> None:
        """Wait until its sockets are there: a client that is too early comes back late."""
        paths = self._leavings()[:-1]
        while not all(map(os.path.exists, paths)) and await self.poll() is None:
            await asyncio.sleep(0.001)

    def _leavings(self) -> tuple[str, ...]:
        """The files that a kernel leaves lying about when everybody is killed."""
        info: dict[str, Any] = dict(self.connection_info)
        sockets = (f"{info['ip']}-{info[channel]}" for channel in CHANNELS)
        return (*sockets, str(self.parent.connection_file))


@dataclass(frozen=True)
class Launch:
    """A command line that launches IPython's kernel, taken apart."""

    python: str
    options: tuple[str, ...]  #: the interpreter's
    argv: tuple[str, ...]  #: the kernel's

    @classmethod
    def of(cls, cmd: list[str]) -> Launch | None:
        """None when it launches something else."""
        options = tuple(itertools.takewhile(lambda part: part.startswith(("-X", "-W")), cmd[1:]))
        rest = cmd[1 + len(options) :]
        python = shutil.which(cmd[0])
        if rest[:1] != ["-m"] or not set(rest[1:2]) & LAUNCHERS or python is None:
            return None
        return cls(python, options, tuple(rest[2:]))

    def spec(self, preload: tuple[str, ...], env: Mapping[str, str]) -> Spec:
        """The zygote that the kernel of this environment comes from."""
        env = {"MPLBACKEND": INLINE, **env}  # as the kernel will set it
        return Spec.of(self.python, preload, env, self.options, BASE)

    def program(
        self,
        kwargs: dict[str, Any],
        leavings: tuple[str, ...],
        sealed: Mapping[str, str] = MappingProxyType({}),
    ) -> Program:
        """What to fork, by the arguments that `subprocess.Popen` would have got."""
        return Program(
            module="ipykernel_launcher",
            argv=self.argv,
            env=kwargs["env"],
            cwd=str(kwargs.get("cwd") or Path.cwd()),
            stdio=(None, kwargs.get("stdout"), kwargs.get("stderr")),
            leavings=leavings,
            sealed=sealed,
        )
