"""Without warm kernels, as elsewhere than on Linux, a job is executed all the same."""

import pytest

pytestmark = pytest.mark.slow


def test_a_job_whose_processes_are_begun_anew(call, make_notebook, tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.nbtools]\nwarm = false\n")
    make_notebook("work.ipynb", "print(lr)")
    done = call("run", "work.ipynb", "-p", "lr", "0.5")
    assert done.returncode == 0, done.stderr
    assert "0.5" in call("logs", "last").stdout
    assert "none is warm" in call("kernels", "list").stdout
