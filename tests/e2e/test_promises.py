"""What a service promises, while processes are killed and clocks are set. Real ones."""

import json
import os
import signal
import threading
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from nbtools.jobs import Jobs
from nbtools.kernels.zygotes import Zygotes
from nbtools.nouns import Execution
from nbtools.schedule import Schedule, TickState
from nbtools.schedules import Schedules
from nbtools.service import Service
from nbtools.settings import Settings
from nbtools.store import Store
from tests.cli.conftest import service, until  # noqa: F401 - a fixture

pytestmark = pytest.mark.slow
#: begins a process of its own, says who there is, and stays.
STAYS = (
    "import os, subprocess, time\n"
    "child = subprocess.Popen(['sleep', '600' if attempt == 1 else '0'], start_new_session=True)\n"
    "open('pids', 'a').write(f'{os.getpid()} {child.pid}\\n')\n"
    "time.sleep(600 if attempt == 1 else 0)"
)
ATTEMPT = "attempt: int = 0"


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def pids(folder):
    path = folder / "pids"
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def runner_of(store, job):
    return json.loads((store / "jobs" / job / "lock").read_text())["pid"]


@pytest.fixture
def history(call):
    return lambda name: json.loads(call("schedule", "history", name, "--json").stdout)


@pytest.fixture
def begin(call, make_notebook):
    """Has a schedule at work, whose first attempt stays."""

    def begin(*rules):
        make_notebook("stays.ipynb", STAYS, parameters=ATTEMPT)
        call("schedule", "create", "stays", "0 0 1 1 *", "stays.ipynb",
             "-p", "attempt", "{{ attempt }}", *rules, check=True)  # fmt: skip
        call("schedule", "run-now", "stays", check=True)

    return begin


def test_when_the_machine_goes_down_the_job_is_tried_again_by_the_next_service(
    begin, service, history, store_folder, tmp_path  # noqa: F811
):  # fmt: skip
    begin("--retries", "1", "--backoff", "0s")
    first = service()
    until(lambda: len(pids(tmp_path)) == 2)
    (tick,) = history("stays")
    victims = [first.pid, runner_of(store_folder, tick["job"]), *pids(tmp_path)]
    victims += [zygote.pid for zygote in Zygotes(Settings.load().runtime).list()]
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    until(lambda: first.poll() is not None)
    service()
    (tick,) = until(lambda: (h := history("stays"))[0]["state"] == "SUCCEEDED" and h)
    assert tick["attempt"] == 2
    store = Store(store_folder)
    before = store.get(Execution, tick["job"].removesuffix("-2")).metadata
    assert before["state"] == "FAILED"
    assert before["error"].startswith("its process died in cell 3 of 3")


def test_a_runner_that_is_killed_takes_all_with_it_and_the_reason_is_told(
    begin, service, history, store_folder, tmp_path  # noqa: F811
):  # fmt: skip
    begin()
    service()
    until(lambda: len(pids(tmp_path)) == 2)
    os.kill(runner_of(store_folder, history("stays")[0]["job"]), signal.SIGKILL)
    (tick,) = until(lambda: (h := history("stays"))[0]["state"] == "FAILED" and h)
    assert tick["reason"].startswith("its process died in cell 3 of 3")
    until(lambda: all(map(gone, pids(tmp_path))))


def test_a_job_that_nobody_looks_at_is_not_at_work_for_ever(
    call, service, make_notebook, store_folder, tmp_path  # noqa: F811
):  # fmt: skip
    """It was begun by hand; the service that runs sees to it all the same."""
    make_notebook("stays.ipynb", STAYS, parameters="attempt: int = 1")
    done = call("submit", "stays.ipynb", "--json", check=True)
    job = json.loads(done.stdout)["name"]
    until(lambda: len(pids(tmp_path)) == 2)
    os.kill(runner_of(store_folder, job), signal.SIGKILL)
    service()
    store = Store(store_folder)  # which looks at no process
    until(lambda: store.get(Execution, job).metadata["state"] == "FAILED")
    until(lambda: all(map(gone, pids(tmp_path))))


def test_a_schedule_is_cancelled_with_all_that_it_has_at_work(
    begin, service, history, call, tmp_path  # noqa: F811
):  # fmt: skip
    begin("--concurrency", "queue")
    call("schedule", "run-now", "stays", check=True)
    service()
    until(lambda: len(pids(tmp_path)) == 2)
    done = call("schedule", "cancel", "stays", check=True)
    assert sorted(line.split()[0] for line in done.stdout.splitlines()) == ["QUEUED", "STARTED"]
    until(lambda: [t["state"] for t in history("stays")] == ["CANCELLED"] * 2)
    assert all(map(gone, pids(tmp_path)))
    assert len(pids(tmp_path)) == 2


class Clock:
    """This machine's, until somebody sets it."""

    def __init__(self):
        self.ahead = timedelta()

    def __call__(self):
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def world(store_folder, tmp_path, make_notebook):
    """Schedules and a service in this process, by a clock that can be set."""
    clock, settings, said, stop = Clock(), Settings(store=store_folder), [], threading.Event()
    schedules = Schedules(Jobs(Store(store_folder), settings, clock))
    served = Service(Jobs(Store(store_folder), settings, clock), 2, said.append)
    thread = threading.Thread(target=served.run, args=(stop,))
    notebook = make_notebook("n.ipynb", "1", parameters=None)

    def create(cron, **rules):
        return schedules.create(Schedule(name="s", notebook=str(notebook), cron=cron, **rules))

    import nbtools.rehearsal  # noqa: F401 - not by two threads at the same time

    def ended():
        ticks = schedules.history("s", 0)
        return ticks if ticks and all(tick.state.final for tick in ticks) else None

    thread.start()
    yield clock, create, schedules, ended, said
    stop.set()
    thread.join(60)
    assert not thread.is_alive()


def test_a_clock_that_steps_forward_and_back_while_a_service_runs(world):
    clock, create, schedules, ended, said = world
    made = create("0 12 * * *")
    clock.ahead = made.next_run_time - datetime.now(UTC) + timedelta(days=2)
    (first, second, third) = until(ended)
    assert [t.state for t in (third, second, first)] == [
        TickState.SKIPPED, TickState.SKIPPED, TickState.SUCCEEDED
    ]  # fmt: skip
    clock.ahead = timedelta()
    until(lambda: any("the clock was put back" in sentence for sentence in said))
    again = schedules.get("s")
    assert again.next_run_time == made.next_run_time  # due as if nothing had been
    clock.ahead = made.next_run_time - datetime.now(UTC) + timedelta(days=3)
    until(lambda: len(schedules.history("s")) == 4 and ended())
    assert schedules.history("s")[0].state is TickState.SUCCEEDED


@pytest.mark.parametrize(("misfire", "executed"), [("skip", 0), ("latest", 1), ("all", 3)])
def test_a_machine_that_slept_for_three_days(world, misfire, executed):
    clock, create, _, ended, _ = world
    made = create("0 12 * * *", misfire=misfire, concurrency="queue")
    clock.ahead = made.next_run_time - datetime.now(UTC) + timedelta(days=2, hours=1)
    ticks = until(ended)
    assert [t.time for t in reversed(ticks)] == [
        made.next_run_time + timedelta(days=n) for n in range(3)
    ]
    states = [t.state for t in ticks]
    assert states.count(TickState.SUCCEEDED) == executed
    assert states.count(TickState.SKIPPED) == 3 - executed
    if misfire == "latest":
        assert ticks[0].state is TickState.SUCCEEDED
