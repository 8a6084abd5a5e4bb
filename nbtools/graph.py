"""A part of the graph of artifacts and executions: walked, and shown in several forms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbtools import contents, registry
from nbtools.nouns import RUN, Artifact, Context, Event, Execution, Job, Run, run_id, stamp
from nbtools.store import Store

if TYPE_CHECKING:
    import pandas as pd

#: nodes that are taken at most; Vertex AI's limit for the lineage of an artifact.
LIMIT = 1_000


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Artifacts, executions, and the events that join them."""

    artifacts: tuple[Artifact, ...]  #: in the order of their names
    executions: tuple[Execution, ...]  #: in the order of their names
    events: tuple[Event, ...]  #: oldest first; both ends are in here
    runs: Mapping[str, Run] = field(default_factory=dict)  #: what each execution reported
    start: frozenset[str] = frozenset()  #: the names that the walk began at
    whole: bool = True  #: False: there was more than the limit

    def __len__(self) -> int:
        """The number of nodes."""
        return len(self.artifacts) + len(self.executions)

    def frame(self) -> pd.DataFrame:
        """A row an event: what was read or left, and by what. Needs pandas."""
        pandas = registry.need("pandas")
        artifacts = {a.name: a for a in self.artifacts}
        executions = {e.name: e for e in self.executions}
        columns = ("execution", "state", "type", "artifact", "schema_title", "uri", "time")
        rows = [
            (
                event.execution,
                executions[event.execution].state,
                event.type,
                artifacts[event.artifact].display_name or event.artifact,
                artifacts[event.artifact].schema_title,
                artifacts[event.artifact].uri,
                event.time,
            )
            for event in self.events
        ]
        frame: pd.DataFrame = pandas.DataFrame(rows, columns=list(columns))
        return frame

    def json(self) -> dict[str, Any]:
        """Everything, as JSON takes it; times are RFC 3339 in UTC."""
        return {
            "artifacts": [_plain(a) for a in self.artifacts],
            "executions": [_plain(e) for e in self.executions],
            "events": [_plain(e) for e in self.events],
            "runs": {name: _plain(run) for name, run in self.runs.items()},
            "whole": self.whole,
        }

    def mermaid(self) -> str:
        """A Mermaid flowchart, as GitHub and JupyterLab draw in Markdown."""
        from nbtools import drawing

        return drawing.mermaid(self)

    def dot(self) -> str:
        """A digraph in Graphviz's language."""
        from nbtools import drawing

        return drawing.dot(self)

    def svg(self) -> str:
        """A picture, laid out here: no program and no network is needed to see it."""
        from nbtools import picture

        return picture.svg(self)

    def openlineage(self) -> list[dict[str, Any]]:
        """OpenLineage run events: a START for each execution, and how it ended if it has."""
        from nbtools import openlineage

        return openlineage.run_events(self)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return self.svg()


def walk(
    store: Store,
    artifacts: Iterable[str],
    executions: Iterable[str],
    *,
    up: bool = True,
    down: bool = True,
    depth: int | None = None,
    limit: int = LIMIT,
) -> Graph:
    """The part of the graph that is reached from those, `depth` executions far.

    Up is from an artifact to the execution that left it and on to what that read; down the
    other way. What lies on no such way, such as the other outputs of an execution further
    up, is left out. A way that leads in a circle is walked once.
    """
    start = (list(artifacts), list(executions))
    reach = _Reach(limit)
    reach.add("artifact", start[0])
    reach.add("execution", start[1])
    for wanted, into, out in ((up, "OUTPUT", "INPUT"), (down, "INPUT", "OUTPUT")):
        if wanted:
            _one_way(store, reach, start, into, out, depth)
    found_artifacts = contents.records(store, Artifact, reach.seen["artifact"])
    found_executions = contents.records(store, Execution, reach.seen["execution"])
    events = {
        (e.execution, e.artifact, e.type): e
        for e in reach.events
        if e.execution in found_executions and e.artifact in found_artifacts
    }
    return Graph(
        artifacts=tuple(found_artifacts[name] for name in sorted(found_artifacts)),
        executions=tuple(found_executions[name] for name in sorted(found_executions)),
        events=tuple(sorted(events.values(), key=_by_time)),
        runs=_runs(store, found_executions),
        start=frozenset(start[0] + start[1]),
        whole=not reach.cut,
    )


class _Reach:
    """What was reached so far, up to the limit."""

    def __init__(self, limit: int) -> None:
        self.seen: dict[str, dict[str, None]] = {"artifact": {}, "execution": {}}
        self.events: list[Event] = []
        self.cut = False
        self._limit = limit

    def add(self, kind: str, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.seen[kind]:
                if sum(map(len, self.seen.values())) >= self._limit:
                    self.cut = True
                    return
                self.seen[kind][name] = None


def _one_way(
    store: Store, reach: _Reach, start: tuple[list[str], list[str]], into: str, out: str,
    depth: int | None,
) -> None:  # fmt: skip
    """Walk up or down, a level of executions at a time."""
    artifacts, executions = start[0], dict.fromkeys(start[1])
    gone = {"artifact": set(artifacts), "execution": set[str]()}  # here, in this direction
    level = 0
    while (artifacts or executions) and (depth is None or level < depth) and not reach.cut:
        found = contents.events(store, "artifact", artifacts, into)
        executions |= dict.fromkeys(event.execution for event in found)
        executions = {name: None for name in executions if name not in gone["execution"]}
        gone["execution"] |= executions.keys()
        reach.add("execution", executions)
        beyond = contents.events(store, "execution", executions, out)
        artifacts = list(dict.fromkeys(e.artifact for e in beyond))
        artifacts = [name for name in artifacts if name not in gone["artifact"]]
        gone["artifact"] |= set(artifacts)
        reach.add("artifact", artifacts)
        reach.events += found + beyond
        executions, level = {}, level + 1


def _runs(store: Store, executions: Mapping[str, Execution]) -> dict[str, Run]:
    """The run of each execution that has one: a job says which, a process has its run's name."""
    names = {}
    for name, execution in executions.items():
        meta = execution.metadata
        names[name] = run_id(meta["experiment"], meta["run"]) if Job.is_in(execution) else name
    found = contents.records(store, Context, names.values())
    return {
        name: Run.of(found[context])
        for name, context in names.items()
        if context in found and found[context].schema_title == RUN
    }


def _by_time(event: Event) -> tuple[str, str, str]:
    return stamp(event.time) or "", event.execution, event.artifact


def _plain(record: Artifact | Execution | Event | Run) -> dict[str, Any]:
    values = dict(vars(record))
    return {k: stamp(v) if k.endswith("time") else v for k, v in values.items()}
