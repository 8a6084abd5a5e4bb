"""Without warm kernels, as elsewhere than on Linux, a job is executed all the same."""

import json

import pytest

pytestmark = pytest.mark.slow


def test_a_job_whose_processes_are_begun_anew(call, make_notebook, tmp_path):
    def zygotes():
        return {zygote["key"] for zygote in json.loads(call("kernels", "list", "--json").stdout)}

    (tmp_path / "pyproject.toml").write_text("[tool.nbtools]\nwarm = false\n")
    make_notebook("work.ipynb", "print(lr)")
    before = zygotes()
    done = call("run", "work.ipynb", "-p", "lr", "0.5")
    assert done.returncode == 0, done.stderr
    assert "0.5" in call("logs", "last").stdout
    assert zygotes() <= before
