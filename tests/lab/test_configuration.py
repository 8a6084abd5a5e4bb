"""What is installed where Jupyter looks: files that are there, and names that are right."""

import json
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from jupyter_scheduler.environments import EnvironmentManager
from jupyter_scheduler.job_files_manager import JobFilesManager
from jupyter_scheduler.models import CreateJob, CreateJobDefinition, ListJobsQuery
from jupyter_scheduler.scheduler import BaseScheduler

from nbtools.lab import HERE, configured

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def named(path):
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def test_a_wheel_puts_every_file_of_jupyter_s_where_it_looks():
    put = PROJECT["tool"]["setuptools"]["data-files"]
    files = {ROOT / file: where for where, files in put.items() for file in files}
    ours = {p for f in ("etc", "labextensions") for p in (HERE / f).rglob("*") if p.is_file()}
    assert set(files) == ours
    for path, where in files.items():
        root = HERE / ("labextensions" if "labextensions" in path.parts else "etc")
        start = "share/jupyter/labextensions" if root.name == "labextensions" else "etc/jupyter"
        assert str(Path(start) / path.parent.relative_to(root)).rstrip("/.") == where


def test_the_configuration_names_classes_of_the_right_kind():
    said = json.loads((HERE / "etc/jupyter_jupyter_scheduler_config.json").read_text())
    kinds = {
        "scheduler_class": BaseScheduler,
        "environment_manager_class": EnvironmentManager,
        "job_files_manager_class": JobFilesManager,
    }
    assert said["SchedulerApp"].keys() == kinds.keys()
    for key, kind in kinds.items():
        assert issubclass(named(said["SchedulerApp"][key]), kind)
    [extension] = json.loads((HERE / "etc/jupyter_server_config.d/nbtools.json").read_text())[
        "ServerApp"
    ]["jpserver_extensions"]
    [point] = import_module(extension)._jupyter_server_extension_points()
    assert callable(import_module(point["module"])._load_jupyter_server_extension)


def test_our_configuration_comes_first_and_leaves_others():
    found = configured({"JUPYTER_CONFIG_PATH": "/mine", "A": "b"})
    assert found == {"JUPYTER_CONFIG_PATH": f"{HERE / 'etc'}:/mine", "A": "b"}
    assert configured({})["JUPYTER_CONFIG_PATH"] == str(HERE / "etc")


def test_the_entry_point_is_a_backend_whose_classes_are_there():
    points = PROJECT["project"]["entry-points"]["jupyter_scheduler.backends"]
    said = named(points["nbtools"].replace(":", ".")).to_dict()
    assert issubclass(named(said["scheduler_class"]), BaseScheduler)
    features = named(said["execution_manager_class"])
    assert features.supported_features(features)["stop_job"] is True
    assert said["file_extensions"] == ["ipynb"]
    assert {f["id"] for f in said["output_formats"]} == {"ipynb", "html"}


@pytest.mark.slow
def test_a_successor_calls_it_from_threads_and_gets_ids_with_its_own(
    make_notebook, tmp_path, store_folder
):
    scheduler_class = named("nbtools.lab.scheduler.Scheduler")
    backend = scheduler_class(
        root_dir=str(tmp_path), environments_manager=named("nbtools.lab.environments.Kernels")(),
        db_url="sqlite://", config=None, backend_id="nbtools",
    )  # fmt: skip
    make_notebook("work.ipynb", "print(lr)")
    asked = {"input_uri": "work.ipynb", "runtime_environment_name": "python3", "name": "x"}
    name = backend.create_job(CreateJob(**asked))
    id_ = f"nbtools:{name}"  # as its handlers make it
    from tests.lab.conftest import until

    until("it has ended", lambda: backend.get_job(id_).status == "COMPLETED")
    assert [job.job_id for job in backend.list_jobs(ListJobsQuery()).jobs] == [id_]
    backend.download(id_, again=False)
    assert (tmp_path / "jobs" / name / "work.ipynb").is_file()
    assert backend.get_job(id_).downloaded is True
    made = backend.create_job_definition(CreateJobDefinition(**asked, schedule="0 0 29 2 *"))
    assert backend.get_job_definition(made).name == "x"
    backend.delete_job_definition(made)
    backend.delete_job(id_)
    assert backend.list_jobs(ListJobsQuery()).total_count == 0
