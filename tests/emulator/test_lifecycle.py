"""The emulator as a process of its own: begun, killed, found by scripts and by notebooks."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import click
import pytest
from cryptography import x509

from nbtools.cli import cli
from nbtools.emulator import lifecycle
from nbtools.nouns import RUN, Context
from nbtools.store import Store

pytestmark = pytest.mark.slow
PATH = "v1/projects/p/locations/us-central1/metadataStores/default/contexts"
SCRIPT = """
from google.cloud import aiplatform
aiplatform.init(project="own-project", experiment="scripted")
with aiplatform.start_run("one"):
    aiplatform.log_params({"lr": 0.5})
    aiplatform.log_time_series_metrics({"loss": 0.25})
print(aiplatform.get_experiment_df("scripted")["time_series_metric.loss"][0])
"""

EARLY = """
from google.cloud import aiplatform
import os, google.auth
print(os.environ["AIP_EXPERIMENT_NAME"], google.auth.default()[1])
"""


@pytest.fixture
def started(call, store_folder):
    done = call("emulator", "start")
    assert done.returncode == 0, done.stderr
    yield lifecycle.running(store_folder)
    if found := lifecycle.running(store_folder):
        os.kill(found.pid, signal.SIGKILL)


def ask(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    sent = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(sent, timeout=30) as answer:
        return json.load(answer)


def environment(call, *options):
    """What `eval "$(nbtools emulator env)"` makes of this environment."""
    printed = call("emulator", "env", *options)
    assert printed.returncode == 0, printed.stderr
    done = subprocess.run(
        ["sh", "-c", f"{printed.stdout}\nenv -0"], capture_output=True, text=True, check=True
    )
    return dict(line.split("=", 1) for line in done.stdout.split("\0") if line)


def test_it_begins_once_answers_and_ends(call, started, store_folder):
    assert json.loads(call("emulator", "status", "--json").stdout)["url"] == started.url
    assert "nbtools" in ask(started.url)
    assert started.url in call("emulator", "start").stdout  # the same
    other = call("emulator", "start", "--project", "other")
    assert other.returncode == 2
    assert "nbtools emulator stop" in other.stderr
    second = call("emulator", "run")
    assert second.returncode == 2
    assert "serves this store already" in second.stderr
    assert call("emulator", "stop").stdout == f"ended: {started.url}\n"
    assert lifecycle.running(store_folder) is None
    assert call("emulator", "status").returncode == 1
    assert call("emulator", "stop").stdout == "no emulator runs\n"
    call("emulator", "start")  # where it was, so that what knows the port goes on
    assert lifecycle.running(store_folder).port == started.port
    assert lifecycle.running(store_folder).grpc_port == started.grpc_port


def test_a_port_that_is_taken_is_said(call, started, tmp_path):
    done = call(
        "emulator", "run", "--port", started.port,
        env={**os.environ, "NBTOOLS_STORE": str(tmp_path / "other")},
    )  # fmt: skip
    assert done.returncode == 2
    assert f"port {started.port}" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_begins_by_itself_as_it_was(call, store_folder):
    assert call("emulator", "start", "--project", "mine", "--location", "europe-west4").stdout
    found = lifecycle.running(store_folder)
    os.kill(found.pid, signal.SIGKILL)
    try:
        env = environment(call)
        assert env["NBTOOLS_VERTEX_PROJECT"] == "mine"
        assert env["NBTOOLS_VERTEX_LOCATION"] == "europe-west4"
        assert env["NBTOOLS_VERTEX"] == found.url
    finally:
        call("emulator", "stop")


def test_without_the_sdk_it_is_said_what_to_install(call, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys; sys.modules['google.cloud.aiplatform_v1'] = None"
    )
    done = call("emulator", "start", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 2
    assert "pip install 'nbtools-workflow[vertex]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_killed_it_has_lost_nothing_that_it_acknowledged(call, started, store_folder):
    ask(f"{started.url}/{PATH}?contextId=exp", {"schemaTitle": "system.Experiment"})
    acknowledged, enough = [], threading.Event()

    def client(number):
        for step in range(10_000):
            name = f"r{number}-{step}"
            metadata = {"_params": {"step": step}}
            body = {"schemaTitle": RUN, "displayName": name, "metadata": metadata}
            try:
                ask(f"{started.url}/{PATH}?contextId=exp-{name}", body)
            except OSError:
                return
            acknowledged.append((f"exp-{name}", step))
            if len(acknowledged) > 200:
                enough.set()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    assert enough.wait(60)
    os.kill(started.pid, signal.SIGKILL)
    for thread in threads:
        thread.join()
    gone_by = time.monotonic() + 60
    while lifecycle.running(store_folder):  # its connections may be gone before it is
        assert time.monotonic() < gone_by
        time.sleep(0.01)
    store = Store(store_folder)
    for name, step in acknowledged:
        assert store.get(Context, name).metadata["_params"]["step"] == step
    store.close()
    assert call("emulator", "start").returncode == 0
    again = lifecycle.running(store_folder)
    name, _ = acknowledged[-1]
    assert ask(f"{again.url}/{PATH}/{name}")["displayName"] == name[4:]


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_a_script_needs_no_change(call, started, store_folder, tmp_path, transport):
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.theirs = 5")
    env = environment(call, "--transport", transport)
    env["PYTHONPATH"] += os.pathsep + str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", f"{SCRIPT}\nprint(theirs)"], env=env, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-2:] == ["0.25", "5"], done.stderr
    (run,) = Store(store_folder).select(Context, RUN)
    assert run.metadata["_params"] == {"lr": 0.5}


def test_keys_are_the_users_own_and_sign_for_this_machine_only(call, started, store_folder):
    folder = lifecycle.files(store_folder)
    for name in ("key.pem", "credentials.json"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    made = x509.load_pem_x509_certificate((folder / "certificate.pem").read_bytes())
    assert made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    trusted = (folder / "roots.pem").read_bytes()
    assert (folder / "certificate.pem").read_bytes() in trusted
    assert trusted.count(b"BEGIN CERTIFICATE") > 50  # those that gRPC trusts by itself


def test_a_program_that_uses_no_vertex_ai_pays_nothing(call, started):
    env = environment(call)
    code = "import sys; print([m for m in sys.modules if m.startswith(('google', 'nbtools'))])"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert json.loads(done.stdout.replace("'", '"')) in ([], ["google"], ["google", "google.cloud"])


def test_variables_that_ask_early_wait_until_it_is_known_where(call, started):
    env = environment(call)
    env["AIP_EXPERIMENT_NAME"] = "early"
    done = subprocess.run(
        [sys.executable, "-c", EARLY],
        env=env, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.split() == ["early", "local"], done.stderr


@pytest.mark.parametrize("warm", [True, False])
def test_a_notebook_needs_no_change(call, started, store_folder, make_notebook, warm, tmp_path):
    (tmp_path / "pyproject.toml").write_text(f"[tool.nbtools]\nwarm = {str(warm).lower()}\n")
    notebook = make_notebook("train.ipynb", SCRIPT)
    for _ in range(2 if warm else 1):  # the second is forked with the SDK loaded
        done = call("run", notebook, "--vertex", timeout=120)
        assert done.returncode == 0, done.stderr + done.stdout
        store = Store(store_folder)
        names = [c.name for c in store.select(Context, RUN, parent="scripted")]
        assert names == ["scripted-one"]
        store.close()
        assert call("runs", "delete", "scripted-one", "--yes").returncode == 0


def test_the_page_about_it_is_true(call, started, store_folder):
    page = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text()
    script = next(b for b in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "loss" in b)
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(call), capture_output=True, text=True
    )
    assert "accuracy" in done.stdout, done.stderr
    (run,) = Store(store_folder).select(Context, RUN)
    assert run.metadata["_metrics"] == {"accuracy": 0.97}
    commands = [line.split() for line in re.findall(r"^(nbtools \w.*)$", page, re.MULTILINE)]
    for _, name, *arguments in commands:
        command = cli.get_command(click.Context(cli), name)
        command.make_context(name, arguments)
    assert len(commands) == 2
