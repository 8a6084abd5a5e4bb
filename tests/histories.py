"""Histories of other trackers to import: written by the trackers themselves.

MLflow's and trackio's lie in `data/imports`, with the script that made them; W&B's and
TensorBoard's are made on the spot.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

DATA = Path(__file__).parent / "data" / "imports"


def restore(sql, database):
    """A SQLite file from the text that its dump is."""
    database.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(database)
    db.executescript(sql.read_text(encoding="utf-8"))
    db.close()
    return database


def mlflow_database(folder):
    """A folder with `mlflow.db` and, below `mlruns`, the artifacts."""
    shutil.copytree(DATA / "mlflow-sqlite", folder)
    restore(folder / "mlflow.db.sql", folder / "mlflow.db")
    (folder / "mlflow.db.sql").unlink()
    return folder


def mlflow_files(folder):
    """A folder with `mlruns`."""
    shutil.copytree(DATA / "mlflow-files", folder)
    return folder


def trackio(folder):
    """A folder with `digits.db`."""
    restore(DATA / "trackio" / "digits.db.sql", folder / "digits.db")
    return folder


def tensorboard(folder):
    """`runs/baseline` and `runs/wide`, by PyTorch's writer."""
    from torch.utils.tensorboard import SummaryWriter

    for name, factor in (("baseline", 1.0), ("wide", 0.5)):
        with SummaryWriter(folder / "runs" / name) as writer:
            for step in range(10):
                writer.add_scalar("train/loss", factor / (step + 1), step)
    return folder / "runs"


WANDB = """
import glob, math, os, time
import numpy as np
import wandb
def start(**given):
    settings = wandb.Settings(console="off", silent=True, x_disable_stats=True)
    return wandb.init(project="Digits", mode="offline", dir=".", settings=settings, **given)

run = start(name="Wide & deep", notes="the first that worked", tags=["vision", "baseline"],
            group="sweep-1", job_type="train",
            config={"lr": 0.1, "net": {"width": 8}, "layers": [1, 2], "nothing": None})
for step in range(5):
    run.log({"loss": 1 / (step + 1), "nested": {"acc": step}, "word": f"w{step}", "flag": True})
run.log({"odd": math.inf})
run.log({"odd": math.nan})
run.log({"image": wandb.Image(np.zeros((4, 4, 3), dtype=np.uint8)),
         "histogram": wandb.Histogram([1, 2, 3])})
run.log({"long": "x" * 100_000})
run.log({"late": 1.0}, step=2**40)
run.summary["best"] = 0.5
run.config.update({"extra": 3})
with open("weights.txt", "w") as file:
    file.write("abc")
artifact = wandb.Artifact("model", type="model")
artifact.add_file("weights.txt")
run.log_artifact(artifact)
run.finish()

run = start(name="Wide & deep")
run.finish(exit_code=3)

run = start(id="continued")
run.log({"loss": 3.0}); run.log({"loss": 2.0})
run.finish()
time.sleep(1.1)  # W&B names folders by the second
run = start(id="continued", resume="allow", config={"lr": 0.2})
run.log({"loss": 1.0}, step=2)
run.finish()

run = start(name="killed")
for step in range(2000):
    run.log({"loss": float(step)})
(log,) = glob.glob(f"wandb/offline-run-*-{run.id}/*.wandb")
for _ in range(600):  # W&B's own process writes the file, piece by piece
    with open(log, "rb") as file:
        if file.read().count(b"loss") > 1000:
            break
    time.sleep(0.1)
os.kill(os.getpid(), 9)
"""


def wandb(folder):
    """A folder with `wandb`: five runs' folders, of four runs, the last of them killed."""
    folder.mkdir(parents=True, exist_ok=True)
    environ = {
        **os.environ, "WANDB_DATA_DIR": str(folder), "WANDB_CACHE_DIR": str(folder / "cache"),
        "WANDB_CONFIG_DIR": str(folder / "config"),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", WANDB], cwd=folder, env=environ, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == -9, done.stderr
    return folder
