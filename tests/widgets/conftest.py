"""One JupyterLab and one browser for the tests of this folder."""

import pytest

from tests.widgets.lab import chromium, started


@pytest.fixture(scope="package")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def lab(tmp_path_factory, browser):
    with started(tmp_path_factory.mktemp("lab"), browser) as lab:
        yield lab
