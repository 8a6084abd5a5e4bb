"""MLflow's history: its SQLite file, its folder of files, or both where both are.

Servers and other databases are not asked: `mlflow.db` and `mlruns` are what a person has.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nbtools.importer import ImportedRun, Remarks
from nbtools.importers import mlflow_database, mlflow_files
from nbtools.importers.database import Database, databases


class MLflow:
    """Reads `mlflow.db` and `mlruns` as MLflow 2 and 3 write them."""

    title = "MLflow"

    def finds(self, path: Path) -> bool:
        if any(mlflow_database.is_ours(database) for database in _databases(path)):
            return True
        return any(True for _ in _folders(path))

    def runs(self, path: Path, remarks: Remarks) -> Iterator[ImportedRun]:
        for database in _databases(path):
            if mlflow_database.is_ours(database):
                yield from mlflow_database.runs(database, remarks)
        for folder in _folders(path):
            yield from mlflow_files.runs(folder, remarks)


def _databases(path: Path) -> Iterator[Database]:
    return databases(path, "*.db", "*.sqlite", "*.sqlite3")


def _folders(path: Path) -> Iterator[Path]:
    """The file stores at `path`: itself, or `mlruns` in it."""
    for folder in (path, path / "mlruns"):
        if mlflow_files.is_ours(folder):
            yield folder
