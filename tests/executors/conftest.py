"""An emulator on a store of its own stands for Vertex AI; one for all tests of a module."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from nbtools.emulator import lifecycle

# It is read once in a process: Google would be asked what kind of bucket each is.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"

PROJECT = """
[tool.nbtools]
project = "test"
location = "us-central1"
staging_bucket = "gs://staging/of-tests"

[tool.nbtools.machine]
type = "n1-standard-8"
service_account = "runner@test.iam.gserviceaccount.com"
"""


@dataclass
class Cloud:
    store: Path
    variables: dict[str, str]
    project: str = PROJECT


@pytest.fixture(scope="module")
def whole_cloud(tmp_path_factory):
    store = tmp_path_factory.mktemp("cloud") / "store"
    found = lifecycle.start(store, "test", "us-central1")
    yield Cloud(store, lifecycle.variables(store, found, "rest", dict(os.environ)))
    lifecycle.stop(store)


@pytest.fixture
def cloud(whole_cloud, tmp_path, monkeypatch):
    """As a project sees it that lies in `tmp_path`."""
    import gcsfs

    for name, value in whole_cloud.variables.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    monkeypatch.chdir(tmp_path)
    gcsfs.GCSFileSystem.clear_instance_cache()  # those know where another was
    return whole_cloud
