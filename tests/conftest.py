from pathlib import Path

import nbformat
import pytest


@pytest.fixture
def store_folder(tmp_path, monkeypatch):
    folder = tmp_path / "store"
    monkeypatch.setenv("NBTOOLS_STORE", str(folder))
    return folder


@pytest.fixture
def make_notebook(tmp_path):
    def make(
        name, *cells, parameters="lr: float = 1e-3  # learning rate", kernel="python3"
    ) -> Path:
        nb = nbformat.v4.new_notebook()
        nb.nbformat_minor = 5
        nb.metadata["kernelspec"] = {"name": kernel, "display_name": kernel, "language": "python"}
        if parameters is not None:
            tags = {"tags": ["parameters"]}
            nb.cells.append(nbformat.v4.new_code_cell(parameters, metadata=tags))
        nb.cells.extend(nbformat.v4.new_code_cell(source) for source in cells)
        path = tmp_path / name
        if path.suffix != ".ipynb":
            path = path.with_name(f"{path.name}.ipynb")
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(nb, path)
        return path

    return make
