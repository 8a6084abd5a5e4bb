"""The machine that a job asks for. Who runs it says what of that it can have.

Where a request leaves something open, `[tool.nbtools.machine]` in pyproject.toml is asked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from nbtools.errors import RequestError


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Empty means: as the settings say, else what the executor gives."""

    type: str = ""  #: as its cloud calls it: n1-standard-8
    gpu: str = ""  #: NVIDIA_TESLA_T4, or NVIDIA_TESLA_T4:2 for two of them
    disk: int = 0  #: GB
    network: str = ""  #: projects/P/global/networks/NAME
    subnet: str = ""  #: projects/P/regions/R/subnetworks/NAME
    service_account: str = ""  #: who the notebook is to its cloud
    execution_user: str = ""  #: the same, a person's e-mail address
    runtime_template: str = ""  #: the description of a machine that its cloud has already

    @property
    def asked(self) -> dict[str, Any]:
        """What is not left open, by name."""
        return {name: value for name, value in vars(self).items() if value}

    @property
    def gpus(self) -> tuple[str, int]:
        """The kind of its GPUs and how many; raises RequestError for what is neither."""
        kind, _, count = self.gpu.partition(":")
        if not kind:
            return "", 0
        if count and not (count.isdecimal() and int(count)):
            raise RequestError(f"--gpu {self.gpu!r}: write NVIDIA_TESLA_T4, or NVIDIA_TESLA_T4:2")
        return kind, int(count or 1)

    def filled(self, by: Machine, takes: Collection[str]) -> Machine:
        """With what is left open as another says it, as far as an executor takes that."""
        return replace(by, **self.asked).only({*takes, *self.asked})

    def only(self, names: Collection[str]) -> Machine:
        """Without what has another name."""
        return Machine(**{k: v for k, v in self.asked.items() if k in names})

    def dumps(self) -> dict[str, Any]:
        """As JSON takes it."""
        return self.asked

    @classmethod
    def loads(cls, values: Mapping[str, Any]) -> Machine:
        """What `dumps` gave; what a newer nbtools has added is left out."""
        known = {f.name for f in fields(cls)}
        return cls(**{k: v for k, v in values.items() if k in known})

    @classmethod
    def read(cls, values: Mapping[str, Any], where: str) -> Machine:
        """What a person has written in a table; `where` says which. Raises RequestError."""
        kinds = {name: type(value) for name, value in asdict(cls()).items()}
        for name, value in values.items():
            if name not in kinds:
                raise RequestError(f"{where} has no {name!r}; there are {', '.join(kinds)}")
            if type(value) is not kinds[name]:
                what = "a whole number" if kinds[name] is int else "a string"
                raise RequestError(f"{where}: {name} = {value!r} must be {what}")
        return cls(**values)
