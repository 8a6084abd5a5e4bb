"""Job definitions of the screens, over the REST API that the screens use."""

import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from nbtools.nouns import utc_now
from nbtools.service import running
from nbtools.store import Store
from tests.lab.conftest import until

pytestmark = pytest.mark.slow
PATH = "scheduler/job_definitions"


def definition(server, id_):
    status, found = server.call("GET", f"{PATH}/{id_}")
    assert status == 200, found
    return found


def schedule(server, name):
    with closing(Store(server.store)) as store:
        return store.timetable.find(name)


def due_now(server, name):
    """Have its time come: its clock is moved, not waited for."""
    with closing(Store(server.store)) as store, store.write():
        found = store.timetable.find(name)
        store.timetable.put(replace(found, next_run_time=utc_now()))


def jobs(server, id_):
    return server.jobs(f"?job_definition_id={id_}")


def test_a_definition_is_a_schedule_in_its_zone_with_typed_values(server):
    server.write("nightly.ipynb", "print(lr)")
    id_ = server.define(
        "nightly.ipynb", name="Über Nacht!", schedule="30 2 * * 1-5", timezone="Europe/Berlin",
        parameters={"lr": "3"}, tags=["etl"], output_formats=["ipynb"],
    )  # fmt: skip
    found = schedule(server, "ber-nacht")
    assert found.cron == "TZ=Europe/Berlin 30 2 * * 1-5"
    assert (dict(found.params), found.cwd) == ({"lr": 3.0}, str(server.folder))
    shown = definition(server, id_)
    assert (shown["name"], shown["input_filename"]) == ("Über Nacht!", "nightly.ipynb")
    assert (shown["schedule"], shown["timezone"]) == ("30 2 * * 1-5", "Europe/Berlin")
    assert (shown["active"], shown["tags"], shown["output_formats"]) == (True, ["etl"], ["ipynb"])


def test_its_notebook_is_the_one_of_that_day(server):
    server.write("snap.ipynb", "print('then')")
    server.define("snap.ipynb", name="snap")
    server.write("snap.ipynb", "print('now')")
    with open(schedule(server, "snap").notebook) as file:
        assert "then" in file.read()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"schedule": "61 * * * *"}, "cron '61 * * * *': "),
        ({"schedule": "0 0 30 2 *"}, "cron '0 0 30 2 *': "),
        ({"timezone": "Europe/Atlantis"}, "no time zone 'Europe/Atlantis'"),
        ({"schedule": None}, "a job definition needs a schedule"),
        ({"parameters": {"lr": "x"}}, "lr: 'x' does not fit float"),
        ({"runtime_environment_name": "python2"}, "no kernel 'python2'"),
        ({"package_input_folder": True}, "leave out 'Run job with input folder'"),
        ({"input_uri": "none.ipynb"}, "does not exist"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_left(server, asked, said):
    server.write("nightly.ipynb", "print(lr)")
    whole = {"name": "wrong", "input_uri": "nightly.ipynb", "runtime_environment_name": "python3",
             "schedule": "0 2 * * *"}  # fmt: skip
    status, answer = server.call("POST", PATH, {**whole, **asked})
    assert status == 500
    assert said in answer
    assert schedule(server, "wrong") is None
    assert not (server.store / "lab/wrong").exists()


def test_a_second_of_a_name_gets_one_of_its_own(server):
    server.write("nightly.ipynb", "print(lr)")
    ids = [server.define("nightly.ipynb", name="Twice") for _ in range(2)]
    assert len(set(ids)) == 2
    assert [definition(server, id_)["name"] for id_ in ids] == ["Twice", "Twice"]


def test_a_definition_is_changed_paused_and_resumed(server):
    server.write("edit.ipynb", "print(lr)")
    id_ = server.define("edit.ipynb", name="edit", timezone="UTC", parameters={"lr": "1"})
    # As the form sends it: the name of its copy is no path.
    change = {"schedule": "5 4 * * *", "timezone": "Asia/Tokyo", "input_uri": "edit.ipynb"}
    assert server.call("PATCH", f"{PATH}/{id_}", change) == (204, None)
    shown = definition(server, id_)
    assert (shown["schedule"], shown["timezone"]) == ("5 4 * * *", "Asia/Tokyo")
    assert shown["parameters"] == {"lr": "1"}
    server.call("PATCH", f"{PATH}/{id_}", {"active": False})
    assert definition(server, id_)["active"] is False
    change = {"name": "Edited", "parameters": {"lr": "2"}, "timezone": "UTC"}
    assert server.call("PATCH", f"{PATH}/{id_}", change) == (204, None)
    shown = definition(server, id_)
    assert (shown["name"], shown["active"], shown["schedule"]) == ("Edited", False, "5 4 * * *")
    status, said = server.call("PATCH", f"{PATH}/{id_}", {"schedule": "nonsense"})
    assert (status, "write minute, hour" in said) == (500, True)
    server.call("PATCH", f"{PATH}/{id_}", {"active": True})
    assert definition(server, id_)["active"] is True
    assert schedule(server, "edit").next_run_time > utc_now()


def test_a_definition_is_executed_now_with_other_values(server):
    server.write("once.ipynb", "import nbtools\nnbtools.log_metrics({'seen': lr})")
    id_ = server.define("once.ipynb", name="once", parameters={"lr": "1"})
    status, answer = server.call("POST", f"{PATH}/{id_}/jobs", {"parameters": {"lr": "7"}})
    assert status == 200
    job = server.ended(answer["job_id"])
    assert (job["status"], job["name"], job["parameters"]) == ("COMPLETED", "once", {"lr": "7.0"})
    assert job["job_definition_id"] == id_
    assert [j["job_id"] for j in jobs(server, id_)] == [job["job_id"]]
    assert definition(server, id_)["parameters"] == {"lr": "1"}


def test_what_is_scheduled_is_executed_while_the_server_runs_and_by_the_next_one(server):
    server.write("fires.ipynb", "print(lr)")
    id_ = server.define("fires.ipynb", name="Fires", parameters={"lr": "0.5"})
    until("a service runs", lambda: running(server.store))
    due_now(server, "fires")
    [job] = until("it is due", lambda: jobs(server, id_))
    assert server.ended(job["job_id"])["status"] == "COMPLETED"
    assert job["name"] == "Fires"
    server.kill()
    until("the service has ended with its server", lambda: not running(server.store))
    due_now(server, "fires")
    server.begin()
    assert len(until("it is made up for", lambda: len(f := jobs(server, id_)) == 2 and f)) == 2


def test_deleting_leaves_jobs_and_what_they_were_made_of(server):
    server.write("left.ipynb", "print(lr)")
    id_ = server.define("left.ipynb", name="left")
    _, answer = server.call("POST", f"{PATH}/{id_}/jobs", {})
    server.ended(answer["job_id"])
    assert server.call("DELETE", f"{PATH}/{id_}") == (204, None)
    status, said = server.call("GET", f"{PATH}/{id_}")
    assert (status, "no schedule 'left'" in said) == (500, True)
    assert server.job(answer["job_id"])["name"] == "left"
    assert (server.store / "lab/left").is_dir()
    assert server.call("DELETE", f"scheduler/jobs/{answer['job_id']}") == (204, None)
    assert not (server.store / "lab/left").exists()


def test_schedules_of_the_command_line_are_definitions_whatever_their_names(server):
    server.write("typed.ipynb", "print(lr)")
    for name in ("plain", "two--hyphens"):
        nbtools = Path(sys.executable).with_name("nbtools")
        command = [nbtools, "schedule", "create", name, "0 3 * * *", "typed.ipynb"]
        subprocess.run(command, check=True, cwd=server.folder, env=server.env, capture_output=True)
    _, listed = server.call("GET", f"{PATH}?sort_by=asc(name)&name=")
    found = {d["name"]: d for d in listed["job_definitions"]}
    for name in ("plain", "two--hyphens"):
        id_ = found[name]["job_definition_id"]
        assert definition(server, id_)["schedule"] == "0 3 * * *"
        _, answer = server.call("POST", f"{PATH}/{id_}/jobs", {})
        assert server.ended(answer["job_id"])["job_definition_id"] == id_


def test_definitions_are_filtered_and_paged(server):
    server.write("typed.ipynb", "print(lr)")
    for name in ("Page b", "Page a"):
        server.define("typed.ipynb", name=name, tags=[name[-1]])
    _, page = server.call("GET", f"{PATH}?name=page&sort_by=asc(name)&max_items=1")
    assert [d["name"] for d in page["job_definitions"]] == ["Page a"]
    assert (page["total_count"], page["next_token"]) == (2, "1")
    _, tagged = server.call("GET", f"{PATH}?tags=b&name=page")
    assert [d["name"] for d in tagged["job_definitions"]] == ["Page b"]
