"""The page of an executed notebook shows what a notebook has said, and does nothing of it."""

from html.parser import HTMLParser

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from nbtools.page import write_report


class Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.met = []

    def handle_starttag(self, tag, attrs):
        self.met.append((tag, dict(attrs)))


@pytest.fixture
def elements(tmp_path):
    """Those of the page of a notebook that is titled, and shows, what is no good."""
    evil = "<script>alert(1)</script>"
    shown = new_output("display_data", {"text/html": evil})
    cells = [new_code_cell("1", outputs=[shown, new_output("stream", text=evil)])]
    notebook = new_notebook(cells=cells, metadata={"title": f"</title>{evil}"})
    write_report(notebook, tmp_path / "page.html", f"</title>{evil}")
    found = Elements()
    found.feed((tmp_path / "page.html").read_text())
    return found.met


def test_a_policy_stands_before_all_that_a_browser_could_execute(elements):
    names = [tag for tag, _ in elements]
    assert names[:3] == ["html", "head", "meta"]
    policy = elements[2][1]
    assert policy["http-equiv"] == "Content-Security-Policy"
    rules = dict(rule.split(None, 1) for rule in policy["content"].split("; "))
    assert rules["default-src"] == "'none'"  # what has no rule of its own: scripts, connections
    assert not {"script-src", "script-src-elem", "script-src-attr", "connect-src"} & set(rules)
    assert {rules["img-src"], rules["font-src"], rules["media-src"]} == {"data:"}


def test_what_is_printed_is_text(elements):
    """Of the two that the cell shows and the title only the one shown as HTML is an element."""
    own = [tag for tag, attrs in elements if tag == "script" and not attrs]
    plain = new_notebook(cells=[new_code_cell("1")])
    assert len(own) == 1 + len(_scripts(plain))


def _scripts(notebook):
    from nbtools.page import EXPORTER

    found = Elements()
    found.feed(EXPORTER.from_notebook_node(notebook)[0])
    return [tag for tag, attrs in found.met if tag == "script" and not attrs]
