"""What a notebook will import, read from its source."""

from pathlib import Path

import pytest

from nbtools.kernels.preload import imports


def read(*cells, folder=Path("/nowhere"), kind="code"):
    return imports({"cells": [{"cell_type": kind, "source": c} for c in cells]}, folder)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import numpy", ["numpy"]),
        ("import numpy as np, pandas.io.sql", ["numpy", "pandas.io.sql"]),
        ("from torch.utils.data import DataLoader", ["torch.utils.data"]),
        ("from . import x\nfrom .y import z", []),
        ("import sys\nfrom __future__ import annotations", []),
        ("x = 1\nimport json", ["json"]),
        ("with warnings.catch_warnings():\n    import torch", ["torch"]),
        ("if big:\n    import torch", []),
        ("try:\n    import torch\nexcept ImportError:\n    pass", []),
        ("def f():\n    import torch", []),
        ("%matplotlib inline\nimport numpy", ["numpy"]),
        ("%%time\nimport numpy", ["numpy"]),
        ("import numpy\nimport numpy", ["numpy"]),
        ("", []),
        ("import numpy\nimport broken as", []),
        ("# import torch\n'''\nimport pandas\n'''", []),
    ],
)
def test_imports_of_a_cell(source, names):
    assert list(read(source)) == names


@pytest.mark.parametrize(
    "turning",
    [
        "os.environ['X'] = '1'",
        "os.putenv('X', '1')",
        "sys.path.insert(0, 'src')",
        "os.chdir('..')",
        "multiprocessing.set_start_method('spawn')",
        "%cd ..",
        "%pip install torch",
        "!pip install torch",
        "  !pip install torch",
        "%load_ext autoreload",
        "%env X=1",
        "%%bash\npip install torch",
        "x = !ls",
        "if here:\n    os.environ.update(x)",
    ],
)
def test_reading_stops_where_an_import_may_mean_something_else(turning):
    assert read("import numpy", turning, "import torch") == ("numpy",)
    assert read(f"{turning}\nimport torch") == ()


def test_cells_that_are_no_code_are_not_read():
    assert read("import numpy", kind="markdown") == ()


def test_lines_may_be_a_list():
    cells = [{"cell_type": "code", "source": ["import numpy\n", "import pandas"]}]
    assert imports({"cells": cells}, Path("/nowhere")) == ("numpy", "pandas")


def test_what_lies_beside_the_notebook_is_its_own(tmp_path):
    (tmp_path / "plan.py").touch()
    (tmp_path / "torch").mkdir()
    assert read("import plan, torch.nn, numpy", folder=tmp_path) == ("numpy",)
