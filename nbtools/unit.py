"""How the service is begun with the machine: a systemd user unit, or what to do instead."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nbtools.errors import RequestError
from nbtools.notebook import write_whole
from nbtools.settings import Settings

#: what systemd reads where it reads a value of several words.
_UNIT = """\
[Unit]
Description=nbtools: notebooks by the clock ({store})

[Service]
ExecStart={command}
WorkingDirectory={folder}
Environment={environment}
Restart=always
RestartSec=2
# Jobs outlive the service: the next one sees to their end.
KillMode=process

[Install]
WantedBy=default.target
"""


@dataclass(frozen=True)
class Installed:
    """What was done, and what is left to do."""

    path: Path | None  #: the unit; None where there is no systemd
    done: bool  #: whether the service was begun
    advice: tuple[str, ...]  #: lines to paste, or what else to do


def unit(settings: Settings, folder: Path, options: Sequence[str]) -> str:
    """The text of a systemd user unit of the service of this store; `options` are those of
    `nbtools service run`.
    """
    environment = _quoted(f"NBTOOLS_STORE={settings.store}")
    command = " ".join(_quoted(word) for word in _command(options))
    return _UNIT.format(
        store=str(settings.store).replace("%", "%%"),
        command=command,
        folder=str(folder).replace("%", "%%"),
        environment=environment,
    )


def install(settings: Settings, folder: Path, name: str, options: Sequence[str]) -> Installed:
    """Write the unit and begin it, where this user has systemd; else say what does the same.

    `folder` is where it runs: its settings are those of the project there. Raises
    RequestError when the unit cannot be written.
    """
    store, command = shlex.quote(str(settings.store)), shlex.join(_command(options))
    run = f"cd {shlex.quote(str(folder))} && NBTOOLS_STORE={store} {command}"
    if not _has_systemd():
        return Installed(path=None, done=False, advice=(
            "there is no systemd for this user here; with cron (`crontab -e`):",
            f"@reboot {run.replace('%', chr(92) + '%')}",
            "or as the command of a container:",
            f"sh -c {shlex.quote(run)}",
        ))  # fmt: skip
    path = settings.config_home / "systemd" / "user" / f"{name}.service"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, unit(settings, folder, options))
    except OSError as error:
        raise RequestError(f"cannot write {path}: {error.strerror}") from None
    for words in (["daemon-reload"], ["enable", "--now", f"{name}.service"]):
        if said := _systemctl(*words):
            wrong = f"systemctl --user {' '.join(words)}: {said}"
            return Installed(path=path, done=False, advice=(wrong,))
    lasting = "it ends when you log out, unless: loginctl enable-linger"
    return Installed(path=path, done=True, advice=(lasting,))


def _command(options: Sequence[str]) -> list[str]:
    return [str(Path(sys.executable).with_name("nbtools")), "service", "run", *options]


def _quoted(word: str) -> str:
    """A word of a unit: systemd has its own specifiers, variables and quotes."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def _has_systemd() -> bool:
    try:
        done = subprocess.run(
            ["systemctl", "--user", "show-environment"],  # noqa: S607 - whichever is on PATH
            capture_output=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _systemctl(*words: str) -> str:
    """Empty when it went well, else what it says."""
    done = subprocess.run(
        ["systemctl", "--user", *words],  # noqa: S607 - whichever is on PATH
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return "" if done.returncode == 0 else done.stderr.strip() or f"ends with {done.returncode}"
