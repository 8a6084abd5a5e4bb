"""What a transcript says, to whom, and what is made of it again."""

import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from nbtools.transcript import Reader, Transcript, rebuild


def said(kind, **content):
    return {"msg_type": kind, "content": content}


@pytest.fixture
def notebook():
    return new_notebook(cells=[new_code_cell("a"), new_code_cell("b"), new_code_cell("c")])


@pytest.fixture
def transcript(tmp_path, notebook):
    return Transcript(tmp_path / "transcript.jsonl", notebook)


def test_what_had_ended_and_what_was_begun_is_made_again(transcript):
    transcript.begin(0, "2026-11-23T10:00:00")
    transcript.message(0, said("execute_input", code="a", execution_count=1))
    transcript.message(0, said("stream", name="stdout", text="one "))
    transcript.message(0, said("stream", name="stdout", text="line\n"))
    transcript.message(0, said("status", execution_state="idle"))
    transcript.end(0, {"status": "completed", "duration": 0.5})
    transcript.begin(1, "2026-11-23T10:00:01")
    transcript.message(1, said("stream", name="stderr", text="half"))
    made = rebuild(transcript.path)
    nbformat.validate(made)
    assert made.cells[0].outputs == [
        {"output_type": "stream", "name": "stdout", "text": "one line\n"}
    ]
    assert made.cells[0].execution_count == 1
    assert [c.metadata.get("papermill", {}).get("status") for c in made.cells] == [
        "completed", "failed", None,
    ]  # fmt: skip
    assert made.cells[1].outputs[0].text == "half"


def test_a_line_that_was_cut_off_waits_and_harms_nothing(transcript):
    transcript.begin(0, "2026-11-23T10:00:00")
    with transcript.path.open("ab") as file:
        file.write(b'{"cell": 0, "say": "str')
    reader = Reader(transcript.path)
    assert [set(event) for event in reader.more()] == [{"notebook"}, {"cell", "begin"}]
    assert rebuild(transcript.path).cells[0].metadata.papermill.status == "failed"
    with transcript.path.open("ab") as file:
        file.write(b'eam", "content": {"name": "stdout", "text": "x"}}\n')
    (event,) = reader.more()
    assert event["content"]["text"] == "x"
    assert list(reader.more()) == []


def test_a_line_that_a_full_disk_cut_is_left_out(tmp_path, notebook):
    path = tmp_path / "transcript.jsonl"
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from nbformat.v4 import new_notebook; from nbtools.transcript import Transcript\n"
        "t = Transcript(Path(sys.argv[1]), new_notebook())\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "size = Path(sys.argv[1]).stat().st_size\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, resource.RLIM_INFINITY))\n"
        "try: t.note('x' * 100)\nexcept OSError: pass\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))\nt.note('whole')\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    events = list(Reader(path).more())
    assert [e.get("note") for e in events] == [None, "whole"]


def test_a_reader_goes_on_when_the_file_is_removed(transcript):
    reader = Reader(transcript.path)
    assert len(list(reader.more())) == 1
    transcript.path.unlink()
    transcript.note("still there")
    assert [event["note"] for event in reader.more()] == ["still there"]


def test_where_nothing_was_written_there_is_nothing(tmp_path):
    assert rebuild(tmp_path / "none.jsonl") is None
    assert list(Reader(tmp_path / "none.jsonl").more()) == []


def test_displays_are_updated_and_cleared_as_they_were(transcript):
    plain = {"text/plain": "old"}
    transcript.begin(0, "2026-11-23T10:00:00")
    transcript.message(0, said("stream", name="stdout", text="gone"))
    transcript.message(0, said("clear_output", wait=False))
    first = said("display_data", data=plain, metadata={}, transient={"display_id": "d"})
    transcript.message(0, first)
    new = {"data": {"text/plain": "new"}, "metadata": {}, "transient": {"display_id": "d"}}
    transcript.message(0, said("update_display_data", **new))
    (output,) = rebuild(transcript.path).cells[0].outputs
    assert output.data == {"text/plain": "new"}
