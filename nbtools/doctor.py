"""What is installed, where the store is, and what is wrong, with what mends it."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nbtools import __version__
from nbtools.damage import MEND
from nbtools.errors import NbtoolsError
from nbtools.settings import Settings
from nbtools.store import Store

NEEDED = (
    "papermill", "nbclient", "nbformat", "nbconvert", "jupyter_client", "ipykernel", "pandas",
    "PyYAML", "rich",
)  # fmt: skip
TEMPLATES = ("torch", "scikit-learn", "matplotlib")
ROOM = 500_000_000  #: bytes free below which it is worth saying


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str  #: what was looked at
    found: str  #: what was found
    mend: str = ""  #: what to do about it; "" when nothing is wrong


def examine(settings: Settings) -> list[Finding]:
    """Look at everything; what is wrong has a `mend`."""
    findings = [
        Finding("nbtools", __version__),
        Finding("python", f"{sys.version.split()[0]} at {sys.executable}"),
        *(_package(name, "pip install") for name in NEEDED),
        *(_package(name, "") for name in TEMPLATES),
        *_kernels(),
        _git(),
    ]
    findings.append(Finding("store", f"{settings.store} ({settings.store_reason})"))
    try:
        store = Store(settings.store)
        damage = store.check()
        findings.append(Finding("store is sound", damage or "yes", damage and MEND))
        with store.write():
            pass
        findings.append(Finding("store can be written", "yes"))
    except NbtoolsError as error:
        findings.append(Finding("store works", "no", str(error)))
        return findings
    free = shutil.disk_usage(settings.store).free
    mend = "" if free > ROOM else "free some space, or set NBTOOLS_STORE to another disk"
    findings.append(Finding("disk", f"{free / 1e9:.1f} GB free", mend))
    return findings


def _package(name: str, install: str) -> Finding:
    try:
        return Finding(name, version(name))
    except PackageNotFoundError:
        return Finding(name, "not installed", f"{install} {name}" if install else "")


def _kernels() -> list[Finding]:
    try:
        from jupyter_client.kernelspec import KernelSpecManager
    except ModuleNotFoundError:
        return [Finding("kernels", "unknown", "pip install jupyter_client")]
    found = KernelSpecManager().find_kernel_specs()
    names = ", ".join(sorted(found)) or "none"
    return [
        Finding("kernels", names, "" if found else "pip install ipykernel"),
        *(
            Finding(f"kernel {name}", wrong, f"mend {folder}/kernel.json, or remove {folder}")
            for name, folder in sorted(found.items())
            if (wrong := _wrong_with(Path(folder) / "kernel.json"))
        ),
    ]


def _wrong_with(kernel: Path) -> str:
    """Why a kernel cannot start, as far as its specification tells, or ""."""
    try:
        program = str(json.loads(kernel.read_bytes())["argv"][0])
        program = program.replace("{resource_dir}", str(kernel.parent))
    except FileNotFoundError:
        return ""  # a kernel that a package brings along has none
    except (OSError, ValueError, LookupError, TypeError) as error:
        return f"cannot be read ({type(error).__name__}: {error})"
    # These names Jupyter takes for the Python that it runs in.
    if program.removesuffix(".exe").rstrip("0123456789.") == "python" or shutil.which(program):
        return ""
    return f"there is no program {program}"


def _git() -> Finding:
    path = shutil.which("git")
    return Finding("git", path or "not found", "" if path else "install git")
