"""Modules that look for IPython while a zygote loads them."""

import nbformat
import pytest

import nbtools

pytestmark = pytest.mark.slow


def last_text(job):
    return nbformat.read(job.outputs.notebook, as_version=4).cells[-1].outputs[-1].text


def test_pandas_is_loaded_and_knows_that_this_is_a_kernel(store_folder, make_notebook):
    notebook = make_notebook(
        "work.ipynb",
        "import sys\nloaded = 'pandas' in sys.modules",
        "import numpy as np\nimport pandas as pd\nimport matplotlib.pyplot as plt",
        "print(loaded, pd.get_option('display.max_columns'), pd.DataFrame({'x': [1]}).shape)",
    )
    assert last_text(nbtools.run(notebook)) == "True 20 (1, 1)\n"


def test_one_that_cannot_be_imported_twice_is_left_to_the_notebook(
    store_folder, make_notebook, tmp_path, monkeypatch
):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "onlyonce.py").write_text(
        "import sys\n"
        "try:\n    get_ipython()\n    found = True\nexcept NameError:\n    found = False\n"
        "assert not hasattr(sys, '_onlyonce'), 'a second time'\nsys._onlyonce = True\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    notebook = make_notebook(
        "work.ipynb", "import onlyonce\nimport colorsys", "print(onlyonce.found)"
    )
    assert last_text(nbtools.run(notebook)) == "True\n"
