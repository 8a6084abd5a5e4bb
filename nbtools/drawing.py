"""A lineage graph as other programs draw it: Mermaid's text, and Graphviz's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nbtools.graph import Graph
from nbtools.nouns import Artifact, Execution, stamp

#: characters of a line on a node.
LONGEST = 32
#: parameters and metrics that a node shows.
VALUES = 5


@dataclass(frozen=True)
class Node:
    """What a drawing shows of an artifact or an execution."""

    key: tuple[str, str]  #: kind and name
    lines: tuple[str, ...]  #: what stands on it: its name, then less important things
    said: str  #: all of it, for who points at it
    state: str = ""  #: an execution's
    start: bool = False  #: the walk began here


Edge = tuple[tuple[str, str], tuple[str, str]]


def nodes(graph: Graph) -> list[Node]:
    """Artifacts, then executions."""
    return [_of_artifact(a, graph) for a in graph.artifacts] + [
        _of_execution(e, graph) for e in graph.executions
    ]


def edges(graph: Graph) -> list[Edge]:
    """The way that things went: an artifact into what read it, and out of what left it."""
    ways = []
    for event in graph.events:
        ends = ("artifact", event.artifact), ("execution", event.execution)
        ways.append(ends if event.type == "INPUT" else ends[::-1])
    return ways


def _of_artifact(artifact: Artifact, graph: Graph) -> Node:
    kind = artifact.schema_title.rpartition(".")[2]
    commit = str(artifact.metadata.get("commit", ""))
    at = (
        f"{kind} at {commit[:8]}{'+' if artifact.metadata.get('dirty') else ''}" if commit else kind
    )
    told = {"uri": artifact.uri, **artifact.metadata}
    return Node(
        key=("artifact", artifact.name),
        lines=(short(artifact.display_name or artifact.name), short(at)),
        said=_said(artifact.name, artifact.schema_title, told),
        start=artifact.name in graph.start,
    )


def _of_execution(execution: Execution, graph: Graph) -> Node:
    run = graph.runs.get(execution.name)
    params, metrics = (run.params, run.metrics) if run else ({}, {})
    told = {
        "state": execution.state,
        "begun": stamp(execution.create_time),
        "error": execution.metadata.get("error"),
        **params,
        **metrics,
    }
    shown = [short(f"{k}={_number(v)}") for k, v in [*params.items(), *metrics.items()]]
    if len(shown) > VALUES:
        shown[VALUES - 1 :] = [f"and {len(shown) - VALUES + 1} more"]
    return Node(
        key=("execution", execution.name),
        lines=(short(execution.display_name or execution.name), str(execution.state), *shown),
        said=_said(execution.name, execution.schema_title, told),
        state=str(execution.state),
        start=execution.name in graph.start,
    )


def _said(name: str, schema_title: str, told: Mapping[str, Any]) -> str:
    return "\n".join(
        [f"{name} ({schema_title})", *(f"{k}: {v}" for k, v in told.items() if v not in ("", None))]
    )


def _number(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def short(text: str) -> str:
    """A text that fits on a node; the end of a name says more than its middle."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 13]}…{text[-12:]}"


# -- texts -------------------------------------------------------------------------------

#: what means something to Mermaid inside a quoted label, as its entity.
_MERMAID = {ord(c): f"#{ord(c)};" for c in '"#&<>;`\\*_~[]{}()|'}
_STYLES = (
    "classDef artifact fill:#e8f0fe,stroke:#4878cf,color:#10203a",
    "classDef execution fill:#f4f4f4,stroke:#777777,color:#222222",
    "classDef failed fill:#fdecea,stroke:#c0392b,color:#3a1010",
)


def mermaid(graph: Graph) -> str:
    """A Mermaid flowchart, from left to right."""
    lines = ["flowchart LR"]
    names = {}
    for number, node in enumerate(nodes(graph)):
        names[node.key] = f"n{number}"
        label = "<br>".join(_printable(line).translate(_MERMAID) for line in node.lines)
        shape = f'["{label}"]' if node.key[0] == "execution" else f'(["{label}"])'
        lines.append(f"    n{number}{shape}:::{look(node)}")
    lines += [f"    {names[source]} --> {names[target]}" for source, target in edges(graph)]
    lines += [f"    {style}" for style in _STYLES]
    return "\n".join(lines) + "\n"


def dot(graph: Graph) -> str:
    """A digraph in Graphviz's language, from left to right."""
    lines = ["digraph lineage {", '    rankdir="LR";', '    node [fontname="sans-serif"];']
    names = {}
    for number, node in enumerate(nodes(graph)):
        names[node.key] = f"n{number}"
        label = "\\n".join(_quoted(line) for line in node.lines)
        shape = "box" if node.key[0] == "execution" else "ellipse"
        colour = ', color="#c0392b"' if look(node) == "failed" else ""
        lines.append(f'    n{number} [label="{label}", shape="{shape}"{colour}];')
    lines += [f"    {names[source]} -> {names[target]};" for source, target in edges(graph)]
    return "\n".join([*lines, "}"]) + "\n"


def look(node: Node) -> str:
    """The class of a node's looks: artifact, execution or failed."""
    return "failed" if node.state in ("FAILED", "CANCELLED") else node.key[0]


def _quoted(text: str) -> str:
    return _printable(text).replace("\\", "\\\\").replace('"', '\\"')


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
