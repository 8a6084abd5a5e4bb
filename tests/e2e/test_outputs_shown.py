"""What cells show ends in the notebook as JupyterLab would have it."""

import io
import os
import time

import nbformat
import papermill
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from nbtools.screen import overwritten
from nbtools.transcript import Transcript, rebuild

pytestmark = pytest.mark.slow


def outputs(*cells, tags=()):
    """The outputs of each cell."""
    os.environ.pop("PYTEST_CURRENT_TEST", None)  # where it is ipykernel does not listen to fd 1
    nb = new_notebook(cells=[new_code_cell(c, metadata={"tags": list(tags)}) for c in cells])
    nb.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    made = papermill.execute_notebook(nb, None, engine_name="nbtools", progress_bar=False)
    nbformat.validate(made)
    return [cell.outputs for cell in made.cells]


def texts(found):
    return [(o.name, o.text) for o in found]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\n", "plain\n"),
        ("10%\r50%\r100%\n", "100%\n"),
        ("long line\rshort\n", "shortline\n"),
        ("a\r\nb\r\r\nc", "a\nb\nc"),
        ("one\ntwo\rTWO\nthree", "one\nTWO\nthree"),
        ("abc\b\bX", "aX"),
        ("\b\bx", "x"),
        ("kept\r", "kept"),
        ("a\n\bb", "a\nb"),
        ("\x1b[31mred\x1b[0m\r\x1b[32mgreen\x1b[0m", "\x1b[32mgreen\x1b[0m"),
        ("", ""),
    ],
)
def test_carriage_returns_and_backspaces_have_had_their_effect(text, shown):
    assert overwritten(text) == shown


def test_ten_thousand_short_prints_are_one_output():
    (found,) = outputs("for i in range(10_000):\n    print(i, flush=True)")
    assert texts(found) == [("stdout", "".join(f"{i}\n" for i in range(10_000)))]


def test_outputs_that_are_long_in_coming_are_waited_for_as_long_as_they_come(tmp_path):
    class Slow(io.StringIO):
        def write(self, text):
            time.sleep(0.4)
            return super().write(text)

    nb = new_notebook(cells=[new_code_cell("for i in range(6):\n    print(i, flush=True)")])
    nb.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    slow = Slow()
    papermill.execute_notebook(
        nb, None, engine_name="nbtools", progress_bar=False, stdout_file=slow, iopub_timeout=1
    )
    assert slow.getvalue() == "0\n1\n2\n3\n4\n5\n"


def test_text_that_alternates_stays_in_order():
    code = "import sys\nfor i in range(3):\n    print(i, flush=True)\n    print(i, file=sys.stderr)"
    (found,) = outputs(code + "\n    sys.stderr.flush()")
    assert "".join(t for n, t in texts(found) if n == "stdout") == "0\n1\n2\n"
    assert "".join(t for n, t in texts(found) if n == "stderr") == "0\n1\n2\n"


def test_a_progress_bar_is_one_line():
    cells = (
        "import time\nfrom tqdm import tqdm\nfor _ in tqdm(range(20)):\n    time.sleep(0.01)",
        "for i in range(5):\n    print(f'epoch {i}', end='\\r', flush=True); time.sleep(0.02)",
    )
    ((name, bar),), ((_, line),) = map(texts, outputs(*cells))
    assert name == "stderr"
    assert bar.count("\n") == 1
    assert bar.startswith("100%")
    assert line == "epoch 4"


def test_a_hundred_megabytes_of_one_cell():
    line = "x" * 99
    (found,) = outputs(f"for _ in range(100):\n    print(('{line}\\n' * 10_000), end='')")
    ((name, text),) = texts(found)
    assert name == "stdout"
    assert len(text) == 100_000_000
    assert text == (line + "\n") * 1_000_000


def test_displays_are_updated_by_their_id_also_across_cells():
    first, second, third = outputs(
        "from IPython.display import HTML, display, update_display\n"
        "h = display('a', display_id='one')\nprint('between')\ndisplay('a', display_id='one')",
        "h.update('b') if h else update_display('b', display_id='one')\nprint('here')",
        "g = display('x', display_id=True)\ng.update(HTML('<b>y</b>'))",
    )
    shown = [o.data["text/plain"] for o in first if o.output_type == "display_data"]
    assert shown == ["'b'", "'b'"]
    assert texts(o for o in first if o.output_type == "stream") == [("stdout", "between\n")]
    assert texts(second) == [("stdout", "here\n")]
    assert [o.data.get("text/html") for o in third] == ["<b>y</b>"]


def test_clear_output():
    head = "from IPython.display import clear_output, display\nprint('old')\n"
    at_once, waiting, never, stream = outputs(
        f"{head}clear_output()",
        f"{head}clear_output(wait=True)\nprint('new')",
        f"{head}clear_output(wait=True)",
        f"{head}display('x')\nfor i in range(3):\n    clear_output(wait=True)\n    print(i)\n"
        "    print('more')",
    )
    assert at_once == []
    assert texts(waiting) == [("stdout", "new\n")]
    assert texts(never) == [("stdout", "old\n")], "nothing came for which to clear"
    assert texts(stream) == [("stdout", "2\nmore\n")]


def test_rich_outputs_keep_all_their_types():
    (found, figure) = outputs(
        "class Rich:\n"
        "    def _repr_mimebundle_(self, **_):\n"
        "        return {'text/html': '<b>x</b>', 'text/latex': '$x$', 'image/svg+xml': '<svg/>',\n"
        "                'application/json': {'a': [1, None]}, 'text/markdown': '*x*',\n"
        "                'application/vnd.x+json': {'deep': {'b': 2}},\n"
        "                'text/plain': 'x'}, {'m': 1}\n"
        "Rich()",
        "import base64\nfrom IPython.display import Image\n"
        "Image(base64.b64decode('iVBORw0KGgo='), format='png', width=3)",
    )
    (rich,) = found
    assert rich.data["application/json"] == {"a": [1, None]}
    assert rich.data["application/vnd.x+json"] == {"deep": {"b": 2}}
    assert set(rich.data) == {
        "text/html", "text/latex", "image/svg+xml", "application/json", "text/markdown",
        "application/vnd.x+json", "text/plain",
    }  # fmt: skip
    assert rich.metadata == {"m": 1}
    assert figure[0].data["image/png"].strip() == "iVBORw0KGgo="
    assert figure[0].metadata == {"image/png": {"width": 3}}


def test_bytes_that_are_no_text_and_text_of_subprocesses():
    odd, child, shell = outputs(
        "import os, sys\nprint('before', flush=True)\n"
        "_ = os.write(1, b'odd: \\xff\\xfe\\n')\nprint('after ü')",
        "import subprocess, time\n_ = subprocess.run(['echo', 'from a child'])\ntime.sleep(0.5)",
        "!printf 'shell \\377\\n'",
    )
    said = "".join(text for _, text in texts(odd))
    assert "before\n" in said
    assert "odd: \ufffd\ufffd\n" in said
    assert "after ü" in said  # its newline may come after what another thread has said meanwhile
    assert "".join(text for _, text in texts(child)) == "from a child\n"
    assert "".join(text for _, text in texts(shell)) == "shell \ufffd\n"


def test_a_thread_that_prints_after_its_cell_has_ended():
    first, second = outputs(
        "import threading, time\n"
        "t = threading.Thread(target=lambda: (time.sleep(0.3), print('late')))\nt.start()",
        "t.join(); time.sleep(0.2); print('now')",
    )
    everything = [text for found in (first, second) for _, text in texts(found)]
    assert "".join(sorted(everything)) in ("late\nnow\n", "now\nlate\n")


def test_errors_keep_their_colours_and_expected_ones_do_not_stop():
    with pytest.raises(papermill.PapermillExecutionError) as caught:
        outputs("def f(): return 1 / 0\nf()", "print('after')", tags=["raises-exception"])
    assert caught.value.ename == "ZeroDivisionError"
    assert any("\x1b[" in line for line in caught.value.traceback)
    assert "print('after')" not in caught.value.source


def test_what_no_notebook_can_hold_fails_its_cell_alone():
    shown = "from IPython.display import display\ndisplay({'image/png': 5}, raw=True)"
    with pytest.raises(RuntimeError, match=r"cell 2 of 2 .*what no notebook can hold"):
        outputs("print('kept')", shown)


def test_a_notebook_that_no_page_can_be_made_of_has_succeeded(make_notebook, tmp_path, call):
    path = make_notebook("work.ipynb", "1")
    nb = nbformat.read(path, as_version=4)
    nb.cells.append(nbformat.v4.new_markdown_cell("![x](attachment:none.png)"))
    nbformat.write(nb, path)
    done = call("run", str(path))
    assert done.returncode == 0, done.stdout
    asked = call("outputs", "open", "last")
    assert asked.returncode == 2
    assert "no page can be made of work.ipynb: 'missing attachment: none.png'" in asked.stderr


def test_messages_of_comms_and_empty_cells_do_no_harm():
    found = outputs(
        "from comm import create_comm\nc = create_comm(target_name='none', data={'a': 1})\n"
        "c.send({'b': 2})\nc.close()\nprint('sent')",
        "", "   \n", "# nothing", "pass",
    )  # fmt: skip
    assert [texts(o) for o in found] == [[("stdout", "sent\n")], [], [], [], []]


WIDGET = """
from comm import create_comm
from IPython.display import display
state = {'_model_module': 'm', '_model_module_version': '1', '_model_name': 'Slider', 'value': 1}
model = create_comm(target_name='jupyter.widget', data={'state': state},
                    metadata={'version': '2.1.0'})
model.send({'method': 'update', 'state': {'value': 7}, 'buffer_paths': []})
display({'application/vnd.jupyter.widget-view+json': {'model_id': model.comm_id,
         'version_major': 2, 'version_minor': 0}}, raw=True)
"""


def test_the_state_of_widgets_is_saved():
    nb = new_notebook(cells=[new_code_cell(WIDGET)])
    made = papermill.execute_notebook(
        nb, None, engine_name="nbtools", kernel_name="python3", progress_bar=False
    )
    (view,) = made.cells[0].outputs
    shown = view.data["application/vnd.jupyter.widget-view+json"]["model_id"]
    saved = made.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    assert saved[shown]["state"]["value"] == 7


OUTPUT_WIDGET = """
from comm import create_comm
from IPython import get_ipython
state = {'_model_module': '@jupyter-widgets/output', '_model_module_version': '1.0.0',
         '_model_name': 'OutputModel', 'outputs': [], 'msg_id': ''}
out = create_comm(target_name='jupyter.widget', data={'state': state},
                  metadata={'version': '2.1.0'})
me = get_ipython().kernel.get_parent()['header']['msg_id']
def capture(on):
    out.send({'method': 'update', 'state': {'msg_id': me if on else ''}, 'buffer_paths': []})
print('outside', flush=True)
capture(True); print('inside', flush=True); capture(False)
print('outside again', flush=True)
"""


def test_what_is_printed_into_an_output_widget_is_not_in_the_cell():
    (found,) = outputs(OUTPUT_WIDGET)
    assert texts(found) == [("stdout", "outside\noutside again\n")]


def test_a_transcript_gives_the_outputs_that_the_execution_gave(tmp_path):
    """What is rebuilt after a crash is what would have been written."""
    cells = [
        "print('a\\rb')\n1", "from IPython.display import *\nh = display('x', display_id=True)",
        "h.update('y')", "print('old'); clear_output(wait=True); print('new')", "1 / 0",
    ]  # fmt: skip
    nb = new_notebook(cells=list(map(new_code_cell, cells)))
    nb.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    kept = tmp_path / "kept"

    class Kept(Transcript):
        def close(self):
            super().close()
            kept.write_bytes(self.path.read_bytes())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nbtools.progress.Transcript", Kept)
        with pytest.raises(papermill.PapermillExecutionError):
            papermill.execute_notebook(nb, tmp_path / "out.ipynb", engine_name="nbtools",
                                       progress_bar=False)  # fmt: skip
    written = nbformat.read(tmp_path / "out.ipynb", 4)
    recovered = rebuild(kept)
    ours = [(c.outputs, c.metadata.papermill, c.execution_count) for c in recovered.cells]
    theirs = [(c.outputs, c.metadata.papermill, c.execution_count)
              for c in written.cells if c.cell_type == "code"]  # fmt: skip
    assert ours == theirs


if __name__ == "__main__":  # by hand: how long the large one takes
    begin = time.monotonic()
    test_a_hundred_megabytes_of_one_cell()
    print(f"{time.monotonic() - begin:.1f} s")  # noqa: T201
