"""What jupyter-scheduler's successor asks of its entry points: who we are, and where."""

from __future__ import annotations

from typing import ClassVar

from nbtools.lab.slip import FORMATS


class Backend:
    """nbtools as one of several backends."""

    id: ClassVar[str] = "nbtools"
    name: ClassVar[str] = "nbtools"
    description: ClassVar[str] = "Execute notebooks with nbtools"
    scheduler_class: ClassVar[str] = "nbtools.lab.scheduler.Scheduler"
    execution_manager_class: ClassVar[str] = "nbtools.lab.features.Features"
    #: not None: no tables are made for us.
    database_manager_class: ClassVar[str | None] = "nbtools.store.Store"
    file_extensions: ClassVar[list[str]] = ["ipynb"]
    output_formats: ClassVar[list[dict[str, str]]] = [
        {"id": id_, "label": label, "description": ""} for id_, label in FORMATS.items()
    ]

    @classmethod
    def to_dict(cls) -> dict[str, object]:
        """The same as a mapping."""
        return {name: getattr(cls, name) for name in cls.__annotations__}
