"""Schedules and the service as their user meets them: commands, and a service that runs."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import until

pytestmark = pytest.mark.slow


def test_a_schedule_from_its_creation_to_its_end(call, service, make_notebook):
    make_notebook("train.ipynb", "print(day)", parameters="lr: float = 1e-3\nday: str = ''")
    params = ["-p", "lr", "0.5", "-p", "day", "{{ scheduled_date - 1d }}"]
    what = ["nightly", "0 2 * * *", "train.ipynb", "--tz", "Europe/Berlin", *params]
    made = call("schedule", "create", *what)
    assert made.returncode == 0, made.stderr
    times = re.findall(r" 0[23]:00:00 CES?T", made.stdout)  # 03:00 on the day that has no 02:00
    assert len(times) == 5
    assert "no service runs" in made.stderr
    assert call("schedule", "run-now", "nightly").returncode == 0
    process = service("-j", "2")
    ended = until(lambda: [
        t for t in json.loads(call("schedule", "history", "nightly", "--json").stdout)
        if t["state"] == "SUCCEEDED"
    ])  # fmt: skip
    assert call("jobs", "show", ended[0]["job"]).returncode == 0
    status = json.loads(call("service", "status", "--json").stdout)
    assert [s["pid"] for s in status["services"]] == [process.pid]
    assert call("service", "status").returncode == 0
    listed = call("schedule", "list").stdout
    assert "TZ=Europe/Berlin 0 2 * * *" in listed
    assert "SUCCEEDED" in listed
    shown = json.loads(call("schedule", "show", "nightly", "--json").stdout)
    assert (shown["allow_queueing"], shown["catch_up"]) == (False, False)
    assert "PAUSED" in call("schedule", "pause", "nightly").stdout
    assert "not due" in call("schedule", "next", "nightly").stdout
    assert "ACTIVE" in call("schedule", "resume", "nightly").stdout
    assert call("schedule", "delete", "nightly").stdout == "deleted nightly\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(90) == 0
    assert call("service", "status").returncode == 1


def test_what_is_wrong_ends_with_2_and_one_sentence(call, make_notebook):
    make_notebook("train.ipynb", "1")
    for args in (["0 26 * * *", "train.ipynb"], ["0 2 * * *", "nowhere.ipynb"],
                 ["0 2 * * *", "train.ipynb", "--tz", "Nowhere"],
                 ["0 2 * * *", "train.ipynb", "--start", "soon"]):  # fmt: skip
        done = call("schedule", "create", "x", *args)
        assert done.returncode == 2, done
        assert "Traceback" not in done.stderr
    assert call("schedule", "list", "--json").stdout == "[]\n"


def test_a_file_is_applied_after_its_difference_was_shown(call, make_notebook, tmp_path):
    make_notebook("train.ipynb", "1")
    (tmp_path / "nbtools.yaml").write_text(
        "schedules:\n  train:\n    notebook: train.ipynb\n    cron: 0 2 * * *\n"
    )
    assert call("schedule", "apply", "--dry-run").stdout == "+ train\n"
    refused = call("schedule", "apply", input="n\n")
    assert refused.returncode == 130
    assert call("schedule", "list", "--json").stdout == "[]\n"
    assert call("schedule", "apply", "--yes").stdout == "+ train\napplied\n"
    assert call("schedule", "apply", "--yes").stdout == "  train\n"


def test_a_service_that_is_stopped_leaves_its_job_to_the_next(
    call, service, make_notebook, tmp_path
):
    out, go = tmp_path / "out.txt", tmp_path / "go"
    wait = f"import os, time\nwhile not os.path.exists({str(go)!r}):\n    time.sleep(0.1)"
    make_notebook("slow.ipynb", wait, f"open({str(out)!r}, 'a').write('x')", parameters=None)
    assert call("schedule", "create", "slow", "0 0 1 1 *", "slow.ipynb").returncode == 0
    call("schedule", "run-now", "slow")
    first = service()
    until(lambda: any(
        j["state"] == "RUNNING" for j in json.loads(call("jobs", "list", "--json").stdout)
    ))  # fmt: skip
    first.send_signal(signal.SIGTERM)
    assert first.wait(90) == 0
    assert json.loads(call("schedule", "history", "slow", "--json").stdout)[0]["state"] == "STARTED"
    go.touch()
    service()
    until(lambda: (
        json.loads(call("schedule", "history", "slow", "--json").stdout)[0]["state"] == "SUCCEEDED"
    ))  # fmt: skip
    assert out.read_text() == "x"


def test_a_killed_service_is_seen_to_be_gone(call, service):
    process = service()
    until(lambda: call("service", "status").returncode == 0)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert call("service", "status").returncode == 1


def test_the_unit_is_printed(call):
    text = call("service", "install", "--print", "-j", "3", "--metrics-port", "9400").stdout
    assert '"service" "run" "-j" "3" "--metrics-port" "9400"' in text


def test_services_are_killed_at_random_and_every_time_is_executed_once():
    chaos = Path(__file__).parent.parent.parent / "bench" / "chaos.py"
    command = [sys.executable, str(chaos), "--kills", "8", "--seed", str(os.getpid())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["due"] == found["succeeded"] > 0
