"""Where nothing is forked, kernels are ordinary ones and all behaves the same."""

import contextlib
import os
import re

import papermill
import pytest
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat.v4 import new_code_cell, new_notebook

from nbtools.kernels.zygotes import Zygotes
from nbtools.settings import Settings

pytestmark = pytest.mark.slow
CELLS = [
    "import os, sys, signal, threading, random\nprint(os.getppid())",
    "print(os.getcwd(), sys.path[:1], sys.argv[0].rpartition('/')[2], __name__)",
    "print(*sorted({*os.environ} - {'JPY_PARENT_PID'}), sep='\\n')",
    "print(os.getpgrp() == os.getpid())",
    "print(threading.active_count(), threading.current_thread() is threading.main_thread())",
    "print([str(signal.getsignal(n)) for n in (signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE)])",
    "print(get_ipython().__class__, 'numpy' in sys.modules, 'nbtools' in sys.modules)",
    "import beside, numpy\nprint(beside.x, numpy.ones(2), sys.stdin, sys.stdout.encoding)",
    "import matplotlib.pyplot as plt\n_ = plt.plot([1, 2])",
    "%timeit -n1 -r1 1\n!echo shell\nsys.displayhook",
    "import gc, atexit, warnings\nprint(gc.isenabled(), gc.get_threshold())\nwarnings.warn('w')",
    "import multiprocessing as m\nprint(m.current_process().name, m.get_start_method())",
    "1 / 0",
]


@pytest.fixture(params=[True, False], ids=["warm", "ordinary"])
def folder(request, tmp_path):
    """A project whose settings say whether kernels are forked."""
    warm = str(request.param).lower()
    (tmp_path / "pyproject.toml").write_text(f"[tool.nbtools]\nwarm = {warm}\n")
    (tmp_path / "beside.py").write_text("x = 1")
    return tmp_path


def execute(folder, *cells, **options):
    nb = new_notebook(cells=list(map(new_code_cell, cells)))
    nb.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    with contextlib.suppress(papermill.PapermillExecutionError):
        papermill.execute_notebook(
            nb, str(folder / "out.ipynb"), engine_name="nbtools", cwd=str(folder),
            progress_bar=False, **options,
        )  # fmt: skip
    return papermill.iorw.load_notebook_node(str(folder / "out.ipynb"))


#: what the other kind of kernel gave, by test
SEEN = {}


def test_a_notebook_sees_the_same(folder, request):
    found = execute(folder, *CELLS)
    outputs = [
        re.sub(rf"{folder}|ipykernel_\d+|0x[0-9a-f]+|[\d.]+ .s ±.*|PID \d+", "", str(c.outputs))
        for c in found.cells
        if c.cell_type == "code"
    ]
    parent = int(found.cells[1].outputs[0].text)
    if "warm" in request.node.name:
        assert parent in {s.pid for s in Zygotes(Settings.load().runtime).list()}
    else:
        assert parent == os.getpid()
    other = SEEN.setdefault("outputs", outputs)
    for ours, theirs in zip(outputs[1:], other[1:], strict=True):
        assert set(ours.split("\\n")) == set(theirs.split("\\n"))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import ctypes; ctypes.string_at(0)", "the kernel was killed by SIGSEGV"),
        ("import os; os._exit(3)", "the kernel ended by itself with exit status 3"),
        ("import os; os.kill(os.getpid(), 9)", "the kernel was killed by SIGKILL"),
    ],
)
def test_a_death_has_the_same_reason(folder, code, reason):
    with pytest.raises(DeadKernelError, match=f"cell 2 of 2.*: {reason}"):
        execute(folder, "1", code)


def test_a_limit_interrupts(folder):
    code = "import time\ntry:\n    time.sleep(60)\nfinally:\n    print('interrupted')"
    with pytest.raises(CellTimeoutError):
        execute(folder, code, execution_timeout=1)


def test_what_is_open_at_the_end_is_written(folder):
    execute(folder, "file = open('kept.txt', 'w')\n_ = file.write('x' * 5000)")
    assert (folder / "kept.txt").stat().st_size == 5000
