"""The trackers that `bench/track.py` compares: each the same few verbs over its own API.

This file is imported by the Python of the peers as well as by ours, so it imports no more
than the standard library; a tracker is imported when it is begun. Everything of a tracker
lies in the folder it is handed. `acc` and `loss` are the two metrics of a step.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PARAMS = {f"p{n}": n * 0.5 for n in range(20)}


def metrics_of(run: int) -> dict[str, float]:
    return {f"m{n}": run + n * 0.25 for n in range(20)}


def step_of(step: int) -> dict[str, float]:
    return {"loss": 1.0 / (step + 1), "acc": step * 0.5}


class Tracker:
    """What is asked of each. A verb that a tracker lacks returns None, and is printed so."""

    #: what must be installed; the version of the first is printed
    packages: tuple[str, ...] = ()
    #: of the runs and points asked for, the part that it gets: slow ones are asked for fewer
    share = 1.0

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, name: str) -> None:
        """Import what is needed and open a run."""
        raise NotImplementedError

    def log(self, step: int) -> None:
        raise NotImplementedError

    def end(self) -> None:
        """Returns when everything is where it will be found."""
        raise NotImplementedError

    def ready(self) -> None:
        """Import what reading needs."""

    def fill(self, count: int) -> bool | None:
        """Make `count` runs of 20 params and 20 metrics."""

    def table(self) -> Any:
        """A data frame of all runs."""

    def where(self, bound: float) -> Any:
        """The runs whose metric m3 is above `bound`."""

    def points(self, name: str) -> int | None:
        """How many points of `loss` of the run can be read."""


class Nbtools(Tracker):
    packages = ("nbtools-workflow",)

    def begin(self, name: str) -> None:
        os.environ["NBTOOLS_STORE"] = str(self.folder)
        import nbtools

        nbtools.init(experiment="bench")
        self.run = nbtools.start_run(name)

    def log(self, step: int) -> None:
        self.run.log_time_series_metrics(step_of(step), step=step)

    def end(self) -> None:
        self.run.end()

    def ready(self) -> None:
        os.environ["NBTOOLS_STORE"] = str(self.folder)
        import pandas  # noqa: F401

        import nbtools.experiments  # noqa: F401

    def fill(self, count: int) -> bool:
        os.environ["NBTOOLS_STORE"] = str(self.folder)
        import nbtools

        nbtools.init(experiment="bench")
        for number in range(count):
            with nbtools.start_run(f"r{number}") as run:
                run.log_params(PARAMS)
                run.log_metrics(metrics_of(number))
        return True

    def table(self) -> Any:
        import nbtools

        return nbtools.get_experiment_df("bench")

    def where(self, bound: float) -> Any:
        frame = self.table()
        return frame[frame["metric.m3"] > bound]

    def points(self, name: str) -> int:
        from nbtools.nouns import utc_now
        from nbtools.store import Store

        store = Store(self.folder)
        store.drain(utc_now())
        return len(store.points(f"bench-{name}").get("loss", []))


class MLflowDatabase(Tracker):
    packages = ("mlflow",)
    share = 0.02

    def uri(self) -> str:
        return f"sqlite:///{self.folder}/mlflow.db"

    def ready(self) -> None:
        os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
        import mlflow

        os.chdir(self.folder)
        mlflow.set_tracking_uri(self.uri())
        self.mlflow = mlflow
        mlflow.set_experiment("bench")

    def begin(self, name: str) -> None:
        self.ready()
        self.run = self.mlflow.start_run(run_name=name)

    def log(self, step: int) -> None:
        self.mlflow.log_metrics(step_of(step), step=step)

    def end(self) -> None:
        self.mlflow.end_run()

    def fill(self, count: int) -> bool:
        self.ready()
        from mlflow.entities import Metric, Param

        client = self.mlflow.MlflowClient()
        experiment = client.get_experiment_by_name("bench").experiment_id
        params = [Param(key, str(value)) for key, value in PARAMS.items()]
        for number in range(count):
            run = client.create_run(experiment, run_name=f"r{number}").info.run_id
            metrics = [Metric(k, v, 1_700_000_000_000, 0) for k, v in metrics_of(number).items()]
            client.log_batch(run, metrics, params)
            client.set_terminated(run)
        return True

    def table(self) -> Any:
        return self.mlflow.search_runs(experiment_names=["bench"], max_results=50_000)

    def where(self, bound: float) -> Any:
        return self.mlflow.search_runs(
            experiment_names=["bench"], filter_string=f"metrics.m3 > {bound}", max_results=50_000
        )

    def points(self, name: str) -> int:
        found = self.mlflow.search_runs(filter_string=f"run_name = '{name}'", output_format="list")
        client = self.mlflow.MlflowClient()
        return len(client.get_metric_history(found[0].info.run_id, "loss")) if found else 0


class MLflowFiles(MLflowDatabase):
    share = 0.05

    def uri(self) -> str:
        return (self.folder / "mlruns").as_uri()


class WandB(Tracker):
    packages = ("wandb",)
    share = 0.2

    def begin(self, name: str) -> None:
        for key in ("WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
            os.environ[key] = str(self.folder)
        import wandb

        settings = wandb.Settings(console="off", silent=True, x_disable_stats=True)
        self.run = wandb.init(project="bench", name=name, mode="offline", dir=str(self.folder),
                              settings=settings)  # fmt: skip

    def log(self, step: int) -> None:
        self.run.log(step_of(step), step=step)

    def end(self) -> None:
        self.run.finish()

    def points(self, name: str) -> int:
        sys.path.insert(0, str(ROOT))  # its own reader is a server's: ours reads its log
        from collections import Counter

        from nbtools.importers.wandb import WandB as Reader

        return sum(
            len(run.series.get("loss", []))
            for run in Reader().runs(self.folder, Counter())
            if run.name == name
        )


class Trackio(Tracker):
    packages = ("trackio",)
    share = 0.05

    def ready(self) -> None:
        os.environ["TRACKIO_DIR"] = str(self.folder)
        import trackio

        self.trackio = trackio

    def begin(self, name: str) -> None:
        self.ready()
        self.trackio.init(project="bench", name=name, embed=False, auto_log_cpu=False,
                          auto_log_gpu=False)  # fmt: skip

    def log(self, step: int) -> None:
        self.trackio.log(step_of(step), step=step)

    def end(self) -> None:
        self.trackio.finish()

    def fill(self, count: int) -> bool:
        self.ready()
        for number in range(count):
            self.trackio.init(project="bench", name=f"r{number}", config=PARAMS, embed=False,
                              auto_log_cpu=False, auto_log_gpu=False)  # fmt: skip
            self.trackio.log(metrics_of(number))
            self.trackio.finish()
        return True

    def _rows(self, run: str = "") -> list[tuple[str, str]]:
        """It has no call for a table or a series: its file is read, as its page does."""
        db = sqlite3.connect(self.folder / "bench.db")
        rows = db.execute("SELECT run_name, metrics FROM metrics WHERE ? IN ('', run_name)", (run,))
        return rows.fetchall()

    def points(self, name: str) -> int:
        return sum("loss" in json.loads(metrics) for _, metrics in self._rows(name))


class TensorBoard(Tracker):
    packages = ("tensorboard", "torch")

    def begin(self, name: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(self.folder / name)

    def log(self, step: int) -> None:
        for key, value in step_of(step).items():
            self.writer.add_scalar(key, value, step)

    def end(self) -> None:
        self.writer.close()

    def ready(self) -> None:
        from tensorboard.backend.event_processing import event_accumulator

        self.reader = event_accumulator.EventAccumulator

    def points(self, name: str) -> int:
        read = self.reader(str(self.folder / name), size_guidance={"scalars": 0}).Reload()
        return len(read.Scalars("loss")) if "loss" in read.Tags()["scalars"] else 0


class TensorBoardX(TensorBoard):
    packages = ("tensorboardX",)

    def begin(self, name: str) -> None:
        from tensorboardX import SummaryWriter

        self.writer = SummaryWriter(str(self.folder / name))


class DVCLive(Tracker):
    packages = ("dvclive",)
    share = 0.1

    def begin(self, name: str) -> None:
        from dvclive import Live

        os.environ["DVC_NO_ANALYTICS"] = "1"
        self.live = Live(str(self.folder / name), save_dvc_exp=False, dvcyaml=None)

    def log(self, step: int) -> None:
        self.live.step = step
        for key, value in step_of(step).items():
            self.live.log_metric(key, value)

    def end(self) -> None:
        self.live.end()

    def points(self, name: str) -> int:
        table = self.folder / name / "plots" / "metrics" / "loss.tsv"
        lines = table.read_text().splitlines()[1:] if table.exists() else []
        return sum(line.count("\t") > 0 for line in lines)


class Aim(Tracker):
    packages = ("aim",)
    share = 0.02

    def begin(self, name: str) -> None:
        from aim import Run

        self.run = Run(repo=str(self.folder), experiment="bench", system_tracking_interval=None,
                       log_system_params=False, capture_terminal_logs=False)  # fmt: skip
        self.run.name = name

    def log(self, step: int) -> None:
        for key, value in step_of(step).items():
            self.run.track(value, name=key, step=step)

    def end(self) -> None:
        self.run.close()

    def ready(self) -> None:
        # Without this nothing of a run that has just ended is found, or that was killed.
        aim = Path(sys.executable).with_name("aim")
        subprocess.run([aim, "storage", "reindex", "-y"], cwd=self.folder, capture_output=True,
                       check=True)  # fmt: skip
        from aim import Repo

        self.repo = Repo(str(self.folder))

    def points(self, name: str) -> int:
        return max(
            (
                len(metric.values.sparse_list()[0])
                for run in self.repo.iter_runs()
                for metric in run.metrics()
                if (metric.name, run.name) == ("loss", name)
            ),
            default=0,
        )


TRACKERS: dict[str, type[Tracker]] = {
    "nbtools": Nbtools,
    "MLflow, SQLite": MLflowDatabase,
    "MLflow, files": MLflowFiles,
    "W&B offline": WandB,
    "trackio": Trackio,
    "TensorBoard (torch)": TensorBoard,
    "tensorboardX": TensorBoardX,
    "DVCLive": DVCLive,
    "Aim": Aim,
}
