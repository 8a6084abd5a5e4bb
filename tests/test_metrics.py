"""Metrics as Prometheus scrapes them: from services that run, over HTTP."""

import json
import re
import socket
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from nbtools.metrics import BOUNDS, serve
from tests.cli.conftest import service, until  # noqa: F401 - a fixture

pytestmark = pytest.mark.slow
DOCS = Path(__file__).parent.parent / "docs" / "schedules.md"


def scrape(url):
    """(name, labels) -> value of every sample."""
    with urlopen(url) as answer:
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families for sample in family.samples
    }  # fmt: skip


def of_store(samples):
    """Without what each process says of itself."""
    return {key: value for key, value in samples.items() if not key[0].startswith("process_")}


def url_of(log):
    """Where a service says that its metrics are."""
    line = until(lambda: next((x for x in log.read_text().splitlines() if "metrics: " in x), ""))
    return line.partition("metrics: ")[2]


def test_a_service_is_scraped_while_schedules_succeed_and_fail(
    call, service, make_notebook, tmp_path  # noqa: F811
):  # fmt: skip
    make_notebook("good.ipynb", "1", parameters=None)
    make_notebook("bad.ipynb", "1/0", parameters=None)
    call("schedule", "create", "good", "0 0 1 1 *", "good.ipynb", check=True)
    call("schedule", "create", "bad", "0 0 1 1 *", "bad.ipynb", "--notify", "command:false",
         check=True)  # fmt: skip
    call("schedule", "pause", "bad", check=True)
    before = datetime.now(UTC).timestamp()
    call("schedule", "run-now", "good", check=True)
    call("schedule", "run-now", "bad", check=True)
    process = service("-j", "2", "--metrics-port", "0")
    url = url_of(tmp_path / "service-0.log")

    def ended():
        found = scrape(url)
        good = found.get(("nbtools_ticks_total", ("schedule", "good"), ("state", "SUCCEEDED")))
        bad = found.get(("nbtools_ticks_total", ("schedule", "bad"), ("state", "FAILED")))
        return found if good and bad else None

    found = until(ended)
    assert found["nbtools_store_up",] == 1
    assert found["nbtools_jobs", ("state", "SUCCEEDED")] == 1
    assert found["nbtools_jobs", ("state", "FAILED")] == 1
    assert found["nbtools_jobs", ("state", "RUNNING")] == 0
    assert found["nbtools_schedules", ("state", "ACTIVE")] == 1
    assert found["nbtools_schedules", ("state", "PAUSED")] == 1
    assert found["nbtools_notices", ("state", "WAITING")] == 1
    assert found["nbtools_queue_length",] == 0
    last = found["nbtools_schedule_last_success_timestamp_seconds", ("schedule", "good")]
    assert before <= last <= datetime.now(UTC).timestamp()
    bad = ("nbtools_schedule_last_success_timestamp_seconds", ("schedule", "bad"))
    assert bad not in found
    assert found["nbtools_next_run_timestamp_seconds",] > last
    assert found["nbtools_start_delay_seconds_count",] == 2
    assert found["nbtools_start_delay_seconds_sum",] > 0
    buckets = [
        found["nbtools_start_delay_seconds_bucket", ("le", bound)]
        for bound in (*map(str, BOUNDS), "+Inf")
    ]
    assert buckets == sorted(buckets)
    assert buckets[-1] == 2
    (beat,) = (v for k, v in found.items() if "last_beat" in k[0] and str(process.pid) in str(k))
    assert before <= beat <= datetime.now(UTC).timestamp()
    assert found["process_cpu_seconds_total",] > 0
    documented = set(re.findall(r"nbtools_\w+", DOCS.read_text()))
    none_now = {"nbtools_ticks_unfinished"}
    assert documented - none_now <= {key[0].removesuffix("_count") for key in found}


def test_services_and_those_begun_anew_say_the_same(
    call, service, make_notebook, tmp_path  # noqa: F811
):  # fmt: skip
    make_notebook("good.ipynb", "1", parameters=None)
    call("schedule", "create", "good", "0 0 1 1 *", "good.ipynb", check=True)
    call("schedule", "run-now", "good", check=True)
    first = service("--metrics-port", "0")
    url = url_of(tmp_path / "service-0.log")
    key = ("nbtools_ticks_total", ("schedule", "good"), ("state", "SUCCEEDED"))
    until(lambda: scrape(url).get(key) == 1)
    service("--metrics-port", "0")
    other = url_of(tmp_path / "service-1.log")
    until(lambda: scrape(url)["nbtools_services",] == 2)
    seen = [{k: v for k, v in of_store(scrape(u)).items() if "beat" not in k[0]}
            for u in (url, other)]  # fmt: skip
    assert seen[0] == seen[1]
    first.kill()
    first.wait()
    assert scrape(other)[key] == 1
    assert scrape(other)["nbtools_services",] == 1


def test_a_port_that_is_taken_is_refused_and_nothing_is_begun(call):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = call("service", "run", "--metrics-port", port)
    assert done.returncode == 2
    assert f"cannot serve metrics on 127.0.0.1 port {port}: Address already in use" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(call("service", "status", "--json").stdout)["services"] == []


def test_a_store_that_cannot_be_read_is_said_to_be_down(tmp_path):
    (tmp_path / "store.sqlite").write_bytes(b"no database" * 1000)
    url = serve(tmp_path, lambda: datetime.now(UTC), "127.0.0.1", 0)
    found = scrape(url)
    assert found["nbtools_store_up",] == 0
    assert not any(key[0] == "nbtools_jobs" for key in found)
