"""NotebookService: execution jobs that are really executed, by real kernels."""

import json
import shutil
import time

import nbformat
import pytest
from google.api_core import exceptions
from google.cloud.aiplatform_v1 import types
from nbformat.v4 import new_code_cell, new_notebook

from nbtools import removal
from nbtools.emulator import buckets, executions
from nbtools.jobs import Jobs
from nbtools.notebook import Notebook
from nbtools.nouns import Context, Execution, utc_now
from nbtools.prepare import prepare
from nbtools.request import Request
from nbtools.retry import retry
from nbtools.settings import Settings
from nbtools.states import JobState

PARENT = "projects/test/locations/us-central1"
FULL = types.NotebookExecutionJobView.NOTEBOOK_EXECUTION_JOB_VIEW_FULL
WRITES = (
    "import os\nfrom pathlib import Path\nPath('made.txt').write_text(os.environ.get('COLOUR', ''))"
)


def content(*cells):
    node = new_notebook(
        cells=[c if isinstance(c, dict) else new_code_cell(c) for c in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "python3"}},
    )
    return nbformat.writes(node).encode()


def asked(*cells, **more):
    return {
        "display_name": "a job",
        "direct_notebook_source": {"content": content(*cells)},
        "gcs_output_uri": "gs://results/here",
        **more,
    }


@pytest.fixture
def create(notebooks):
    def create(job, id_=None):
        made = notebooks.create_notebook_execution_job(
            parent=PARENT, notebook_execution_job=job, notebook_execution_job_id=id_
        )
        assert made.done()  # the operation ends when the job is created
        return made.result()

    return create


@pytest.fixture
def ended(notebooks):
    def ended(name):
        limit = time.monotonic() + 120
        while time.monotonic() < limit:
            job = notebooks.get_notebook_execution_job(name=name)
            if JobState(job.job_state.name.removeprefix("JOB_STATE_")).final:
                return job
            time.sleep(0.05)
        raise AssertionError(job)

    return ended


@pytest.fixture
def jobs(emulator):
    return Jobs(emulator.store, Settings(store=emulator.folder))


def results(emulator, job):
    uri = f"{job.gcs_output_uri}/{job.name.rpartition('/')[2]}/content.ipynb"
    return nbformat.reads(buckets.read(emulator.folder, uri).decode(), 4)


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_a_job_is_executed_and_its_result_lies_in_the_bucket(emulator, create, ended, jobs):
    made = create(asked("print(6 * 7)", labels={"team": "a"}, service_account="me@p.com"), "my-job")
    assert made.name == f"{PARENT}/notebookExecutionJobs/my-job"
    assert made.create_time
    done = ended(made.name)
    assert done.job_state == types.JobState.JOB_STATE_SUCCEEDED
    assert types.NotebookExecutionJob.pb(done).HasField("status")
    assert (done.status.code, done.status.message) == (0, "")
    assert (done.display_name, dict(done.labels)) == ("a job", {"team": "a"})
    assert done.update_time >= done.create_time
    assert results(emulator, done).cells[-1].outputs[0].text == "42\n"
    job = jobs.get("my-job")  # an ordinary job of nbtools
    assert (job.state, job.experiment, job.executor) == (JobState.SUCCEEDED, "a-job", "local")
    assert jobs.outputs(job).notebook.name == "content.ipynb"


def test_what_fails_says_why_and_leaves_what_was_executed(emulator, create, ended):
    done = ended(create(asked("print('so far')", "1 / 0")).name)
    assert done.job_state == types.JobState.JOB_STATE_FAILED
    assert done.status.code == 2
    assert "ZeroDivisionError" in done.status.message
    before, _, last = results(emulator, done).cells[-3:]
    assert before.outputs[0].text == "so far\n"
    assert last.outputs[0].ename == "ZeroDivisionError"


def test_a_job_has_so_much_time(create, ended):
    done = ended(create(asked("import time; time.sleep(600)", execution_timeout="1s")).name)
    assert done.job_state == types.JobState.JOB_STATE_FAILED
    assert "longer than the 1 s" in done.status.message


def test_deleting_a_job_cancels_it_and_its_record_stays(notebooks, create, jobs, emulator):
    made = create(asked("import time; time.sleep(600)"), "long")
    done = notebooks.delete_notebook_execution_job(name=made.name)
    assert done.done()
    with pytest.raises(exceptions.NotFound):
        notebooks.get_notebook_execution_job(name=made.name)
    with pytest.raises(exceptions.NotFound):
        notebooks.delete_notebook_execution_job(name=made.name)
    assert list(notebooks.list_notebook_execution_jobs(parent=PARENT)) == []
    job = jobs.get("long").name
    while not jobs.get(job).state.final:
        time.sleep(0.05)
    assert jobs.get(job).state is JobState.CANCELLED


def test_a_job_of_a_gcs_notebook_is_of_that_generation(emulator, create, ended):
    uri = "gs://sources/a folder/train.ipynb"
    buckets.write(emulator.folder, uri, content("print('first')"))
    old = str(buckets.path(emulator.folder, uri).stat().st_mtime_ns)
    job = {"gcs_notebook_source": {"uri": uri, "generation": old}, "gcs_output_uri": "gs://out"}
    done = ended(create(job, "one").name)
    assert done.job_state == types.JobState.JOB_STATE_SUCCEEDED
    assert done.gcs_notebook_source.uri == uri
    assert b"first" in buckets.read(emulator.folder, "gs://out/one/train.ipynb")
    buckets.write(emulator.folder, uri, content("print('second')"))
    with pytest.raises(exceptions.NotFound, match="has no generation"):
        create(job)
    with pytest.raises(exceptions.NotFound, match="no object"):
        create({"gcs_notebook_source": {"uri": "gs://sources/none.ipynb"}})


def test_values_that_were_injected_before_stay(emulator, create, ended, jobs):
    defaults = new_code_cell("lr = 1.0\nlayers = 2", metadata={"tags": ["parameters"]})
    injected = new_code_cell("lr = 0.25", metadata={"tags": ["injected-parameters"]})
    done = ended(create(asked(defaults, injected, "print(lr, NBTOOLS['job'])"), "mine").name)
    assert results(emulator, done).cells[-1].outputs[0].text == "0.25 mine\n"
    job = jobs.get("mine")
    assert jobs.outputs(job).values == {"lr": 0.25, "layers": 2}


LOGS = "import nbtools\nnbtools.log_metrics({'accuracy': 0.5})\nprint(NBTOOLS['run'])"


def prepared(tmp_path):
    """As an executor would send it: with parameters, and who it is."""
    path = tmp_path / "train.ipynb"
    tagged = new_code_cell("lr: float = 1.0", metadata={"tags": ["parameters"]})
    path.write_bytes(content(tagged, LOGS))
    identity = {"job": "train-1", "experiment": "digits", "run": "wide"}
    return prepare(Notebook.read(path), {"lr": 0.5}, identity, "python3").encode()


def test_a_notebook_that_brings_a_run_logs_to_it(emulator, create, ended, tmp_path, jobs):
    from nbtools.runs import find_context, open_run

    open_run(emulator.store, "digits", "wide", utc_now(), job="train-1-of-the-client")
    job = asked(direct_notebook_source={"content": prepared(tmp_path)})
    done = ended(create(job, "train-1").name)
    assert done.job_state == types.JobState.JOB_STATE_SUCCEEDED, done.status.message
    emulator.store.drain(utc_now())
    run = find_context(emulator.store, "digits", "wide")
    assert run.metadata["_metrics"] == {"accuracy": 0.5}
    assert run.metadata["_state"] == "RUNNING"  # whose run it is says when it ends
    assert jobs.get("train-1").experiment == executions.EXPERIMENT
    card = results(emulator, done).cells[-1].outputs[0].data["application/vnd.nbtools.run+json"]
    assert (card["experiment"], card["run"], card["metrics"]) == (
        "digits", "wide", {"accuracy": 0.5}
    )  # fmt: skip


def test_the_run_of_another_store_comes_home_in_the_executed_notebook(
    emulator, create, ended, tmp_path, jobs
):
    done = ended(create(asked(direct_notebook_source={"content": prepared(tmp_path)})).name)
    assert done.job_state == types.JobState.JOB_STATE_SUCCEEDED, done.status.message
    outputs = results(emulator, done).cells[-1].outputs
    card = outputs[0].data["application/vnd.nbtools.run+json"]
    assert (card["run"], card["metrics"]) == ("wide", {"accuracy": 0.5})
    assert outputs[1].text == "wide\n"


def test_the_sdk_in_a_jobs_notebook_talks_to_the_same_emulator(emulator, create, ended):
    logs = (
        "from google.cloud import aiplatform\n"
        "aiplatform.init(project='own', experiment='scripted')\n"
        "with aiplatform.start_run('one'):\n    aiplatform.log_params({'lr': 0.5})"
    )
    done = ended(create(asked(logs)).name)
    assert done.job_state == types.JobState.JOB_STATE_SUCCEEDED, done.status.message
    from nbtools.runs import find_context

    assert find_context(emulator.store, "scripted", "one").metadata["_params"] == {"lr": 0.5}


WRONG = [
    ({"display_name": "x" * 129}, "128 characters"),
    ({"direct_notebook_source": {"content": b"{}"}}, "no nbformat"),
    ({"direct_notebook_source": {"content": b"nonsense"}}, "JSON is broken"),
    ({"kernel_name": "cobol"}, "no kernel 'cobol'"),
    ({"labels": {"Team": "A"}}, "Invalid label"),
    ({"service_account": "me"}, "e-mail address"),
    ({"execution_user": "me@p.com", "workbench_runtime": {}}, "Colab"),
    ({"gcs_output_uri": "s3://there"}, "gs://BUCKET"),
    ({"custom_environment_spec": {"machine_spec": {"machine_type": "N1 !"}}}, "machine_type"),
    ({"custom_environment_spec": {"machine_spec": {"accelerator_count": 1}}}, "go together"),
    ({"custom_environment_spec": {"persistent_disk_spec": {"disk_type": "x"}}}, "pd-ssd"),
]


@pytest.mark.parametrize(("more", "says"), WRONG, ids=[says for _, says in WRONG])
def test_what_is_wrong_is_said_and_nothing_is_begun(emulator, create, more, says):
    with pytest.raises(exceptions.BadRequest, match=says):
        create(asked("1", **more))
    assert emulator.store.select(Execution) == []
    assert [p.name for p in (emulator.folder / "jobs").glob("*")] == []


def test_what_cannot_be_is_refused_in_googles_words(create):
    with pytest.raises(exceptions.BadRequest, match="needs a notebook_source"):
        create({"display_name": "none"})
    with pytest.raises(exceptions.MethodNotImplemented, match="Dataform"):
        create({"dataform_repository_source": {"dataform_repository_resource_name": "r"}})
    with pytest.raises(exceptions.BadRequest, match="Invalid NotebookExecutionJob ID"):
        create(asked("1"), "Not This")
    name = f"{PARENT}/notebookRuntimeTemplates/none"
    with pytest.raises(exceptions.NotFound, match="NotebookRuntimeTemplate"):
        create(asked("1", notebook_runtime_template_resource_name=name))


def test_where_an_object_lies_no_result_can(emulator, create):
    buckets.write(emulator.folder, "gs://results/here", b"an object")
    with pytest.raises(exceptions.BadRequest, match="cannot write to gs://results/here"):
        create(asked("1"))
    assert emulator.store.select(Execution) == []


def test_a_notebook_whose_metadata_is_odd_is_refused(create):
    odd = json.loads(content("1"))
    odd["metadata"]["nbtools"] = {"experiment": "../..", "run": 5}
    odd["cells"][0]["metadata"]["tags"] = 7
    with pytest.raises(exceptions.BadRequest, match="not a valid notebook"):
        create(asked(direct_notebook_source={"content": json.dumps(odd).encode()}))


@pytest.fixture
def three(create, ended):
    """Three jobs that have ended."""
    made = [create(asked("1", display_name=f"job {n}"), f"job-{n}") for n in (1, 2, 3)]
    return [ended(job.name) for job in made]


def listed(notebooks, **request):
    found = notebooks.list_notebook_execution_jobs({"parent": PARENT, **request})
    return [job.name.rpartition("/")[2] for job in found]


def test_jobs_are_listed_filtered_ordered_and_by_pages(notebooks, three, create):
    assert listed(notebooks) == ["job-1", "job-2", "job-3"]
    assert listed(notebooks, order_by="display_name desc") == ["job-3", "job-2", "job-1"]
    assert listed(notebooks, filter='notebookExecutionJob="job-2"') == ["job-2"]
    assert listed(notebooks, filter="notebook_execution_job != job-2") == ["job-1", "job-3"]
    assert listed(notebooks, filter='displayName=~"job [12]"') == ["job-1", "job-2"]
    two = 'NOT displayName="job 1" AND (display_name:"x" OR displayName="job 3")'
    with pytest.raises(exceptions.BadRequest, match="an operator of display_name"):
        listed(notebooks, filter=two)
    assert listed(notebooks, filter=two.replace(":", "=")) == ["job-3"]
    first = notebooks.list_notebook_execution_jobs({"parent": PARENT, "page_size": 2})
    page = next(first.pages)
    assert [len(page.notebook_execution_jobs), bool(page.next_page_token)] == [2, True]
    assert listed(notebooks, page_size=2) == ["job-1", "job-2", "job-3"]
    for wrong in ("state = 1", "displayName", "displayName =~ '('", "displayName = 'x' more"):
        with pytest.raises(exceptions.BadRequest):
            listed(notebooks, filter=wrong)
    with pytest.raises(exceptions.BadRequest, match="order_by"):
        listed(notebooks, order_by="labels")
    with pytest.raises(exceptions.Conflict):
        create(asked("1"), "job-1")
    get = notebooks.get_notebook_execution_job
    name = three[0].name
    assert "direct_notebook_source" not in get(name=name)
    whole = get({"name": name, "view": FULL})
    assert json.loads(whole.direct_notebook_source.content)["cells"][0]["source"] == ["1"]


def test_a_job_that_was_pruned_is_gone_and_its_id_is_free(create, ended, notebooks, emulator):
    made = ended(create(asked("1"), "again").name)
    removal.remove(emulator.store, Execution, "again")
    shutil.rmtree(emulator.folder / "jobs" / "again")
    removal.remove(emulator.store, Context, "a-job-again")
    with pytest.raises(exceptions.NotFound):
        notebooks.get_notebook_execution_job(name=made.name)
    assert listed(notebooks) == []
    assert ended(create(asked("1"), "again").name).name == made.name


def test_an_id_that_is_a_jobs_name_already_is_no_trouble(create, ended, jobs, make_notebook):
    """An executor may well call the job here as it calls its own, in the same store."""
    mine = jobs.submit(Request(notebook=make_notebook("t.ipynb", "1"), params={}, job="same"))
    made = ended(create(asked("1"), "same").name)
    assert made.name.endswith("/same")
    assert made.job_state == types.JobState.JOB_STATE_SUCCEEDED
    assert {job.name for job in jobs.list()} == {mine.name, "a-job-same"}


def test_a_retry_keeps_what_was_injected_and_the_surroundings(create, ended, jobs, emulator):
    injected = new_code_cell("lr = 0.25", metadata={"tags": ["injected-parameters"]})
    says = "import os\nprint(lr, 'NBTOOLS_VERTEX' in os.environ, NBTOOLS['run'])"
    ended(create(asked(injected, says), "first").name)
    again = retry(jobs, "first")
    while not jobs.get(again.name).state.final:
        time.sleep(0.05)
    executed = jobs.outputs(jobs.get(again.name)).notebook
    assert nbformat.read(executed, 4).cells[-1].outputs[0].text == f"0.25 True {again.run}\n"
