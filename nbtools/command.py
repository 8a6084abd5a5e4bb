"""The `nbtools` command, before it is any: most go straight on to `cli`.

What executes notebooks needs papermill and all that comes with it, which takes longer to
import than a small notebook to execute. Where the zygote of runners has it loaded, such a
command is executed by a fork of that, with this process's streams, folder, environment and
signals; everywhere else, and whenever in doubt, here.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

#: the commands that are worth it.
HEAVY = {"run", "submit"}


def main() -> None:
    """Execute the command that this process was called with."""
    if len(sys.argv) > 2 and sys.argv[1] in HEAVY and (code := _forked()) is not None:
        os._exit(code)  # nothing was opened here that would have to be closed
    from nbtools.cli import main as here

    here()


def _forked() -> int | None:
    """The exit code of the command, or None where there is no zygote to execute it."""
    from nbtools.errors import NbtoolsError
    from nbtools.executors.local import RUNNER
    from nbtools.kernels.fork import Program
    from nbtools.kernels.zygotes import Spec, Zygotes, can_fork
    from nbtools.settings import Settings, environment

    try:
        settings, env = Settings.load(), environment()
        if not (settings.warm and can_fork()):
            return None
        program = Program(
            module="nbtools.cli.forked",
            argv=tuple(sys.argv),
            env=env,
            cwd=str(Path.cwd()),
            stdio=(0, 1, 2),
            safe_path=True,
        )
        spec = Spec.of(sys.executable, RUNNER, env, ("-P",))
        fork = Zygotes(settings.runtime, settings.idle).fork(spec, program, wait=0.0, begin=False)
    except (NbtoolsError, OSError):
        return None  # the command itself will say what is wrong
    if fork is None:
        return None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: fork.send_signal(number))
    code = fork.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    main()
