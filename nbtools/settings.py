"""What the surroundings say: the environment and `[tool.nbtools]` in pyproject.toml.

This is the only reader of either. Everything else is handed a `Settings`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from nbtools.errors import RequestError
from nbtools.machine import Machine

FOLDER = ".nbtools"
#: a line of TOML that may begin, or hold, our table; a comment or a dependency does not.
_OURS = re.compile(rb"^[^#\n]*\btool\b[^#\n]*\bnbtools\b|^\s*\[\s*tool\s*\]", re.MULTILINE)
#: fields that no file can say.
SURROUNDINGS = (
    "store_reason", "runtime", "config_home", "notebook", "no_color", "tensorboard_proxy",
    "smtp_password", "vertex", "vertex_grpc", "metadata_server", "machine",
)  # fmt: skip
#: type of a field -> what to call it, and whether a value of pyproject.toml is one.
KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "Path": ("a string", lambda value: isinstance(value, str)),
    "str": ("a string", lambda value: isinstance(value, str)),
    "bool": ("true or false", lambda value: isinstance(value, bool)),
    "int": (
        "a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)
    ),
    "float": (
        "a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool)
    ),
    "tuple[str, ...]": (
        "a list of strings",
        lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where things are and what holds when a request does not say."""

    store: Path  #: the folder that holds the store and the jobs
    store_reason: str = ""  #: why that folder
    experiment: str = ""  #: default experiment; empty: named after the notebook
    kernel: str = ""  #: default kernelspec; empty: the notebook's own
    executor: str = "local"  #: default executor
    timeout: float = 0.0  #: seconds a job may take; 0: no limit
    cell_timeout: float = 0.0  #: seconds a cell may take; 0: no limit
    warm: bool = True  #: fork kernels from a process that has their imports loaded
    preload: tuple[str, ...] = ()  #: modules that process loads; empty: the notebook's own
    idle: float = 300.0  #: seconds after its last kernel that such a process ends
    keep: str = ""  #: an age, 30d: older jobs may be pruned; empty: age is no reason to
    keep_last: int = 0  #: so many of each schedule or notebook are not pruned
    smtp: str = ""  #: the mail server for notices: smtp://user@host:587, or smtps:// for TLS
    smtp_password: str = ""  #: of that user: NBTOOLS_SMTP_PASSWORD
    mail_from: str = ""  #: whom notices are from; empty: nbtools@ this host
    project: str = ""  #: of Google's cloud; empty: GOOGLE_CLOUD_PROJECT
    location: str = ""  #: of Vertex AI, as us-central1; empty: the region of the zone
    zone: str = ""  #: of its machines, as us-central1-a
    staging_bucket: str = ""  #: gs://bucket/path, for what has to lie there
    mirror: str = ""  #: mirrors of every run, `vertex` or `vertex, tensorboard`; `init` says more
    machine: Machine = Machine()  #: what jobs ask for that say nothing
    vertex: str = ""  #: http://127.0.0.1:PORT of an emulator, if this is a shell of one's
    vertex_grpc: str = ""  #: localhost:PORT of the same
    metadata_server: str = "metadata.google.internal"  #: what tells a machine who it is
    runtime: Path = Path("/tmp/nbtools")  # noqa: S108 #: a folder of sockets, this user's alone
    notebook: str = ""  #: the notebook that Jupyter's server says this kernel is of
    no_color: bool = False  #: NO_COLOR is set: print without colours
    tensorboard_proxy: str = ""  #: where a browser finds TensorBoard's port, as /proxy/%PORT%/
    config_home: Path = Path()  #: where programs keep their configuration: ~/.config

    @classmethod
    def load(cls, cwd: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
        """Read them as seen from `cwd`; raises RequestError for what is not a setting."""
        cwd = _here() if cwd is None else cwd.resolve()
        environ = os.environ if environ is None else environ
        values, project = _pyproject(cwd)
        values["no_color"] = bool(environ.get("NO_COLOR"))
        values["notebook"] = environ.get("JPY_SESSION_NAME", "")
        values["smtp_password"] = environ.get("NBTOOLS_SMTP_PASSWORD", "")
        for name in ("GOOGLE_CLOUD_PROJECT", "NBTOOLS_VERTEX_PROJECT"):  # what is said here, first
            values["project"] = values.get("project") or environ.get(name, "")
        region = values.get("zone", "").rpartition("-")[0]
        values["location"] = (
            values.get("location") or region or environ.get("NBTOOLS_VERTEX_LOCATION", "")
        )
        values["vertex"] = environ.get("NBTOOLS_VERTEX", "")
        values["vertex_grpc"] = environ.get("NBTOOLS_VERTEX_GRPC", "")
        values["metadata_server"] = environ.get("GCE_METADATA_HOST", cls.metadata_server)
        values["runtime"] = _runtime(environ)
        values["tensorboard_proxy"] = _tensorboard_proxy(environ)
        home = Path(environ.get("HOME") or Path.home())
        values["config_home"] = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
        if environ.get("NBTOOLS_STORE"):
            values["store"] = _named(environ["NBTOOLS_STORE"])
            values["store_reason"] = "NBTOOLS_STORE says so"
        elif "store" in values and project:
            values["store"] = (project.parent / str(values["store"])).resolve()
            values["store_reason"] = f"[tool.nbtools] in {project} says so"
        elif found := _upwards(cwd, FOLDER):
            values["store"], values["store_reason"] = found, f"the project's {FOLDER} folder"
        else:
            values["store"] = _data_home(environ) / "nbtools"
            values["store_reason"] = f"the user's data folder: no {FOLDER} in {cwd} or above"
        return cls(**values)


def environment() -> dict[str, str]:
    """The whole of it, to be handed to a process."""
    return dict(os.environ)


def set_environment(environ: Mapping[str, str]) -> None:
    """Make this the whole of it."""
    os.environ.clear()
    os.environ.update(environ)


def _upwards(folder: Path, name: str) -> Path | None:
    """The nearest `name` in `folder` or above it, as git looks for `.git`."""
    return next((p / name for p in (folder, *folder.parents) if (p / name).exists()), None)


def _pyproject(cwd: Path) -> tuple[dict[str, Any], Path | None]:
    path = _upwards(cwd, "pyproject.toml")
    try:
        # Reading bytes first: importing tomllib would cost every command that needs none of it.
        if not path or not _OURS.search(text := path.read_bytes()):
            return {}, path
        import tomllib

        tool = tomllib.loads(text.decode()).get("tool")
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror}; mend the file") from None
    except ValueError as error:
        raise RequestError(f"{path}: {error}; mend the file") from None
    table = tool.get("nbtools", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise RequestError(f"{path}: nbtools = {table!r} must be a table, [tool.nbtools]")
    types = {f.name: str(f.type) for f in fields(Settings) if f.name not in SURROUNDINGS}
    values = {k: v for k, v in table.items() if not isinstance(v, dict)}  # others: own readers
    for key, value in values.items():
        if key not in types:
            raise RequestError(
                f"{path}: [tool.nbtools] has no setting {key!r}; there are {', '.join(types)}"
            )
        what, fits = KINDS[types[key]]
        if not fits(value):
            raise RequestError(f"{path}: {key} = {value!r} must be {what}")
    if isinstance(table.get("machine"), dict):
        values["machine"] = Machine.read(table["machine"], f"{path}: [tool.nbtools.machine]")
    if "preload" in values:
        values["preload"] = tuple(values["preload"])
    return values, path


def _runtime(environ: Mapping[str, str]) -> Path:
    if environ.get("XDG_RUNTIME_DIR"):
        return Path(environ["XDG_RUNTIME_DIR"]) / "nbtools"
    return Path(environ.get("TMPDIR") or "/tmp") / f"nbtools-{os.getuid()}"  # noqa: S108


def _tensorboard_proxy(environ: Mapping[str, str]) -> str:
    """As TensorBoard's own notebook extension reads it, or JupyterHub's way; "" on a desk."""
    found = environ.get("TENSORBOARD_PROXY_URL", "")
    if not found and environ.get("JUPYTERHUB_SERVICE_PREFIX"):
        found = environ["JUPYTERHUB_SERVICE_PREFIX"].rstrip("/") + "/proxy/%PORT%/"
    return f"{found.rstrip('/')}/" if found else ""


def _here() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise RequestError("the current folder is gone: change to one that exists") from None


def _named(folder: str) -> Path:
    try:
        return Path(folder).expanduser().absolute()
    except RuntimeError:  # ~somebody
        raise RequestError(f"NBTOOLS_STORE is {folder}, and there is no such user") from None


def _data_home(environ: Mapping[str, str]) -> Path:
    if environ.get("XDG_DATA_HOME"):
        return Path(environ["XDG_DATA_HOME"])
    home = Path(environ.get("HOME") or Path.home())
    return home / ("Library/Application Support" if sys.platform == "darwin" else ".local/share")
