"""Every command that has something to show shows it to machines too, in valid JSON."""

import json
import subprocess

import click
import pytest

from nbtools.cli import cli
from nbtools.cli.show import as_json
from tests import histories
from tests.workbench.records import MANAGED

#: command -> why it has no --json.
WITHOUT = {
    "secret set": "says where it is kept, and no more; `secret list` has the names",
    "secret delete": "says that it is gone, and no more; `secret list` has the names",
    "emulator start": "says where it is; `emulator status` has it",
    "emulator stop": "says that it has ended; `emulator status` has it",
    "emulator env": "prints lines for a shell",
    "emulator run": "goes on until it is stopped; `emulator status` has it",
    "service install": "writes a unit file, or says what to paste",
    "service run": "goes on until it is stopped; `service status` has it",
    "runs export": "writes the format that --format says, JSON among them",
    "lab": "becomes JupyterLab, with JupyterLab's own options",
    "tb": "opens a page and serves it until it is stopped",
    "kernels install": "writes a file, and its answer is that file's path",
    "clean": "its standard output is a notebook, or nbstripout's",
    "git install": "changes git's settings; `git status` has what is installed",
    "git uninstall": "changes git's settings; `git status` has what is installed",
    "git merge": "is called by git, which says how",
    "git fix": "mends one file; its exit code says whether something is left",
    "git textconv": "is called by git, which says how",
}

#: in this order, for they build on each other; {…} are what has come out of those before.
CALLS = """
run work.ipynb --run mine
submit work.ipynb
run bad.ipynb
jobs list
jobs show last
jobs watch {submitted}
jobs retry {bad}
jobs resume {bad} --from failed-cell
jobs diff {submitted} {bad}
jobs cancel {bad}
logs {submitted}
outputs list {submitted}
outputs fetch {submitted} --to got
outputs open {submitted} work.ipynb
params work.ipynb
templates
new train begun.ipynb
runs list
runs show mine
runs compare mine {submitted}
runs report -o report.html
runs tag mine good
runs untag mine good
runs note mine said
runs import history
lineage show {submitted}
push
pull digits
sweep run work.ipynb lr=0.1,0.2 --objective m --direction maximize
sweep list
sweep status
sweep best
sweep cancel
sweep resume
schedule create s 0_2_*_*_* work.ipynb
schedule list
schedule show s
schedule next s
schedule history s
schedule pause s
schedule resume s
schedule run-now s
schedule cancel s
schedule apply nbtools.yaml --yes
schedule delete s
service status
secret list
emulator status
prune --keep 0s --yes
runs delete mine --yes
store check
store backup copy.sqlite
store repair --force
kernels list
kernels warm work.ipynb
kernels stop
workbench instances create desk {at} --service-account a@p.iam.gserviceaccount.com --vertex local
workbench instances list --project lab --vertex local
workbench instances show desk {at} --vertex local
workbench instances open desk {at} --vertex local
workbench instances update desk {at} --label a=b --vertex local
workbench instances rollback desk {at} --vertex local
workbench access desk {at} --vertex local
workbench share desk kim@example.com {at} --vertex local
workbench instances start desk {at} --dry-run
workbench instances stop desk {at} --dry-run
workbench instances reset desk {at} --dry-run
workbench instances upgrade desk {at} --dry-run
workbench instances diagnose desk gs://b {at} --dry-run
workbench instances delete desk {at} --dry-run
workbench templates create t4.yaml {at} --dry-run
workbench templates list {at} --dry-run
workbench templates show t4 {at} --dry-run
workbench templates delete t4 {at} --dry-run
workbench migrate --plan --from old.json
workbench setup https://example.com/you/vision.git --script
git status
git diff
git refresh
git secrets work.ipynb
git rewrite-history --dry-run
doctor
"""
#: what cannot go well as it is called here: its JSON is on standard output all the same, or
#: one sentence on standard error.
REFUSED = {"pull", "jobs cancel", "sweep cancel", "sweep resume", "workbench instances rollback"}
LINES = {"logs", "jobs watch"}  #: an object a line


def commands(command=cli, name=""):
    if isinstance(command, click.Group):
        context = click.Context(command)
        for child in command.list_commands(context):
            yield from commands(command.get_command(context, child), f"{name} {child}".strip())
    else:
        yield name, any("--json" in p.opts for p in command.params)


def named(line):
    """The command that a line calls."""
    return next(n for n, _ in commands() if line == n or line.startswith(f"{n} "))


def test_every_command_has_it_or_a_reason():
    assert {name for name, has in commands() if not has} == set(WITHOUT)


def test_every_command_that_has_it_is_called_here():
    called = {named(line) for line in CALLS.split("\n") if line}
    assert called == {name for name, has in commands() if has}


@pytest.mark.slow
def test_what_each_prints_is_valid(call, make_notebook, tmp_path, request):
    make_notebook("work.ipynb", "import nbtools\nnbtools.log_metrics({'m': lr, 'x': float('nan')})")
    make_notebook("bad.ipynb", "1 / 0")
    (tmp_path / "nbtools.yaml").write_text("schedules: {}\n")
    histories.trackio(tmp_path / "history")
    for words in (["init", "-q"], ["add", "work.ipynb"], ["commit", "-qm", "one"]):
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True)
    (tmp_path / "t4.yaml").write_text("display_name: t4\n")
    (tmp_path / "old.json").write_text(json.dumps(MANAGED))
    known, wrong = {"at": "--project lab --location us-central1-a"}, []
    request.addfinalizer(lambda: call("emulator", "stop"))  # `--vertex local` has begun it
    for line in filter(None, CALLS.split("\n")):
        name = named(line)
        words = line.format(**known).split()
        done = call(*(w.replace("_", " ") if "*" in w else w for w in words), "--json")
        if name in REFUSED and done.returncode == 2:
            assert not done.stdout, line
            assert len(done.stderr.splitlines()) == 1, line
            continue
        try:
            for text in done.stdout.splitlines() if name in LINES else [done.stdout]:
                found = json.loads(text, parse_constant=_refused)
        except ValueError as error:
            wrong.append(f"{line}: {error}: {done.stdout[:300]} {done.stderr[:300]}")
            continue
        if line == "submit work.ipynb":
            known["submitted"] = found["name"]
        if line == "run bad.ipynb":
            known["bad"] = found["name"]
    assert not wrong, "\n".join(wrong)


def _refused(constant):
    raise ValueError(f"{constant} is no JSON")


def test_what_json_lacks_is_text(capsys):
    as_json({"a": [float("nan"), float("inf")], "b": {"c": (-float("inf"), 1.5)}})
    assert json.loads(capsys.readouterr().out) == {
        "a": ["NaN", "Infinity"], "b": {"c": ["-Infinity", 1.5]}
    }  # fmt: skip
