"""What is done inside of an instance, once or at each start: a repository with its filter, hooks
and kernels, its store, and idle shutdown. Done twice it changes nothing.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from nbtools.cloud import Endpoint, Place
from nbtools.doctor import Finding
from nbtools.errors import NbtoolsError, RequestError
from nbtools.settings import FOLDER, Settings
from nbtools.store import Store
from nbtools.workbench import client, instances, spec

HOOKS: Final = ".pre-commit-config.yaml"
#: seconds that the machine's own metadata server has to answer.
NEAR: Final = 2.0


def setup(
    repository: str, folder: Path, settings: Settings, *, branch: str = "", idle: str = ""
) -> list[Finding]:
    """Make `folder` a clone of `repository`, ready for work. `idle` is a duration or `off`.

    Raises RequestError when there is no clone in the end. What else is left to do, the `mend` of
    a finding says.
    """
    if idle:
        spec.idle(_wanted(idle))  # before anything is done
    return [
        _clone(repository, folder, branch),
        _filter(folder),
        _hooks(folder),
        _kernels(folder),
        _store(folder, settings),
        *([_idle(idle, settings)] if idle else []),
    ]


def script(
    repository: str, *, folder: str = "", branch: str = "", idle: str = "", user: str = "jupyter"
) -> str:
    """A post-startup script that does the same as the instance's user; `folder` is seen from
    their home. Raises RequestError.
    """
    if idle:
        spec.idle(_wanted(idle))
    words = ["nbtools", "workbench", "setup", repository, "--folder", folder or _name(repository)]
    words += ["--branch", branch] if branch else []
    words += ["--idle-shutdown", idle] if idle else []
    inner = f"cd && pip install --quiet 'nbtools-workflow[workbench]' && {shlex.join(words)}"
    return (
        "#!/bin/sh\n"
        "# Of a Workbench instance: put it into a bucket and name it as post_startup_script.\n"
        f"exec su - {shlex.quote(user)} -c {shlex.quote(inner)}\n"
    )


def _name(repository: str) -> str:
    """The folder that git would make of a URL."""
    name = repository.rstrip("/").removesuffix(".git").replace(":", "/").rpartition("/")[2]
    if name in ("", ".", ".."):
        raise RequestError(f"{repository!r} names no repository: give its URL, or --folder")
    return name


def folder_of(repository: str, folder: str) -> Path:
    """Where the clone is to be: `folder`, or what git would call it here."""
    return Path(folder).expanduser().absolute() if folder else Path.cwd() / _name(repository)


def _run(words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise RequestError(f"{words[0]} is not on PATH: install it") from None


def _said(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return lines[-1] if lines else f"ended with {done.returncode}"


def _ours(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of nbtools, as its user would call it in that folder."""
    code = "from nbtools.command import main; main()"
    return _run([sys.executable, "-c", code, *words], folder)


def _clone(repository: str, folder: Path, branch: str) -> Finding:
    if (folder / ".git").exists():
        done = _run(["git", "remote", "get-url", "origin"], folder)
        origin = done.stdout.strip()
        if origin != repository:
            raise RequestError(
                f"{folder} is a clone of {origin or 'nothing'}, not of {repository}: name another "
                "--folder, or move it away"
            )
        return Finding("repository", f"{folder} is there; its files are left as they are")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RequestError(f"{folder} is in the way: name another --folder, or move it away")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"cannot write {folder}: {error.strerror}") from None
    chosen = ["--branch", branch] if branch else []
    done = _run(["git", "clone", "--quiet", *chosen, "--", repository, str(folder)], folder.parent)
    if done.returncode:
        raise RequestError(f"git clone {repository}: {_said(done)}")
    return Finding("repository", f"cloned into {folder}")


def _filter(folder: Path) -> Finding:
    done = _ours(folder, "git", "install")
    if done.returncode:
        return Finding("filter", _said(done), "nbtools git install")
    return Finding("filter", done.stdout.splitlines()[0].partition(",")[0])


def _hooks(folder: Path) -> Finding:
    if not (folder / HOOKS).exists():
        return Finding("hooks", f"no {HOOKS} in the repository")
    done = _run([sys.executable, "-m", "pre_commit", "install"], folder)
    if done.returncode:
        return Finding(
            "hooks", _said(done), f"pip install pre-commit; cd {folder}; pre-commit install"
        )
    return Finding("hooks", "pre-commit runs them")


def _kernels(folder: Path) -> Finding:
    done = _ours(folder, "kernels", "install")
    if done.returncode:
        return Finding("kernels", _said(done), "nbtools kernels install")
    return Finding("kernels", f"warm ones, {done.stdout.strip()}")


def _store(folder: Path, settings: Settings) -> Finding:
    """In the clone, unless something says where: a machine's disk of data outlives it."""
    place = folder / FOLDER
    if settings.store_reason.startswith("NBTOOLS_STORE"):
        return Finding("store", f"{settings.store}: {settings.store_reason}")
    found = Settings.load(folder, {})
    if "[tool.nbtools]" in found.store_reason:
        return Finding("store", f"{found.store}: {found.store_reason}")
    there = place.is_dir()
    Store(place).close()  # makes it, with a line that has git ignore it
    return Finding("store", f"{place} is there" if there else f"{place}, which git ignores")


def _wanted(idle: str) -> str | bool:
    return False if idle == "off" else idle


def _idle(idle: str, settings: Settings) -> Finding:
    """By the machine's own metadata, which the service alone can change."""
    wanted = spec.idle(_wanted(idle))
    try:
        project = metadata(settings, "project/project-id")
        zone = metadata(settings, "instance/zone").rpartition("/")[2]
        name = metadata(settings, "instance/name")
    except OSError:
        return Finding("idle shutdown", "this is no machine of Google's: left as it is",
                    "say idle_shutdown when you create the instance")  # fmt: skip
    try:
        if metadata(settings, f"instance/attributes/{spec.IDLE}") == wanted:
            return Finding("idle shutdown", f"is {idle}")
    except OSError:  # 404: the key is not there, and what holds is the default
        pass
    where = Place(project, zone)
    command = ["nbtools", "workbench", "instances", "update", name, "--idle-shutdown", idle,
               "--project", project, "--location", zone]  # fmt: skip
    endpoint = Endpoint.of(settings)
    try:
        now = client.send(instances.act("Get", where.name(name)), endpoint)
        changes = {"idle_shutdown": _wanted(idle)}
        client.send(instances.update(where.name(name), changes, now), endpoint)
    except NbtoolsError as error:
        return Finding("idle shutdown", str(error), shlex.join(command))
    return Finding("idle shutdown", f"{idle} from now on")


def metadata(settings: Settings, path: str) -> str:
    """What the machine's metadata server says. Raises OSError."""
    request = urllib.request.Request(
        f"http://{settings.metadata_server}/computeMetadata/v1/{path}",
        headers={"Metadata-Flavor": "Google"},
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=NEAR) as answer:
        return str(answer.read().decode())
