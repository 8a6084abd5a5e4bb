"""Make what lies here: small histories, written by the trackers themselves.

    python -m venv peers && peers/bin/pip install mlflow==3.17.2 trackio==0.43.0
    peers/bin/python tests/data/imports/make.py

Databases are kept as SQL, which a diff can show. Run it again when a tracker changes how it
keeps things; the ids and times are new each time, and the tests look them up.
"""

from __future__ import annotations

import math
import os
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
WORK = Path(tempfile.gettempdir()) / "history"  #: where it is made: a place that is no one's


def mlflow(folder: Path, uri: str) -> None:
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    os.environ["MLFLOW_ENABLE_ASYNC_LOGGING"] = "false"
    import mlflow as peer

    folder.mkdir(parents=True)
    os.chdir(folder)
    peer.set_tracking_uri(uri)
    peer.set_registry_uri(uri)
    peer.set_experiment("Handwritten Digits")
    with peer.start_run(run_name="Wide & deep", description="the first that worked") as outer:
        peer.log_params({"lr": 0.001, "optimizer": "adam", "layers": 3, "amp": True, "x": "1e-3"})
        for step in range(5):
            peer.log_metric("loss", 1 / (step + 1), step=step)
        peer.log_metrics({"accuracy": 0.97, "eval/f1": 0.5})
        peer.log_metric("odd", math.inf, step=0)
        peer.log_metric("odd", math.nan, step=1)
        for value in (3.0, 2.0, 1.0):
            peer.log_metric("no step", value)
        peer.set_tags({"team": "vision", "baseline": ""})
        peer.log_text("0.97", "reports/summary.txt")
        with peer.start_run(run_name="fold 1", nested=True):
            peer.log_metric("accuracy", 0.96)
    try:
        with peer.start_run(run_name="Wide & deep"):  # the same name again
            peer.log_param("lr", 0.5)
            raise ArithmeticError
    except ArithmeticError:
        pass
    peer.start_run(run_name="killed")
    peer.end_run("KILLED")
    deleted = peer.start_run(run_name="deleted")
    peer.end_run()
    peer.delete_run(deleted.info.run_id)
    peer.set_experiment("日本語")
    with peer.start_run(run_name="実験"):
        peer.log_metric("loss", 0.25)
    peer.set_experiment("Handwritten Digits")
    peer.MlflowClient().create_run(outer.info.experiment_id, run_name="at work")
    with peer.start_run(run_name="has a model"):
        model = peer.initialize_logged_model("classifier")
        weights = Path("weights.txt")
        weights.write_text("0.5")
        peer.MlflowClient().log_model_artifact(model.model_id, str(weights))
        peer.finalize_logged_model(model.model_id, "READY")
        weights.unlink()


def trackio(folder: Path) -> None:
    folder.mkdir(parents=True)
    os.environ["TRACKIO_DIR"] = str(folder)
    import trackio as peer

    for name in ("lively-fox-0", "Baseline (v2)"):
        peer.init(project="digits", name=name, config={"lr": 0.1, "net": {"width": 8}},
                  embed=False)  # fmt: skip
        for step in range(4):
            peer.log({"loss": 1 / (step + 1), "note": "text", "nested": {"a": step}})
        peer.log({"odd": math.inf})
        peer.log({"odd": math.nan})
        peer.finish()


def dump(database: Path, to: Path) -> None:
    with sqlite3.connect(database) as db:
        tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        for (table,) in db.execute(tables).fetchall():  # most are empty, and long
            if not db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]:
                db.execute(f"DROP TABLE {table}")
        to.write_text("\n".join(db.iterdump()) + "\n", encoding="utf-8")


def main() -> None:
    shutil.rmtree(WORK, ignore_errors=True)
    which = sys.argv[1:] or ["sqlite", "files", "trackio"]
    if len(which) > 1:  # each tracker in a process of its own
        for one in which:
            os.spawnv(os.P_WAIT, sys.executable, [sys.executable, __file__, one])
        return
    if which == ["sqlite"]:
        mlflow(WORK / "sqlite", f"sqlite:///{WORK}/sqlite/mlflow.db")
        shutil.rmtree(HERE / "mlflow-sqlite", ignore_errors=True)
        shutil.copytree(WORK / "sqlite", HERE / "mlflow-sqlite")
        (HERE / "mlflow-sqlite/mlflow.db").unlink()
        dump(WORK / "sqlite/mlflow.db", HERE / "mlflow-sqlite/mlflow.db.sql")
    if which == ["files"]:
        mlflow(WORK / "files", (WORK / "files/mlruns").as_uri())
        shutil.rmtree(HERE / "mlflow-files", ignore_errors=True)
        shutil.copytree(WORK / "files", HERE / "mlflow-files")
    if which == ["trackio"]:
        trackio(WORK / "trackio")
        (HERE / "trackio").mkdir(exist_ok=True)
        for database in (WORK / "trackio").glob("*.db"):
            dump(database, HERE / "trackio" / f"{database.name}.sql")


if __name__ == "__main__":
    main()
