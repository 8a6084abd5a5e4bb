"""What is warmed before it is needed is what is then used."""

import sys
import tempfile

import nbformat
import pytest

from nbtools.errors import RequestError
from nbtools.executors.local import RUNNER
from nbtools.jobs import Jobs
from nbtools.kernels.zygotes import Spec, Zygotes
from nbtools.request import Request
from nbtools.settings import Settings, environment
from nbtools.states import JobState
from nbtools.warming import warm, warm_runner

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def none_warm(own_zygotes, monkeypatch):
    """None that another test has left."""
    with tempfile.TemporaryDirectory(prefix="nbt-") as folder:  # short: sockets go there
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield
        Zygotes(Settings.load().runtime).stop()


def test_a_job_comes_from_what_was_warmed_for_it(store_folder, make_notebook):
    """From that very process, with its imports loaded, and its runner from the other."""
    notebook = make_notebook("n.ipynb", "import os, decimal\nprint(os.getppid())")
    kernels = warm(notebook)
    assert "decimal" in kernels.preload
    warm_runner()
    before = {zygote.key for zygote in Zygotes(Settings.load().runtime).list()}
    assert before == {kernels.key, Spec.of(sys.executable, RUNNER, environment(), ("-P",)).key}
    jobs = Jobs.open()
    job = jobs.submit(Request(notebook=str(notebook), params={})).wait(60)
    assert job.state is JobState.SUCCEEDED, job.error
    executed = nbformat.read(job.outputs.notebook, 4)
    assert int(executed.cells[-1].outputs[0].text) == kernels.pid
    assert {zygote.key for zygote in Zygotes(Settings.load().runtime).list()} == before


def test_a_kernel_that_cannot_be_forked_is_refused(store_folder, make_notebook, tmp_path):
    spec = tmp_path / "kernels" / "odd"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text('{"argv": ["cat"], "display_name": "odd", "language": "c"}')
    notebook = make_notebook("n.ipynb", "1", kernel="odd")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(tmp_path))
        with pytest.raises(RequestError, match="kernel 'odd' cannot be forked"):
            warm(notebook)
