"""A secret is used by a real notebook in every way that shows it, and then looked for."""

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pytest

import nbtools
from nbtools.errors import NotebookFailed, RequestError
from nbtools.jobs import Jobs
from nbtools.kernels.zygotes import Zygotes
from nbtools.nouns import Context, run_id
from nbtools.schedule import Schedule, TickState
from nbtools.schedules import Schedules
from nbtools.settings import Settings

pytestmark = pytest.mark.slow
NBTOOLS = str(Path(sys.executable).with_name("nbtools"))
PARAMETERS = "token: str = ''\nlr: float = 0.1"
SHOWING = [
    # A notebook does well to take it out of the environment: children need not have it.
    "import os, sys, time\nfrom IPython.display import HTML, JSON, display\n"
    "v = os.environ.pop('API_KEY')\nhalf = len(v) // 2\nprint('whole', v)",
    "print('halves', v[:half], end='', flush=True); time.sleep(0.5); print(v[half:])",
    "sys.stdout.write(v[:half]); sys.stdout.flush(); time.sleep(0.5)\n"
    "display(HTML('<b>between</b>')); _ = sys.stdout.write(v[half:])",
    "for letter in v:\n    sys.stderr.write(letter); sys.stderr.flush(); time.sleep(0.01)",
    "{'as': v, 'and': token}",
    "display(HTML(f'<i>{v}</i>')); display(JSON({'deep': [{v: v}]})); print(repr(v), v.encode())",
    "_ = os.system(f'echo {v}; echo {v} >&2'); os.write(2, v.encode() + b'\\n')",
    "import nbtools\nfrom nbtools.experiments import current_run\n"
    "nbtools.log_params({'given': v, 'header': token}); nbtools.log_metrics({v: 1, 'm': v})\n"
    "nbtools.log_time_series_metrics({v: 0.5})\n"
    "run = current_run(); run.set_tags(v); run.set_notes('notes: ' + v)\n"
    "run.log_text('text', f'it is {v}'); run.log_table('table', [{'key': v}])\n"
    "run.log_artifact(run.output_path('text.txt'), 'again ' + v)",
    "nbtools.init('work', experiment_description='about ' + v)\n"
    "nbtools.log_params({'last': v})\nraise ValueError('refused: ' + v)",
]


@pytest.fixture(autouse=True)
def config(tmp_path, monkeypatch, store_folder):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config"


@pytest.fixture
def value():
    return f"sk-{os.urandom(4).hex()}\"&<'\\-{os.urandom(6).hex()}"


def holding(folder, value):
    """The files below a folder that hold a value, or its last half in one piece."""
    parts = [value.encode(), value[-13:].encode()]
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    assert files
    return [path for path in files if any(part in path.read_bytes() for part in parts)]


def environments(value, kind="environ"):
    """Pids of the processes, but this one, that have a value in their environment, or `kind`."""
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            if value.encode() in (proc / kind).read_bytes() and int(proc.name) != os.getpid():
                found.append(int(proc.name))
        except OSError:
            continue
    return found


def memory(pid, value):
    """Whether a process has a value anywhere in what it may write to."""
    with open(f"/proc/{pid}/mem", "rb") as mem:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights = line.split()[:2]
            if rights.startswith("rw"):
                begin, end = (int(part, 16) for part in span.split("-"))
                mem.seek(begin)
                try:
                    if value.encode() in mem.read(end - begin):
                        return True
                except OSError:
                    continue
    return False


def test_a_secret_is_shown_nowhere(store_folder, make_notebook, value, monkeypatch, tmp_path):
    notebook = make_notebook("work.ipynb", *SHOWING, parameters=PARAMETERS)
    monkeypatch.setenv("API_KEY", value)
    with pytest.raises(NotebookFailed) as failed:
        nbtools.run(notebook, {"token": "Bearer {{ secret.API_KEY }}"}, secrets=["API_KEY"])
    job = failed.value.job
    assert job.error == "cell 11 of 11 (In [11]): ValueError: refused: ***"
    assert value not in str(failed.value)
    assert Jobs.open().report(job).exists()
    runs = [NBTOOLS, "runs", "report", "--experiment", "work", "-o", "runs.html"]
    subprocess.run(runs, cwd=tmp_path, check=True, capture_output=True)
    assert b"Bearer ***" in (tmp_path / "runs.html").read_bytes()

    # It was used, and what was shown in its place is there.
    path = Path(job.folder) / "work.partial.ipynb"
    code = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert code[1].source.splitlines()[1] == (
        'token = "Bearer " + __import__("os").environ["API_KEY"] + ""'
    )
    outputs = [c.outputs for c in code[2:]]
    assert outputs[0][0].text == "whole ***\n"
    assert outputs[1][0].text == "halves ***\n"
    assert [o.output_type for o in outputs[2]] == ["stream", "display_data", "stream"]
    assert (outputs[2][0].text, outputs[2][2].text) == ("***", "***")
    assert outputs[3][0].text == "***"
    assert outputs[4][0].data["text/plain"] == "{'as': '***',\n 'and': 'Bearer ***'}"
    assert outputs[5][0].data["text/html"] == "<i>***</i>"
    assert outputs[5][1].data["application/json"] == {"deep": [{"***": "***"}]}
    store = Jobs.open().store
    assert store.get(Context, "work").metadata["description"] == "about ***"
    run = store.get(Context, run_id(job.experiment, job.run)).metadata
    assert run["_params"]["last"] == "***"
    assert run["_params"]["given"] == "***"
    assert run["_params"]["header"] == "Bearer ***"
    assert run["_params"]["token"] == "Bearer {{ secret.API_KEY }}"
    assert run["_metrics"]["m"] == "***"
    assert run["_notes"] == "notes: ***"
    assert (Path(job.folder) / "files" / "text.txt").read_text() == "it is ***"

    # And it is nowhere else.
    monkeypatch.delenv("API_KEY")
    assert holding(store_folder, value) == []
    assert holding(Settings.load().runtime, value) == []
    assert holding(tmp_path, value) == []
    rows = sqlite3.connect(f"file:{store_folder}/store.sqlite?mode=ro", uri=True).iterdump()
    assert not any(value[-13:] in row for row in rows)
    assert environments(value) == []


@pytest.mark.parametrize("warm", ["true", "false"])
def test_only_the_kernel_has_it(make_notebook, value, monkeypatch, tmp_path, warm):
    """Also where the same value is in the environment by another name."""
    (tmp_path / "pyproject.toml").write_text(f"[tool.nbtools]\nwarm = {warm}\n")
    monkeypatch.chdir(tmp_path)
    cell = (
        "import os, time\nprint(os.environ['API_KEY'] == os.environ['OTHER'], os.getpid())\n"
        "while not os.path.exists('stop'): time.sleep(0.05)"
    )
    notebook = make_notebook("work.ipynb", cell, parameters=PARAMETERS)
    monkeypatch.setenv("API_KEY", value)
    monkeypatch.setenv("OTHER", value)
    job = nbtools.submit(notebook, secrets=["API_KEY"])
    monkeypatch.delenv("API_KEY")
    monkeypatch.delenv("OTHER")
    jobs = Jobs.open()
    deadline = time.monotonic() + 60
    while not (said := jobs.look(job.name)[1]) or not said.text:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    same, kernel = said.text.split()
    assert same == "True"
    # What a fork was given later is in its memory only.
    assert environments(value) == ([] if warm == "true" else [int(kernel)])
    assert environments(value, "cmdline") == []
    standing = Zygotes(Settings.load().runtime).list()
    assert warm == "false" or len(standing) >= 2, "of runners and of kernels"
    assert memory(kernel, value), "this is how to find it"
    assert [zygote.pid for zygote in standing if memory(zygote.pid, value)] == []
    (tmp_path / "stop").touch()
    assert job.wait().error == ""


def test_a_kernel_that_is_not_forked(make_notebook, value, monkeypatch, tmp_path, store_folder):
    (tmp_path / "pyproject.toml").write_text("[tool.nbtools]\nwarm = false\n")
    monkeypatch.chdir(tmp_path)
    notebook = make_notebook("work.ipynb", *SHOWING, parameters=PARAMETERS)
    monkeypatch.setenv("API_KEY", value)
    with pytest.raises(NotebookFailed, match=r"refused: \*\*\*"):
        nbtools.run(notebook, {"token": "{{ secret.API_KEY }}"})  # asked for by the parameter
    assert holding(store_folder, value) == []


def test_a_kernel_that_is_killed(make_notebook, value, monkeypatch, store_folder):
    """What it has logged is taken in by processes that know no secret."""
    cell = (
        "import nbtools, os, signal\nv = os.environ['API_KEY']\n"
        "nbtools.start_run()\nnbtools.log_params({'key': v}); nbtools.log_metrics({'m': v})\n"
        "nbtools.log_time_series_metrics({v: 1.0})\nprint(v[:-1], end='', flush=True)\n"
        "os.write(2, v[:-1].encode())\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    notebook = make_notebook("work.ipynb", cell)
    monkeypatch.setenv("API_KEY", value)
    with pytest.raises(NotebookFailed, match="was killed by SIGKILL") as failed:
        nbtools.run(notebook, secrets=["API_KEY"])
    job = failed.value.job
    run = Jobs.open().store.get(Context, run_id(job.experiment, job.run)).metadata
    assert run["_params"]["key"] == run["_metrics"]["m"] == "***"
    assert holding(store_folder, value) == []
    assert holding(store_folder, value[:-1]) == []


def test_a_job_in_a_job_has_only_what_it_asks_for(make_notebook, value, monkeypatch, store_folder):
    cell = "import os; print({n: os.environ.get(n) for n in ('API_KEY', 'NBTOOLS_SECRETS')})"
    make_notebook("inner.ipynb", cell, parameters=PARAMETERS)
    outer = (
        "import nbtools\n"
        "for secrets in ([], ['API_KEY']):\n"
        "    job = nbtools.run('inner.ipynb', secrets=secrets)\n"
        "    print(open(f'{job.folder}/inner.ipynb').read().count('None'))\n"
    )
    notebook = make_notebook("outer.ipynb", outer, parameters=PARAMETERS)
    monkeypatch.setenv("API_KEY", value)
    job = nbtools.run(notebook, secrets=["API_KEY"])
    cells = nbformat.read(Path(job.folder) / "outer.ipynb", as_version=4).cells
    assert cells[2].outputs[-1].text == "2\n0\n"
    assert holding(store_folder, value) == []


def test_bash(make_notebook, value, monkeypatch, tmp_path, store_folder):
    pytest.importorskip("bash_kernel")
    spec = tmp_path / "jupyter/kernels/bash"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"]
    said = {"argv": argv, "display_name": "Bash", "language": "bash", "env": {"PS1": "$"}}
    (spec / "kernel.json").write_text(json.dumps(said))
    monkeypatch.setenv("JUPYTER_PATH", f"{tmp_path}/jupyter:{os.environ.get('JUPYTER_PATH', '')}")
    cells = [
        'printf "%s\\n" "$API_KEY" "$header" | md5sum',
        'echo "$API_KEY and $header"',
        'printf "%s" "${API_KEY:0:9}"; sleep 0.5; echo "${API_KEY:9}"',
        'echo "$API_KEY" >&2',
    ]
    notebook = make_notebook("work.ipynb", *cells, parameters="header=''", kernel="bash")
    node = json.loads(notebook.read_text())
    node["metadata"]["kernelspec"]["language"] = "bash"
    notebook.write_text(json.dumps(node))
    monkeypatch.setenv("API_KEY", value)
    job = nbtools.run(notebook, {"header": "it's: {{ secret.API_KEY }}!"})
    md5 = subprocess.run(["md5sum"], input=f"{value}\nit's: {value}!\n", capture_output=True,
                         text=True, check=True).stdout  # fmt: skip
    found = nbformat.read(Path(job.folder) / "work.ipynb", as_version=4).cells[2:]
    assert found[0].outputs[0].text == md5
    assert found[1].outputs[0].text == "*** and it's: ***!\n"
    assert "".join(o.text for o in found[2].outputs) == "***\n"
    assert holding(store_folder, value) == []


class World:
    """Schedules, with their clock and a service."""

    def __init__(self, folder, make_notebook):
        from nbtools.dispatch import Dispatcher
        from nbtools.store import Store

        self.now = datetime(2026, 7, 1, 11, 59, 30, tzinfo=UTC)
        settings = Settings.load()
        self.jobs = Jobs(Store(settings.store), settings, lambda: self.now)
        self.schedules, self.service = Schedules(self.jobs), Dispatcher(self.jobs, 0)

    def tick(self, name):
        """Have a minute pass, and what is due then be executed."""
        self.now += timedelta(minutes=1)
        while working := self.service.round(self.now):
            self.jobs.wait([j for j in working if j.handle], 5.0)
        return self.schedules.history(name)[0]


@pytest.fixture
def world(tmp_path, make_notebook):
    return World(tmp_path, make_notebook)


def keep(name, value):
    subprocess.run([NBTOOLS, "secret", "set", name], input=f"{value}\n", text=True, check=True)


def test_a_schedule_has_secrets_that_are_kept(world, make_notebook, value, store_folder, tmp_path):
    notebook = make_notebook(
        "work.ipynb", "import hashlib; print(hashlib.md5(token.encode()).hexdigest())",
        parameters=PARAMETERS,
    )  # fmt: skip
    schedule = Schedule(
        name="s", notebook=str(notebook), cron="* * * * *", secrets=("OTHER_KEY",),
        params={"token": "{{ schedule }} {{ secret.API_KEY }}"},
    )  # fmt: skip
    keep("OTHER_KEY", "of no interest")
    with pytest.raises(RequestError, match="no secret API_KEY: put it into the environment, or"):
        world.schedules.create(schedule)
    keep("API_KEY", value)
    world.schedules.create(schedule)
    tick = world.tick("s")
    assert tick.state is TickState.SUCCEEDED, tick
    folder = Path(world.jobs.get(tick.job).folder)
    md5 = subprocess.run(["md5sum"], input=f"s {value}", capture_output=True, text=True, check=True)
    assert md5.stdout.split()[0] in (folder / "work.ipynb").read_text()

    subprocess.run([NBTOOLS, "secret", "delete", "API_KEY"], check=True)
    tick = world.tick("s")
    assert tick.state is TickState.FAILED
    assert tick.reason.startswith("attempt 1: no secret API_KEY: ")
    assert holding(store_folder, value) == []


def test_a_job_that_was_left_behind_gets_them_from_their_source(world, make_notebook, value):
    """Its service died between remembering the job and handing it over."""
    notebook = make_notebook("work.ipynb", "import os; print(len(os.environ['API_KEY']))")
    keep("API_KEY", value)
    world.schedules.create(
        Schedule(name="s", notebook=str(notebook), cron="* * * * *", secrets=("API_KEY",))
    )
    begin = world.service.jobs.hand_over
    world.service.jobs.hand_over = lambda task: world.jobs.look(task.job)[0]
    world.now += timedelta(minutes=1)
    world.service.round(world.now)
    world.service.jobs.hand_over = begin
    world.now += timedelta(seconds=30)
    world.schedules.pause("s")
    tick = world.tick("s")
    assert tick.state is TickState.SUCCEEDED, tick


def test_resume_gets_them_again(make_notebook, value, monkeypatch, tmp_path, store_folder):
    cell = "import os\nprint(os.environ['API_KEY'])\nassert os.path.exists('there')"
    notebook = make_notebook("work.ipynb", cell)
    monkeypatch.setenv("API_KEY", value)
    with pytest.raises(NotebookFailed) as failed:
        nbtools.run(notebook, secrets=["API_KEY"])
    (tmp_path / "there").touch()
    monkeypatch.delenv("API_KEY")
    with pytest.raises(RequestError, match="no secret API_KEY"):
        failed.value.job.resume()
    keep("API_KEY", value)
    job = failed.value.job.resume().wait()
    assert job.error == ""
    assert "***" in (Path(job.folder) / "work.ipynb").read_text()
    assert holding(store_folder, value) == []


def test_a_sweep(make_notebook, value, monkeypatch, store_folder):
    cell = "import nbtools\nprint(token)\nnbtools.log_metrics({'loss': lr, 'said': token})"
    notebook = make_notebook("work.ipynb", cell, parameters=PARAMETERS)
    monkeypatch.setenv("API_KEY", value)
    done = nbtools.sweep(
        notebook, {"lr": [0.1, 0.2]}, params={"token": "{{ secret.API_KEY }}"}, parallel=1
    )
    assert [trial.state for trial in done.trials] == ["COMPLETE", "COMPLETE"]
    assert done.report.exists()
    assert holding(store_folder, value) == []


def test_commands_say_names_and_never_values(call, make_notebook, value, config):
    make_notebook("work.ipynb", "import os\nprint(os.environ['API_KEY'])")
    refused = call("run", "work.ipynb", "--secret", "API_KEY")
    assert refused.returncode == 2
    assert "no secret API_KEY: put it into the environment, or `nbtools secret set" in (
        refused.stderr
    )
    refused = call("run", "work.ipynb", "--secret", f"API_KEY={value}")
    assert (refused.returncode, value in refused.stderr) == (2, False)
    refused = call("secret", "set", "API_KEY", input="abc\n")
    assert refused.returncode == 2
    assert "has fewer than 4 letters" in refused.stderr
    kept = call("secret", "set", "API_KEY", input=f"{value}\n")
    assert kept.returncode == 0
    assert value not in kept.stdout + kept.stderr
    (file,) = [path for path in config.rglob("*") if path.is_file() and path.stat().st_size]
    assert oct(file.stat().st_mode)[-3:] == "600"
    assert json.loads(call("secret", "list", "--json").stdout) == ["API_KEY"]

    done = call("run", "work.ipynb", "--secret", "API_KEY", "--json")
    assert done.returncode == 0, done.stderr
    assert value not in done.stdout + done.stderr
    logs = call("logs", "last")
    assert "***" in logs.stdout
    assert value not in logs.stdout
    refused = call("run", "work.ipynb", "--secret", "API_KEY", "--checkpoint")
    assert "a checkpoint keeps a kernel with its secrets" in refused.stderr

    file.chmod(0o640)
    refused = call("run", "work.ipynb", "--secret", "API_KEY")
    assert refused.returncode == 2
    assert re.search(r"others can read .*secrets.json", refused.stderr)
    file.chmod(0o600)
    assert call("secret", "delete", "API_KEY").returncode == 0
    assert call("secret", "delete", "API_KEY").returncode == 2


def test_a_parameter_that_holds_one_is_refused(make_notebook, value, monkeypatch, store_folder):
    notebook = make_notebook("work.ipynb", "1", parameters=PARAMETERS)
    monkeypatch.setenv("API_KEY", value)
    with pytest.raises(RequestError) as refused:
        nbtools.submit(notebook, {"token": f"Bearer {value}"}, secrets=["API_KEY"])
    assert str(refused.value) == (
        "token holds the value of secret API_KEY, and would show it: "
        "give {{ secret.API_KEY }} instead"
    )
    assert Jobs.open().list() == []


def test_a_schedule_says_when_a_service_may_not_have_the_secret(call, make_notebook, value):
    make_notebook("work.ipynb", "1")
    env = {**os.environ, "API_KEY": value}
    create = ["schedule", "create", "s", "0 2 * * *", "work.ipynb", "--secret", "API_KEY"]
    made = call(*create, env=env)
    assert made.returncode == 0, made.stderr
    assert "secret API_KEY is in this environment only" in made.stderr
    assert value not in made.stdout + made.stderr + call("schedule", "show", "s").stdout
