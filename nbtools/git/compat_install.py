"""nbstripout's --install, --uninstall, --is-installed and --status, with us behind them.

The configuration keys, messages and exit codes are nbstripout's; what git is told to run is
ours.
"""

from __future__ import annotations

import subprocess
import sys
from argparse import Namespace
from pathlib import Path

START = Path(__file__).with_name("start.py")
_FILTERED = ("*.ipynb filter", "*.zpln filter", "*.ipynb diff")


class Trouble(Exception):
    """What went wrong, in nbstripout's words."""


def run(args: Namespace, scope: str) -> int:
    """Do what the flags ask in `scope` (--local, --global, --system); the exit code."""
    try:
        if args.install:
            _install(args, scope)
            return 0
        if args.uninstall:
            _uninstall(args, scope)
            return 0
    except Trouble as trouble:
        verb = "Installation" if args.install else "Uninstall"
        sys.stderr.write(f"{verb} failed: {trouble}\n")
        return 1
    return _status(scope, verbose=args.status)


def _git(*arguments: str) -> tuple[int, str]:
    """The exit code and what git printed; raises Trouble without git."""
    try:
        done = subprocess.run(["git", *arguments], stdout=subprocess.PIPE, text=True, check=False)
    except FileNotFoundError:
        raise Trouble("git is not on path!") from None
    return done.returncode, done.stdout.strip()


def _install(args: Namespace, scope: str) -> None:
    python = (args._python or sys.executable).replace("\\", "/")
    command = f'"{python}" -I -S "{START.as_posix()}" nbstripout'
    for key, value in (
        ("filter.nbstripout.clean", command),
        ("filter.nbstripout.smudge", "cat"),
        ("filter.nbstripout.required", "true"),
        ("diff.ipynb.textconv", f"{command} -t"),
    ):
        if _git("config", scope, key, value)[0]:
            raise Trouble("not a git repository!")
    path = _attributes(args, scope)
    text = path.read_text() if path.exists() else ""
    if "*.ipynb filter" in text and "*.ipynb diff" in text:
        return
    lines = [
        f"{line}\n"
        for name, line in (
            (_FILTERED[0], "*.ipynb filter=nbstripout"),
            (_FILTERED[1], "*.zpln filter=nbstripout"),
            (_FILTERED[2], "*.ipynb diff=ipynb"),
        )
        if name not in text
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", newline="") as file:
            file.write("\n" * bool(text) + "".join(lines))
    except PermissionError:
        sudo = "\nDid you forget to sudo?" if scope == "--global" else ""
        raise Trouble(f"could not write to {path}{sudo}") from None


def _uninstall(args: Namespace, scope: str) -> None:
    for words in (
        ("--unset", "filter.nbstripout.clean"),
        ("--unset", "filter.nbstripout.smudge"),
        ("--unset", "filter.nbstripout.required"),
        ("--remove-section", "diff.ipynb"),
    ):
        try:
            subprocess.run(["git", "config", scope, *words], capture_output=True, check=False)
        except FileNotFoundError:
            raise Trouble("git is not on path!") from None
    path = _attributes(args, scope)
    if path.exists():
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if not line.startswith(_FILTERED)))


def _attributes(args: Namespace, scope: str) -> Path:
    if args.attributes:
        return Path(args.attributes).expanduser()
    if scope == "--local":
        # git knows where it is also for a linked worktree, where nbstripout protects nothing.
        code, path = _git("rev-parse", "--git-path", "info/attributes")
        if code:
            raise Trouble("not a git repository!")
        return Path(path)
    code, path = _git("config", scope, "core.attributesFile")
    if code == 0:
        return Path(path).expanduser()
    if scope == "--global":
        from nbtools.settings import Settings

        return Settings.load().config_home / "git" / "attributes"
    code, origin = _git("config", "--system", "--list", "--show-origin")
    folder = (
        Path(origin.removeprefix("file:").partition("\t")[0]).parent if origin else Path("/etc")
    )
    return folder / "gitattributes"


def _status(scope: str, verbose: bool) -> int:
    places = {"--system": "system-wide", "--global": "globally"}
    try:
        code, folder = _git("rev-parse", "--git-dir") if scope not in places else (0, "")
        if code:
            return 1
        place = places.get(scope) or f"in repository '{Path(folder).absolute().parent}'"
        keys = ("filter.nbstripout.clean", "filter.nbstripout.smudge", "diff.ipynb.textconv")
        values = [_git("config", scope, key) for key in keys]
        filters, diffs = _attributes_said(scope)
        extra = _git("config", scope, "filter.nbstripout.extrakeys")[1]
    except Trouble as trouble:
        sys.stderr.write(f"Cannot determine status: {trouble}\n")
        return 1
    if any(code for code, _ in values) or filters.endswith("unspecified"):
        if verbose:
            print("nbstripout is not installed", place)  # noqa: T201
        return 1
    if verbose:
        print(  # noqa: T201
            f"nbstripout is installed {place}\n\nFilter:\n  clean = {values[0][1]}\n"
            f"  smudge = {values[1][1]}\n  diff= {values[2][1]}\n  extrakeys= {extra}\n\n"
            f"Attributes:\n  {filters}\n\nDiff Attributes:\n  {diffs}"
        )
    return 0


def _attributes_said(scope: str) -> tuple[str, str]:
    """What the attributes say of filter and diff."""
    if scope == "--local":
        said = [_git("check-attr", name, "--", "*.ipynb")[1] for name in ("filter", "diff")]
        return said[0], said[1]
    path = _attributes(Namespace(attributes=None), scope)
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    filters = "".join(line for line in lines if "filter" in line).strip()
    return filters, "".join(line for line in lines if "diff" in line).strip()
