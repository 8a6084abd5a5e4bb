"""Who may open an instance's JupyterLab, and the IAM bindings that it takes: a plan, as commands.

Nothing is granted here that was not shown before: a plan is what is carried out, word by word.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from nbtools.errors import RequestError

SINGLE_USER: Final = "single user"
SERVICE_ACCOUNT: Final = "service account"
#: what people are given -> role on the instance, and what it is for.
ROLES: Final[Mapping[str, tuple[str, str]]] = {
    "use": ("roles/notebooks.viewer", "see the instance in lists and in the console"),
    "manage": ("roles/notebooks.admin", "start, stop, upgrade and delete the instance"),
}
ACT_AS: Final = "roles/iam.serviceAccountUser"


@dataclass(frozen=True)
class Access:
    """How JupyterLab of an instance is guarded. It is chosen at creation, for good."""

    name: str  #: full name of the instance
    mode: str  #: SINGLE_USER or SERVICE_ACCOUNT
    owner: str  #: the single user
    service_account: str  #: as whom code on the machine runs; empty: Compute Engine's default
    proxy: bool  #: whether a browser gets there without SSH


@dataclass(frozen=True)
class Binding:
    """One member, one role, on one resource."""

    resource: str  #: full name of a service account, or of an instance
    role: str
    member: str  #: `user:alex@example.com`
    why: str  #: what it is for

    def command(self) -> list[str]:
        """What grants it: gcloud reads the policy, adds to it and writes it with its etag."""
        parts = self.resource.split("/")
        grant = ["add-iam-policy-binding", parts[-1], "--member", self.member, "--role", self.role]
        if parts[2] == "serviceAccounts":
            where = ["iam", "service-accounts", *grant]
            return ["gcloud", *where, "--project", parts[1]]
        where = ["workbench", "instances", *grant, "--location", parts[3]]
        return ["gcloud", *where, "--project", parts[1]]

    @property
    def line(self) -> str:
        """The command for a shell."""
        return shlex.join(self.command())


def of(instance: Mapping[str, Any]) -> Access:
    """How an instance, as the service shows it, is guarded."""
    setup = instance.get("gceSetup", {})
    metadata = setup.get("metadata", {})
    # The owner is an input only: what comes back of it is in the metadata that the system writes.
    owner = next(iter(instance.get("instanceOwners", [])), "") or metadata.get(
        "proxy-user-mail", ""
    )
    single = bool(owner) or metadata.get("proxy-mode") == "mail"
    accounts = setup.get("serviceAccounts", [])
    account = accounts[0].get("email", "") if accounts else ""
    return Access(
        name=str(instance["name"]),
        mode=SINGLE_USER if single else SERVICE_ACCOUNT,
        owner=owner,
        service_account=account,
        proxy=not instance.get("disableProxyAccess", False),
    )


def plan(access: Access, people: Sequence[str], what: str = "use") -> list[Binding]:
    """The bindings by which people can open an instance. Raises RequestError where no binding
    can: a single user stays the only one.
    """
    role, why = ROLES[what]
    short = access.name.rpartition("/")[2]
    bindings = []
    for person in people:
        if not re.fullmatch(r"[^@\s:]+@[^@\s:]+\.[^@\s:]+", person):
            raise RequestError(
                f"{person!r} is no e-mail address: name each person, Workbench knows no groups"
            )
        if access.mode == SINGLE_USER and person != access.owner and what == "use":
            whose = access.owner or "one user"
            raise RequestError(
                f"{short} is {whose}'s alone, and an instance's access mode cannot be changed: "
                f"create one without `owner` and with a `service_account`, and share that"
            )
        member = f"user:{person}"
        bindings.append(
            Binding(_account(access), ACT_AS, member, "open JupyterLab, as its service account")
        )
        bindings.append(Binding(access.name, role, member, why))
    return bindings


def _account(access: Access) -> str:
    if not access.service_account:
        raise RequestError(
            f"{access.name.rpartition('/')[2]} runs as Compute Engine's default service account, "
            "and whoever may use that can use every machine of the project: create the instance "
            "with a service_account of its own"
        )
    found = re.search(r"@([^.]+)\.iam\.gserviceaccount\.com$", access.service_account)
    project = found[1] if found else access.name.split("/")[1]
    return f"projects/{project}/serviceAccounts/{access.service_account}"


def apply(bindings: Sequence[Binding]) -> None:
    """Grant them, in order. Raises RequestError at the first that is refused: those before it
    are granted, and granting them again does no harm.
    """
    for number, binding in enumerate(bindings):
        try:
            done = subprocess.run(
                [*binding.command(), "--quiet"], capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            raise RequestError(
                "gcloud is not on PATH: install Google's Cloud SDK, or run the commands elsewhere"
            ) from None
        if done.returncode:
            said = " ".join(done.stderr.split()) or f"it ended with {done.returncode}"
            raise RequestError(f"{number} of {len(bindings)} granted; {binding.line}: {said}")
