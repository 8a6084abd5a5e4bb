import json

import pytest

from nbtools.errors import RequestError
from nbtools.executor import Task
from nbtools.machine import Machine
from nbtools.schedule import Schedule
from nbtools.settings import Settings

WHOLE = Machine(type="n1-standard-8", gpu="NVIDIA_TESLA_T4:2", disk=100)


@pytest.mark.parametrize(
    ("said", "found"),
    [("", ("", 0)), ("NVIDIA_L4", ("NVIDIA_L4", 1)), ("NVIDIA_L4:8", ("NVIDIA_L4", 8))],
)
def test_gpus(said, found):
    assert Machine(gpu=said).gpus == found


@pytest.mark.parametrize("said", ["NVIDIA_L4:0", "NVIDIA_L4:x", "NVIDIA_L4:-1", "NVIDIA_L4:1:2"])
def test_gpus_that_are_none(said):
    with pytest.raises(RequestError, match="--gpu"):
        _ = Machine(gpu=said).gpus


def test_what_is_left_open_is_filled_as_far_as_it_is_taken():
    asked = Machine(type="e2-standard-2", service_account="a@b")
    filled = asked.filled(WHOLE, {"type", "gpu"})
    assert filled == Machine(type="e2-standard-2", gpu="NVIDIA_TESLA_T4:2", service_account="a@b")


def test_records_keep_it(tmp_path):
    task = Task(
        job="a", folder=tmp_path, stem="a", kernel="", cwd=tmp_path, store=tmp_path, machine=WHOLE
    )
    assert Task.loads(task.dumps()) == task
    schedule = Schedule(name="a", notebook="a.ipynb", machine=WHOLE)
    assert Schedule.loads(json.loads(json.dumps(schedule.dumps()))) == schedule


def test_records_of_before_and_after_are_read(tmp_path):
    task = Task(job="a", folder=tmp_path, stem="a", kernel="", cwd=tmp_path, store=tmp_path)
    old = json.loads(task.dumps())
    del old["machine"]
    assert Task.loads(json.dumps(old)) == task
    newer = {**json.loads(task.dumps()), "machine": {"disk": 5, "colour": "red"}}
    assert Task.loads(json.dumps(newer)).machine == Machine(disk=5)


def test_a_project_says_what_its_jobs_ask_for(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[tool.nbtools.machine]\ntype = "n1-standard-8"\ndisk = 100\n'
    )
    found = Settings.load(tmp_path, {"HOME": str(tmp_path)})
    assert found.machine == Machine(type="n1-standard-8", disk=100)


@pytest.mark.parametrize("line", ['disk = "large"', "disk = true", "type = 3", 'colour = "red"'])
def test_what_is_no_machine_is_refused(tmp_path, line):
    (tmp_path / "pyproject.toml").write_text(f"[tool.nbtools.machine]\n{line}\n")
    with pytest.raises(RequestError, match=r"tool.nbtools.machine"):
        Settings.load(tmp_path, {"HOME": str(tmp_path)})
