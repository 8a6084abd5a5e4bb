"""An RPC as data: what is sent, and shown by --dry-run. Nothing of Google's is imported."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_VARIABLE = re.compile(r"\{([\w.]+)\}")
_I: Final = "notebooks_v2.NotebookService"
_T: Final = "NotebookService"
#: RPC -> verb of HTTP, path, the field that the body is (`*`: all that the path has not).
RPCS: Final[Mapping[str, tuple[str, str, str]]] = {
    f"{_I}.CreateInstance": ("POST", "/v2/{parent}/instances", "instance"),
    f"{_I}.GetInstance": ("GET", "/v2/{name}", ""),
    f"{_I}.ListInstances": ("GET", "/v2/{parent}/instances", ""),
    f"{_I}.UpdateInstance": ("PATCH", "/v2/{instance.name}", "instance"),
    f"{_I}.DeleteInstance": ("DELETE", "/v2/{name}", ""),
    f"{_I}.StartInstance": ("POST", "/v2/{name}:start", "*"),
    f"{_I}.StopInstance": ("POST", "/v2/{name}:stop", "*"),
    f"{_I}.ResetInstance": ("POST", "/v2/{name}:reset", "*"),
    f"{_I}.CheckInstanceUpgradability": (
        "GET", "/v2/{notebookInstance}:checkUpgradability", "",
    ),
    f"{_I}.UpgradeInstance": ("POST", "/v2/{name}:upgrade", "*"),
    f"{_I}.RollbackInstance": ("POST", "/v2/{name}:rollback", "*"),
    f"{_I}.DiagnoseInstance": ("POST", "/v2/{name}:diagnose", "*"),
    "notebooks_v1.ManagedNotebookService.ListRuntimes": ("GET", "/v1/{parent}/runtimes", ""),
    "notebooks_v1.NotebookService.ListInstances": ("GET", "/v1/{parent}/instances", ""),
    f"{_T}.CreateNotebookRuntimeTemplate": (
        "POST", "/v1/{parent}/notebookRuntimeTemplates", "notebookRuntimeTemplate",
    ),
    f"{_T}.GetNotebookRuntimeTemplate": ("GET", "/v1/{name}", ""),
    f"{_T}.ListNotebookRuntimeTemplates": ("GET", "/v1/{parent}/notebookRuntimeTemplates", ""),
    f"{_T}.DeleteNotebookRuntimeTemplate": ("DELETE", "/v1/{name}", ""),
}  # fmt: skip


@dataclass(frozen=True)
class Request:
    """One call of an RPC."""

    rpc: str  #: `notebooks_v2.NotebookService.StartInstance`
    fields: Mapping[str, Any]  #: the request message as JSON, as protobuf has it: camelCase

    @property
    def host(self) -> str:
        """Whom it is for."""
        if self.rpc.startswith("notebooks_"):
            return "notebooks.googleapis.com"
        where = str(self.fields.get("parent") or self.fields.get("name")).split("/")
        return f"{where[3]}-aiplatform.googleapis.com"

    @property
    def target(self) -> str:
        """Full name of the resource that it is about; of a list, of where that is."""
        found, instance = self.fields, self.fields.get("instance", {})
        name = found.get("name") or found.get("notebookInstance") or instance.get("name")
        if not name and "instanceId" in found:
            name = f"{found['parent']}/instances/{found['instanceId']}"
        return str(name or found["parent"])

    def record(self) -> dict[str, Any]:
        """As it is sent over HTTP: method, url, query and body."""
        method, path, body = RPCS[self.rpc]
        rest = _copied(self.fields)
        url = f"https://{self.host}{_VARIABLE.sub(lambda found: _take(rest, found[1]), path)}"
        made: dict[str, Any] = {"method": method, "url": url}
        content = rest if body == "*" else rest.pop(body, None)
        if body != "*" and rest:
            made["query"] = rest
        if body:
            made["body"] = content
        return made


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return value


def _take(rest: dict[str, Any], field: str) -> str:
    """Take out of the message what the path says."""
    *outer, last = field.split(".")
    holder = rest
    for part in outer:
        holder = holder[part]
    return str(holder.pop(last))
