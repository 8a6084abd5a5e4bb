"""papermill's documented behaviour, executed by papermill itself and by its engine `nbtools`.

Each row of the table is executed by both, and what came out is compared: the notebook that
is returned, the notebook that is written, and what is raised. Where ours differs it is said
in DEVIATIONS, with the reason, and that it differs so is tested too.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field

import nbformat
import papermill
import pytest
from jupyter_client import KernelManager
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_raw_cell
from papermill.iorw import papermill_io

from nbtools.transcript import Reader, rebuild

pytestmark = pytest.mark.slow

#: row -> (what papermill's record says of the cells, what ours says, why)
DEVIATIONS = {
    "the kernel dies": (
        ["completed", "completed", "completed"],
        ["completed", "failed", "pending"],
        "papermill calls every cell completed, also the one in which the kernel died and those "
        "that never ran",
    ),
    "a cell takes too long": (
        ["completed", "completed"],
        ["failed", "pending"],
        "as when the kernel dies",
    ),
    "a kernel that does not start": (["completed"], ["pending"], "as when the kernel dies"),
    "no kernel of that name": (["completed"], ["pending"], "as when the kernel dies"),
    "sys.exit(0)": (
        ["completed", "failed", "pending"],
        ["completed", "completed", "pending"],
        "papermill counts such a notebook as a success; then no cell of it has failed",
    ),
}
#: and of what is shown: theirs, ours, why
SHOWN_OTHERWISE = {
    "carriage returns": (
        "direct\r\n10%\r50%\rdone\n",
        "direct\ndone\n",
        "JupyterLab has overwritten what a carriage return overwrites when it saves",
    ),
}


def tagged(source, *tags):
    return new_code_cell(source, metadata={"tags": list(tags)})


@dataclass
class Row:
    cells: list
    parameters: dict | None = None
    options: dict = field(default_factory=dict)
    raises: str = ""  #: name of the exception
    output: str = "out.ipynb"


PARAMETERS = tagged("a = 1\nb = 'x'  # what it is", "parameters")
STOPS = ["x = 1", "{}", "x = 2"]
VALUES = {"a": -3, "b": "it's \"ü\"\n", "f": 1.5, "i": float("inf"), "t": True, "n": None,
          "l": [1, "two", None], "d": {"k": [1, {"x": 2}]}}  # fmt: skip

ROWS = {
    "outputs, cells that are no code, counts": Row([
        new_markdown_cell("# title"), "print('a')\nprint('b')\n1 + 1", "", new_raw_cell("raw"),
        "import sys\nprint('err', file=sys.stderr)\nprint('out')", "# only a comment",
        "from IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'), 2)\nHTML('y')",
        "%%bash\necho from bash", "x = !echo shell\nx", "1;",
    ]),
    "parameters of many types": Row([PARAMETERS, "a, b, f, i, t, n, l, d"], VALUES),
    "no parameters given": Row([PARAMETERS, "print(a, b)"]),
    "no parameters cell": Row(["print(a)"], {"a": 2}),
    "a parameter that is none": Row([PARAMETERS, "print(zz)"], {"zz": 2}),
    "injected before": Row(
        [PARAMETERS, tagged("a = 7", "injected-parameters"), "print(a)"], {"a": 2}
    ),
    "report mode": Row([PARAMETERS, "print(a)"], {"a": 2}, {"report_mode": True}),
    "prepare only": Row([PARAMETERS, "print(a)"], {"a": 2}, {"prepare_only": True}),
    "the output's name has a parameter": Row(
        [PARAMETERS, "print(a)"], {"a": 2}, output="out-{a}.ipynb"
    ),
    "an error": Row(STOPS, None, {}, "PapermillExecutionError"),
    "sys.exit(0)": Row(STOPS),
    "sys.exit(1)": Row(STOPS, None, {}, "PapermillExecutionError"),
    "KeyboardInterrupt": Row(STOPS, None, {}, "PapermillExecutionError"),
    "input()": Row(STOPS, None, {}, "PapermillExecutionError"),
    "the kernel dies": Row(STOPS, None, {}, "DeadKernelError"),
    "a cell takes too long": Row(STOPS[1:], None, {"execution_timeout": 1}, "CellTimeoutError"),
    "an error that is expected": Row(
        ["x = 1", tagged("1 / 0", "raises-exception"), "print(x)"],
        None, {}, "PapermillExecutionError",
    ),
    "errors are allowed": Row(
        ["x = (", "print(1)"], None, {"allow_errors": True}, "PapermillExecutionError"
    ),
    "cells that are skipped": Row(["x = 1", tagged("x = 2", "skip-execution"), "print(x)"]),
    "an error marker from before": Row(
        [new_markdown_cell("old", metadata={"tags": ["papermill-error-cell-tag"]}), "1 + 1"]
    ),
    "a folder to work in": Row(
        ["import os\nprint(os.path.basename(os.getcwd()), open('data.txt').read())"],
        None, {"cwd": "elsewhere"}, output="made/out.ipynb",
    ),
    "no kernel of that name": Row(["1"], None, {"kernel_name": "nope"}, "NoSuchKernel"),
    "a kernel that does not start": Row(
        ["1"], None, {"kernel_name": "broken", "start_timeout": 2}, "RuntimeError"
    ),
    "no output": Row(["print(1)"], output=None),
    "saved at the end only": Row(
        ["print(1)"], None, {"request_save_on_cell_execute": False}
    ),
}  # fmt: skip
STOPPERS = {
    "an error": "1 / 0",
    "sys.exit(0)": "import sys; sys.exit(0)",
    "sys.exit(1)": "import sys; sys.exit(1)",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "input()": "input('name?')",
    "the kernel dies": "import os; os._exit(3)",
    "a cell takes too long": "import time; time.sleep(60)",
}


def notebook(row, name):
    cells = [STOPPERS[name] if c == "{}" else c for c in row.cells]
    cells = [new_code_cell(c) if isinstance(c, str) else c for c in cells]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": spec})


def execute(row, name, folder, engine):
    """What is returned, what is written and what is raised."""
    for part in ("elsewhere", "made"):
        (folder / part).mkdir(parents=True)
    (folder / "elsewhere/data.txt").write_text("data")
    nbformat.write(notebook(row, name), folder / "in.ipynb")
    made = raised = None
    with contextlib.chdir(folder):
        try:
            made = papermill.execute_notebook(
                "in.ipynb", row.output, row.parameters, engine, progress_bar=False, **row.options
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
            raised = error
    written = {
        str(path.relative_to(folder)): nbformat.read(path, 4)
        for path in folder.rglob("*.ipynb")
        if path.name != "in.ipynb"
    }
    assert not list(folder.rglob("*.transcript")), "what it says is in the notebook"
    return made, written, raised


TIMES = {"start_time", "end_time", "duration"}


def plain(node):
    """A notebook without what differs from one time to the next."""
    node = json.loads(json.dumps(node))
    for number, cell in enumerate(node["cells"]):
        cell["id"] = number
        record = cell["metadata"].get("papermill", {})
        cell["metadata"]["execution"] = sorted(cell["metadata"].get("execution", {}))
        for key in TIMES & set(record):
            record[key] = record[key] is not None
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                lines = "\n".join(output["traceback"])
                output["traceback"] = re.sub(r"ipykernel_\d+|0x[0-9a-f]+|Temp/\S+", "", lines)
    for key in TIMES & set(node["metadata"]["papermill"]):
        node["metadata"]["papermill"][key] = node["metadata"]["papermill"][key] is not None
    return node


def assert_same(ours, theirs):
    ours, theirs = plain(ours), plain(theirs)
    assert len(ours["cells"]) == len(theirs["cells"])
    for one, other in zip(ours["cells"], theirs["cells"], strict=True):
        assert one == other
    assert ours == theirs


def statuses(node):
    return [c.metadata.papermill.status for c in node.cells if c.cell_type == "code"]


@pytest.fixture
def broken_kernel(tmp_path, monkeypatch):
    spec = tmp_path / "jupyter/kernels/broken"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-c", "import time; time.sleep(60)"]
    content = {"argv": argv, "display_name": "broken", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(content))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))


@pytest.mark.parametrize("name", ROWS)
def test_as_papermill_does(name, tmp_path, broken_kernel):
    row = ROWS[name]
    theirs = execute(row, name, tmp_path / "theirs", None)
    ours = execute(row, name, tmp_path / "ours", "nbtools")
    assert type(theirs[2]).__name__ == type(ours[2]).__name__ == (row.raises or "NoneType"), ours[2]
    for attribute in ("ename", "evalue", "exec_count", "cell_index", "source"):
        values = [getattr(made[2], attribute, None) for made in (theirs, ours)]
        assert values[0] == values[1], attribute
    assert set(theirs[1]) == set(ours[1])
    if name in DEVIATIONS:
        expected_of_theirs, expected_of_ours, _ = DEVIATIONS[name]
        assert statuses(*theirs[1].values()) == expected_of_theirs
        assert statuses(*ours[1].values()) == expected_of_ours
        nbformat.validate(*ours[1].values())
        return
    assert (theirs[0] is None) == (ours[0] is None)
    if ours[0] is not None:
        assert_same(ours[0], theirs[0])
    for path in theirs[1]:
        assert_same(ours[1][path], theirs[1][path])
        nbformat.validate(ours[1][path])


def test_carriage_returns(tmp_path):
    row = Row(["!echo direct", "print('10%', end='\\r')\nprint('50%', end='\\r')\nprint('done')"])
    made = [execute(row, "", tmp_path / str(e), e)[0] for e in (None, "nbtools")]
    texts = tuple("".join(c.outputs[0].text for c in node.cells) for node in made)
    assert texts == SHOWN_OTHERWISE["carriage returns"][:2]


@pytest.mark.parametrize("engine", [None, "nbtools"])
def test_printed_text_goes_to_files_and_to_the_log(engine, tmp_path, caplog):
    node = notebook(Row(["import sys\nprint('one')\nprint('two', file=sys.stderr)", "'three'"]), "")
    with (tmp_path / "o").open("w") as out, (tmp_path / "e").open("w") as err:
        caplog.set_level("INFO", "papermill")
        papermill.execute_notebook(
            node, None, engine_name=engine, progress_bar=False, log_output=True,
            stdout_file=out, stderr_file=err,
        )  # fmt: skip
    assert (tmp_path / "o").read_text() == "one\n"
    assert (tmp_path / "e").read_text() == "two\n"
    said = [(r.levelname, r.getMessage().strip()) for r in caplog.records]
    expected = [("INFO", "one"), ("WARNING", "two"), ("INFO", "'three'")]
    assert [line for line in said if line in expected] == expected
    assert ("INFO", f"Executing Cell {1:-<40}") in said
    assert ("INFO", f"Ending Cell {2:-<43}") in said


@pytest.mark.parametrize("engine", [None, "nbtools"])
def test_a_kernel_that_is_running_is_used_and_left_running(engine, tmp_path):
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    try:
        for code, expected in (("kept = 41", []), ("kept + 1", ["42"])):
            made = papermill.execute_notebook(
                notebook(Row([code]), ""), None, engine_name=engine, km=manager, progress_bar=False
            )
            assert [o.data["text/plain"] for o in made.cells[0].outputs] == expected
        assert manager.is_alive()
    finally:
        manager.shutdown_kernel(now=True)


class Memory:
    """Somewhere that is no file."""

    def __init__(self):
        self.written = {}

    def read(self, path):
        return self.written[path]

    def write(self, buf, path):
        self.written[path] = buf

    def pretty_path(self, path):
        return path

    def listdir(self, path):
        return []


@pytest.mark.parametrize("engine", [None, "nbtools"])
@pytest.mark.parametrize("code", ["print(1)", "1 / 0"])
def test_paths_that_are_no_files_are_left_to_papermill(engine, code, tmp_path, monkeypatch):
    memory = Memory()
    monkeypatch.setattr(papermill_io, "_handlers", [("mem:", memory), *papermill_io._handlers])
    memory.written["mem:in.ipynb"] = nbformat.writes(notebook(Row([code]), ""))
    raises = pytest.raises(papermill.PapermillExecutionError) if "/" in code else None
    with raises or contextlib.nullcontext(), contextlib.chdir(tmp_path):
        papermill.execute_notebook("mem:in.ipynb", "mem:out.ipynb", None, engine,
                                   progress_bar=False)  # fmt: skip
    assert nbformat.reads(memory.written["mem:out.ipynb"], 4).cells[-1].outputs
    assert list(tmp_path.iterdir()) == []


def begin_command(tmp_path, *cells):
    nbformat.write(notebook(Row(list(cells)), ""), tmp_path / "in.ipynb")
    command = [sys.executable, "-m", "papermill", "--engine", "nbtools", "in.ipynb", "out.ipynb"]
    return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)
    return found


def test_the_command_killed_leaves_what_was_done_and_no_kernel(tmp_path):
    process = begin_command(
        tmp_path, "import os; print('done', os.getpid())",
        "import time; print('begun', flush=True); time.sleep(600)", "x = 1",
    )  # fmt: skip
    path = tmp_path / "out.ipynb.transcript"
    wait_for(lambda: any("begun" in str(e.get("content")) for e in Reader(path).more()))
    process.kill()
    process.wait()
    node = rebuild(path)
    assert statuses(node) == ["completed", "failed", "pending"]
    done, pid = node.cells[0].outputs[0].text.split()
    assert done == "done"
    assert node.cells[1].outputs[0].text == "begun\n"
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"))


def test_the_command_interrupted_says_so_and_writes_what_was_done(tmp_path):
    process = begin_command(
        tmp_path, "print('done')", "import time; print('begun', flush=True); time.sleep(600)", "x"
    )
    path = tmp_path / "out.ipynb.transcript"
    wait_for(lambda: any("begun" in str(e.get("content")) for e in Reader(path).more()))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"KeyboardInterrupt" in err
    node = nbformat.read(tmp_path / "out.ipynb", 4)
    assert statuses(node) == ["completed", "failed", "pending"]
    assert not path.exists()
