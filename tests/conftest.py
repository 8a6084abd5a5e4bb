"""What many tests start from: a store of their own, and notebooks made on the spot."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook


@pytest.fixture
def store_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NBTOOLS_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def make_notebook(tmp_path):
    def make(
        name, *cells, parameters="lr: float = 1e-3  # learning rate", kernel="python3", folder=None
    ):
        node = new_notebook(
            cells=[new_code_cell(c) for c in cells],
            metadata={"kernelspec": {"name": kernel, "display_name": kernel}},
        )
        if parameters is not None:
            tagged = {"tags": ["parameters"]}
            node.cells.insert(0, new_code_cell(parameters, metadata=tagged))
        path = (folder or tmp_path) / name
        nbformat.write(node, path)
        return path

    return make
