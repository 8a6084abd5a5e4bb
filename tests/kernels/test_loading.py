"""What a zygote loads, what it refuses, and what it learns."""

import os

import pytest

from tests.kernels.conftest import until

pytestmark = pytest.mark.slow
LOADED = "import json, sys; print(json.dumps([n for n in {names} if n in sys.modules]))"
THREAD = """
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
"""


def test_a_module_that_starts_a_thread_is_refused_and_others_load(forks):
    forks.module("good", "x = 1")
    forks.module("busy", THREAD)
    forks.module("fine", "x = 1")
    names = ["good", "busy", "fine"]
    assert forks.run(LOADED.format(names=names), preload=names) == ["good", "fine"]
    standing = forks.zygote()
    assert standing.preload == ("good", "fine")
    assert standing.refused == {"busy": "it starts threads, which a fork would lose"}
    code = "import busy, threading; print(threading.active_count())"
    assert forks.run(code, preload=names) == 3, "its own process still has what it starts"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit('not today')", "SystemExit: not today"),
        ("import no_such_thing", "ModuleNotFoundError: No module named 'no_such_thing'"),
        ("x = (", "SyntaxError: '(' was never closed (broken.py, line 1)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt: "),
    ],
)
def test_a_module_that_cannot_be_loaded_is_refused_with_the_reason(forks, code, reason):
    forks.module("broken", code)
    forks.module("fine", "x = 1")
    names = ["broken", "fine", "missing"]
    assert forks.run(LOADED.format(names=names), preload=names) == ["fine"]
    refused = forks.zygote().refused
    assert refused["broken"] == reason
    assert refused["missing"] == "ModuleNotFoundError: No module named 'missing'"


def test_what_a_module_prints_and_warns_is_not_a_notebooks(forks):
    forks.module("loud", "import warnings\nprint('hello')\nwarnings.warn('careful')")
    assert forks.run("import loud", preload=["loud"]) == ""


def test_what_children_had_to_import_besides_the_next_have(forks):
    package = forks.lib / "package"
    package.mkdir()
    (package / "__init__.py").write_text("def late(): import package.part")
    (package / "part.py").write_text("")
    forks.module("other", "")
    code = "import package, other, wave; package.late()"
    loaded = LOADED.format(names=["package.part", "wave", "other"])
    assert forks.run(loaded, preload=["package"]) == []
    forks.run(code, preload=["package"])
    pid = forks.zygote().pid
    until(lambda: forks.run(loaded, preload=["package"]) == ["package.part", "wave"])
    assert forks.zygote().pid == pid
    (package / "part.py").write_text("changed = True")
    code = "import package.part; print(package.part.changed)"
    assert forks.run(code, preload=["package"]) == "True\n"


def test_what_lies_beside_a_program_is_not_learned(forks):
    (forks.folder / "wave.py").write_text("mine = True")
    for _ in range(2):
        assert forks.run("import wave; print(wave.mine)") == "True\n"


def test_learning_what_starts_threads_is_undone(forks):
    package = forks.lib / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "busy.py").write_text(THREAD)
    calm = forks.begin("import time; time.sleep(1); print('done')", preload=["package"])
    forks.run("import package.busy", preload=["package"])
    loaded = LOADED.format(names=["package", "package.busy"])

    def refused():
        assert forks.run(loaded, preload=["package"]) == ["package"]
        return list(forks.zygote().refused) == ["package.busy"]

    until(refused)
    assert calm.wait(60) == 0, "it is told how it ended all the same"
    assert calm.out.read_text() == "done\n"


def test_a_child_that_ends_while_the_zygote_loads_is_told_as_it_ended(forks):
    """Loading what one child has taught takes longer than anybody waits for an exit status."""
    package = forks.lib / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "slow.py").write_text("import time; time.sleep(1.5)")
    teacher = forks.begin("import package.slow", preload=["package"])
    other = forks.begin("import time, os; time.sleep(2.2); os._exit(7)", preload=["package"])
    assert teacher.wait(60) == 0
    assert other.wait(60) == 7


@pytest.mark.parametrize("asks", ["from IPython import get_ipython", ""])
def test_a_module_that_looks_for_ipython_when_imported_finds_it(kernel, tmp_path, asks):
    """tqdm.auto and matplotlib's inline backend do."""
    package = tmp_path / "lib/asking"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("loaded = []")
    (package / "auto.py").write_text("from asking.inner import found")
    (package / "inner.py").write_text(
        f"import asking\n{asks}\nasking.loaded.append(1)\n"
        "try:\n    found = get_ipython() is not None\nexcept NameError:\n    found = False"
    )
    (package / "calm.py").write_text("calm = True")
    made = kernel("asking", env={**os.environ, "PYTHONPATH": str(tmp_path / "lib")})
    assert made.run("import sys; print('asking' in sys.modules, 'asking.calm' in sys.modules)") == (
        "True True\n"
    )
    assert made.run("from asking.auto import found; print(found)") == "True\n"
    assert made.run("from asking import auto, loaded; print(auto.found, loaded)") == "True [1, 1]\n"
