"""Jobs of the screens, over the REST API that the screens use."""

import time

import nbformat
import pytest

from nbtools.jobs import Jobs
from nbtools.nouns import utc_now
from nbtools.runs import list_runs
from nbtools.settings import Settings
from nbtools.store import Store
from tests.lab.conftest import until

pytestmark = pytest.mark.slow
SHOW = "print(repr(lr), repr(tag), repr(sizes))"
TYPED = "lr: float = 1e-3  # learning rate\ntag: str = 'a'\nsizes: list[int] = [1]"


@pytest.fixture(scope="module")
def done(server):
    """A job that has succeeded, of a notebook with typed parameters and a side file."""
    side = "import nbtools\nnbtools.output_path('side/table.csv').write_text('a,b')"
    server.write("typed.ipynb", SHOW, side, parameters=TYPED)
    params = {"lr": "3", "tag": "3.10", "sizes": "[1, 2]"}
    asked = {"name": "Typed", "parameters": params, "tags": ["x"]}
    return server.ended(server.create("typed.ipynb", output_formats=["ipynb", "html"], **asked))


def jobs_of(server):
    settings = Settings.load(server.folder, server.env)
    return Jobs(Store(settings.store), settings, utc_now)


def printed(path):
    cells = nbformat.read(path, as_version=4).cells
    return "".join(o.get("text", "") for c in cells for o in c.get("outputs", ()))


def test_a_job_is_one_of_the_store_with_typed_values(server, done):
    assert done["status"] == "COMPLETED", done["status_message"]
    job = jobs_of(server).get(done["job_id"])
    assert dict(job.params) == {"lr": 3.0, "tag": "3.10", "sizes": [1, 2]}
    assert (done["name"], done["tags"], done["compute_type"]) == ("Typed", ["x"], "local")
    assert done["create_time"] <= done["start_time"] <= done["end_time"]


def test_what_a_job_left_is_downloaded(server, done):
    assert done["downloaded"] is False
    assert {f["file_format"]: f["file_path"] for f in done["job_files"]} == dict.fromkeys(
        ("ipynb", "html", "input", "files")
    )
    path = f"scheduler/jobs/{done['job_id']}/download_files?redownload=false"
    assert server.call("GET", path) == (204, None)
    now = server.job(done["job_id"])
    assert now["downloaded"] is True
    files = {f["file_format"]: server.folder / f["file_path"] for f in now["job_files"]}
    assert printed(files["ipynb"]) == "3.0 '3.10' [1, 2]\n"
    assert "3.10" in files["html"].read_text()
    assert nbformat.read(files["input"], as_version=4).cells[0].source == TYPED
    assert (files["files"] / "side/table.csv").read_text() == "a,b"
    # Another download leaves what its user has changed, one of the user's own asking does not.
    files["html"].write_text("mine")
    assert server.call("GET", path) == (204, None)
    assert files["html"].read_text() == "mine"
    assert server.call("GET", path.replace("false", "true")) == (204, None)
    assert files["html"].read_text() != "mine"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"parameters": {"learning_rate": "1"}}, "learning_rate: no such parameter; did you mean"),
        ({"parameters": {"lr": "fast"}}, "lr: 'fast' does not fit float (learning rate)"),
        ({"runtime_environment_name": "python2"}, "no kernel 'python2' here, there is"),
        ({"compute_type": "moon"}, "no executor 'moon': there is local, vertex"),
        ({"compute_type": "vertex"}, "[tool.nbtools]"),  # and nothing says which project
        ({"compute_type": "vertex", "package_input_folder": True}, "'Run job with input folder'"),
        ({"output_formats": ["pdf"]}, "no output format 'pdf': there is ipynb, html"),
        ({"input_uri": "../typed.ipynb"}, "Input path '../typed.ipynb' does not exist."),
        ({"runtime_environment_parameters": {"gpu": 1}}, "environments have no parameters"),
        ({"input_uri": "odd.ipynb"}, "is not a notebook"),
    ],
)
def test_what_is_wrong_is_refused_with_our_sentence_and_nothing_is_left(server, done, asked, said):
    (server.folder / "odd.ipynb").write_text("no JSON")
    before = len(server.jobs()), len(list((server.store / "jobs").iterdir()))
    whole = {"name": "x", "input_uri": "typed.ipynb", "runtime_environment_name": "python3"}
    status, answer = server.call("POST", "scheduler/jobs", {**whole, **asked})
    assert status == 500
    assert said in answer
    assert (len(server.jobs()), len(list((server.store / "jobs").iterdir()))) == before


def test_environments_are_kernels_and_the_notebooks_own_comes_first(server):
    status, found = server.call("GET", "scheduler/runtime_environments")
    assert status == 200
    assert [e["name"] for e in found][:1] == ["the notebook's kernel"]
    assert "python3" in [e["name"] for e in found]
    assert all(e["label"] == e["name"] for e in found)  # the form sends the label as the name
    assert found[0]["compute_types"] == ["local", "vertex"]
    assert found[0]["default_compute_type"] == "local"
    server.write("own.ipynb", "1 + 1")
    job = server.ended(server.create("own.ipynb", runtime_environment_name=found[0]["name"]))
    assert (job["status"], job["runtime_environment_name"]) == ("COMPLETED", "python3")


def test_the_list_is_filtered_sorted_and_paged(server, done):
    server.write("few.ipynb", "1")
    ids = [server.create("few.ipynb", name=f"Few {n}", tags=["few", f"t{n}"]) for n in "cab"]
    for id_ in ids:
        server.ended(id_)

    def names(query):
        return [job["name"] for job in server.jobs(query)]

    assert names("?name=few&sort_by=asc(name)") == ["Few a", "Few b", "Few c"]
    assert names("?name=few&sort_by=desc(name)&max_items=2") == ["Few c", "Few b"]
    assert names("?tags=few&tags=ta") == ["Few a"]
    assert names("?name=few")[0] == "Few b"  # the newest first
    assert set(names("?status=completed")) >= {"Few a", "Typed"}
    assert names("?status=failed&name=few") == []
    _, page = server.call("GET", "scheduler/jobs?name=few&sort_by=asc(name)&max_items=2")
    assert page["total_count"] == 3
    rest = server.jobs(f"?name=few&sort_by=asc(name)&next_token={page['next_token']}")
    assert [j["name"] for j in rest] == ["Few c"]
    _, plain = server.call("GET", "scheduler/jobs?max_items=1&sort_by=desc(create_time)")
    assert len(plain["jobs"]) == 1
    assert plain["next_token"] == "1"
    for query in ("?sort_by=asc(color)", "?next_token=abc"):
        assert server.call("GET", f"scheduler/jobs{query}")[0] == 500
    assert "cannot sort by 'color'" in server.call("GET", "scheduler/jobs?sort_by=color")[1]


def test_a_job_is_stopped_and_its_part_can_be_had(server):
    name, _ = server.waiting("stopped")
    id_ = server.create(name)
    until("it is counted", lambda: server.call("GET", "scheduler/jobs/count")[1]["count"] >= 1)
    until("it has begun", lambda: jobs_of(server).get(id_).cell)
    assert server.call("PATCH", f"scheduler/jobs/{id_}", {"status": "STOPPED"}) == (204, None)
    job = server.ended(id_)
    assert job["status"] == "STOPPED"
    assert job["end_time"]
    status, said = server.call("PATCH", f"scheduler/jobs/{id_}", {"status": "STOPPED"})
    assert (status, "has ended already" in said) == (500, True)


def test_a_failed_job_says_why_and_when(server):
    server.write("bad.ipynb", "print('before')", "1 / 0")
    job = server.ended(server.create("bad.ipynb", output_formats=["ipynb", "html"]))
    assert job["status"] == "FAILED"
    assert "ZeroDivisionError" in job["status_message"]
    assert job["end_time"] >= job["start_time"]
    server.call("GET", f"scheduler/jobs/{job['job_id']}/download_files?redownload=false")
    files = {f["file_format"]: f["file_path"] for f in server.job(job["job_id"])["job_files"]}
    assert printed(server.folder / files["ipynb"]) == "before\n"
    assert "ZeroDivisionError" in (server.folder / files["html"]).read_text()


def test_a_token_is_good_for_one_job(server, done):
    first = server.create("typed.ipynb", idempotency_token="once")
    whole = {"name": "x", "runtime_environment_name": "python3", "idempotency_token": "once"}
    for notebook in ("typed.ipynb", "few.ipynb"):
        server.write("few.ipynb", "1")
        status, said = server.call("POST", "scheduler/jobs", {**whole, "input_uri": notebook})
        assert (status, "'once' already exists" in said) == (409, True)
    assert server.ended(first)["idempotency_token"] == "once"


def test_a_job_may_have_a_copy_of_its_folder(server):
    (server.folder / "data").mkdir()
    (server.folder / "data/rows.csv").write_text("1")
    code = "import pathlib\nprint(pathlib.Path('rows.csv').read_text())"
    server.write("data/reads.ipynb", code, "pathlib.Path('new.txt').write_text('made')")
    job = server.ended(server.create("data/reads.ipynb", package_input_folder=True))
    assert job["status"] == "COMPLETED", job["status_message"]
    assert job["packaged_files"] == ["new.txt", "rows.csv"]
    assert not (server.folder / "data/new.txt").exists()
    server.call("GET", f"scheduler/jobs/{job['job_id']}/download_files?redownload=false")
    folder = server.folder / "jobs" / job["job_id"]
    assert {(folder / name).read_text() for name in job["packaged_files"]} == {"made", "1"}


def test_a_renamed_job_keeps_its_files(server, done):
    path = f"scheduler/jobs/{done['job_id']}"
    assert server.call("PATCH", path, {"name": "Renamed <i>"}) == (204, None)
    now = server.job(done["job_id"])
    assert (now["name"], now["tags"]) == ("Renamed <i>", ["x"])
    status, said = server.call("PATCH", path, {"compute_type": "ray"})
    assert (status, "was begun by local: create another" in said) == (500, True)


def test_deleting_takes_a_jobs_record_and_files_and_leaves_its_runs_values(server):
    server.write("gone.ipynb", "import nbtools\nnbtools.log_metrics({'loss': 0.5})")
    job = server.ended(server.create("gone.ipynb"))
    folder = server.store / "jobs" / job["job_id"]
    assert folder.is_dir()
    assert server.call("DELETE", f"scheduler/jobs/{job['job_id']}") == (204, None)
    assert not folder.exists()
    status, said = server.call("GET", f"scheduler/jobs/{job['job_id']}")
    assert (status, "no execution" in said) == (500, True)
    store = Store(server.store)
    [run] = list_runs(store, utc_now(), "gone")
    assert run.metrics == {"loss": 0.5}


def test_a_job_at_work_is_stopped_and_deleted_in_batches(server):
    name, _ = server.waiting("deleted")
    ids = [server.create(name), server.create(name)]
    query = "&".join(f"job_id={id_}" for id_ in ids)
    assert server.call("DELETE", f"scheduler/batch/jobs?{query}") == (204, None)
    assert not {j["job_id"] for j in server.jobs()} & set(ids)


def test_a_job_that_another_refers_to_stays_and_it_is_said_why(server, done):
    server.write("again.ipynb", "1 / 0")
    first = server.ended(server.create("again.ipynb"))["job_id"]
    jobs = jobs_of(server)
    from nbtools.retry import retry

    second = retry(jobs, first).name
    server.ended(second)
    status, said = server.call("DELETE", f"scheduler/jobs/{first}")
    assert status == 500
    assert said == f"job {first} stays: job {second} executes it again"
    assert server.job(first)["status"] == "FAILED"
    for id_ in (second, first):
        assert server.call("DELETE", f"scheduler/jobs/{id_}") == (204, None)


def test_jobs_of_the_command_line_are_there_too(server, done):
    settings = Settings.load(server.folder, server.env)
    from nbtools.request import Request

    name = jobs_of(server).submit(Request(notebook=server.folder / "typed.ipynb", params={})).name
    job = server.ended(name)
    assert (job["name"], job["status"], settings.store) == ("typed", "COMPLETED", server.store)


def test_killing_the_server_in_the_middle_of_a_job_loses_nothing(server):
    name, gate = server.waiting("survivor")
    id_ = server.create(name, name="Survivor")
    until("it has begun", lambda: jobs_of(server).get(id_).cell)
    server.kill()
    gate.touch()
    server.begin()
    job = server.ended(id_)
    assert (job["status"], job["name"]) == ("COMPLETED", "Survivor")
    server.call("GET", f"scheduler/jobs/{id_}/download_files?redownload=false")
    files = {f["file_format"]: f["file_path"] for f in server.job(id_)["job_files"]}
    assert printed(server.folder / files["ipynb"]) == "went on\n"


def test_the_page_needs_a_login_and_a_cancel_comes_from_the_page_alone(server):
    name, gate = server.waiting("watched")
    id_ = server.create(name)
    seen = until(
        "the page shows it",
        lambda: [j for j in server.call("GET", "nbtools/api/jobs")[1]["jobs"] if j["job"] == id_],
    )
    assert seen[0]["notebook"].endswith("watched.ipynb")
    assert server.call("GET", "nbtools/api/jobs", token="")[0] == 403
    assert server.call("POST", f"nbtools/api/jobs/{id_}/cancel", token="")[0] == 403
    assert server.call("POST", "nbtools/api/jobs/no-such/cancel")[0] == 404
    assert server.call("POST", f"nbtools/api/jobs/{id_}/cancel") == (204, None)
    assert server.ended(id_)["status"] == "STOPPED"
    assert server.call("POST", f"nbtools/api/jobs/{id_}/cancel")[0] == 409
    assert time.time() * 1000 > server.job(id_)["end_time"]
    gate.touch()
