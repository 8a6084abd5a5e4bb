"""From a dataset over two notebooks to a report: linked by themselves, and shown."""

import json
import subprocess
from xml.etree import ElementTree

import pytest

pytestmark = pytest.mark.slow
TRAIN = """
import nbtools
data = nbtools.open_input("data.csv").read()
nbtools.output_path("m.pt").write_bytes(data * 2)
nbtools.log_model(nbtools.output_path("m.pt"), "digits")
nbtools.log_metrics({"acc": 0.75})
"""


@pytest.fixture
def done(call, make_notebook, tmp_path):
    (tmp_path / "data.csv").write_text("1,2\n")
    train = make_notebook("train.ipynb", TRAIN)
    use = make_notebook("use.ipynb", "import nbtools\nnbtools.use_artifact('digits').path")
    git = ["git", "-c", "user.email=a@example.org", "-c", "user.name=A"]
    for command in (["init", "-q"], ["add", "train.ipynb"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)
    for notebook in (train, use):
        ran = call("run", notebook, "-p", "lr", "0.5")
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_job_is_linked_by_itself_and_shown(call, done, tmp_path):
    graph = json.loads(call("lineage", "show", "digits", "--format", "json").stdout)
    kinds = {a["display_name"]: a["schema_title"] for a in graph["artifacts"]}
    assert kinds == {
        "data.csv": "system.Dataset",
        "train.ipynb": "nbtools.Notebook",
        "digits": "system.Model",
        "use.ipynb": "nbtools.Notebook",
        "use.html": "nbtools.Report",
    }
    (run,) = [r for r in graph["runs"].values() if r["experiment"] == "train"]
    assert (run["params"], run["metrics"]) == ({"lr": 0.5}, {"acc": 0.75})
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.strip()
    (source,) = [a for a in graph["artifacts"] if a["display_name"] == "train.ipynb"]
    assert (source["metadata"]["commit"], source["metadata"]["dirty"]) == (head, False)
    other = json.loads(call("lineage", "show", "last", "--up", "--format", "json").stdout)
    sources = [a["metadata"] for a in other["artifacts"] if a["display_name"] == "use.ipynb"]
    assert [meta["dirty"] for meta in sources] == [True]  # it is in no commit

    table = call("lineage", "show", "data.csv", "--down").stdout
    assert "INPUT   digits (Model)" in table
    assert f"train.ipynb  at commit {head[:12]}" in call("lineage", "show", "digits").stdout
    up = call("lineage", "show", "data.csv", "--up").stdout
    assert up.splitlines()[1].split() == ["data.csv", "(Dataset)"]
    near = json.loads(
        call("lineage", "show", "data.csv", "--depth", "1", "--format", "json").stdout
    )
    assert len(near["executions"]) == 1
    (tmp_path / "data.csv").write_text("3,4\n")
    assert "data.csv at data.csv has changed since" in call("lineage", "show", "digits").stdout


def test_every_format_and_what_is_wrong(call, done):
    svg = call("lineage", "show", "digits", "--format", "svg").stdout
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert call("lineage", "show", "digits", "--format", "dot").stdout.startswith("digraph")
    assert call("lineage", "show", "digits", "--format", "mermaid").stdout.startswith("flowchart")
    events = json.loads(call("lineage", "show", "digits", "--format", "openlineage").stdout)
    assert [e["eventType"] for e in events] == ["START", "COMPLETE"] * 2
    wrong = call("lineage", "show", "nothing")
    assert wrong.returncode == 2
    assert "nothing in the store is called 'nothing'" in wrong.stderr
    assert call("lineage", "show", "digits", "--depth", "-1").returncode == 2
