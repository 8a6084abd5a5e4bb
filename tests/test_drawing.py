"""Drawings that other programs read, with text in them that tries to get out."""

import re
from datetime import UTC, datetime
from xml.etree import ElementTree

import pydot
import pytest

from nbtools.graph import Graph
from nbtools.nouns import Artifact, Event, Execution

NOW = datetime(2024, 1, 2, tzinfo=UTC)
NASTY = [
    '"]; evil --> node["',
    "<script>alert(1)</script>",
    "a\\",
    'a\\" b',
    "line\nbreak\r\x00\x1b[31m\u2028",
    "#quot; & &lt; `code` end subgraph",
    "",
    "ünïcode 名前 " + "x" * 500,
    "]]></style><svg onload=x>",
]


def graph(name, state="COMPLETE"):
    return Graph(
        artifacts=(
            Artifact(name="in", schema_title="system.Dataset", display_name=name, uri=name),
            Artifact(name="out", schema_title=name or "t", metadata={"k": name}),
        ),
        executions=(
            Execution(name="e", schema_title="t", display_name=name, state=state, create_time=NOW),
        ),
        events=(
            Event(execution="e", artifact="in", type="INPUT", time=NOW),
            Event(execution="e", artifact="out", type="OUTPUT", time=NOW),
        ),
        start=frozenset({"out"}),
    )


def tags(element):
    return [e.tag.rpartition("}")[2] for e in element.iter()]


@pytest.mark.parametrize("name", NASTY)
def test_the_picture_is_sound_and_holds_text_as_text(name):
    svg = graph(name).svg()
    root = ElementTree.fromstring(svg)
    assert tags(root).count("rect") == 3
    assert tags(root).count("script") == 0
    assert not any(key.startswith("on") for e in root.iter() for key in e.attrib)
    assert not re.search(r"(href|src|url\()=?[\"']?(?!#)\w*:?//", svg)
    if name.isprintable():
        said = [e.text for e in root.iter() if e.tag.endswith("title")]
        assert any(name in text for text in said)


@pytest.mark.parametrize("name", NASTY)
def test_graphviz_text_is_parsed_to_what_was_meant(name):
    (parsed,) = pydot.graph_from_dot_data(graph(name).dot())
    assert {node.get_name() for node in parsed.get_nodes()} == {"node", "n0", "n1", "n2"}
    assert {(e.get_source(), e.get_destination()) for e in parsed.get_edges()} == {
        ("n0", "n2"), ("n2", "n1"),
    }  # fmt: skip


@pytest.mark.parametrize("name", NASTY)
def test_mermaid_text_has_a_line_for_each_thing(name):
    lines = graph(name).mermaid().splitlines()
    assert lines[0] == "flowchart LR"
    nodes = [line for line in lines if ":::" in line]
    assert len(nodes) == 3
    # Between the quotes there is nothing that means something to Mermaid, but entities and <br>.
    for line in nodes:
        (label,) = re.fullmatch(r'    n\d(?:\["|\(\[")(.*?)(?:"\]|"\]\)):::\w+', line).groups()
        rest = re.sub(r"#\d+;|<br>", "", label)
        assert not set(rest) & set('"#&<>;`\\[]{}()|'), line
    assert [line.strip() for line in lines if "-->" in line] == ["n0 --> n2", "n2 --> n1"]


def test_what_failed_is_seen():
    assert ":::failed" in graph("x", "FAILED").mermaid()
    assert 'class="failed"' in graph("x", "FAILED").svg()
    assert "#c0392b" in graph("x", "FAILED").dot()
    assert "failed" not in graph("x").dot()


def test_boxes_do_not_overlap():
    many = graph("x")
    many = Graph(
        artifacts=tuple(Artifact(name=f"a{n}", schema_title="t") for n in range(20)),
        executions=many.executions,
        events=tuple(
            Event(execution="e", artifact=f"a{n}", type="INPUT" if n % 2 else "OUTPUT")
            for n in range(20)
        ),
    )
    root = ElementTree.fromstring(many.svg())
    boxes = [
        tuple(float(r.get(k)) for k in ("x", "y", "width", "height"))
        for r in root.iter()
        if r.tag.endswith("rect")
    ]
    assert len(boxes) == 21
    for i, (x, y, w, h) in enumerate(boxes):
        for x2, y2, w2, h2 in boxes[:i]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
    right = max(x + w for x, _, w, _ in boxes)
    assert right < float(root.get("width"))


def test_nothing_at_all_can_be_drawn():
    empty = Graph(artifacts=(), executions=(), events=())
    assert "nothing is known" in ElementTree.fromstring(empty.svg())[-1].text
    assert empty.mermaid().startswith("flowchart")
    assert pydot.graph_from_dot_data(empty.dot())
