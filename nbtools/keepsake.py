"""Objects as the files that keep them: tables, figures, models."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbtools.errors import RequestError


def table(given: Any, path: Path) -> Path:
    """Write a DataFrame, a list of dicts, or a dict of lists as CSV. Raises RequestError."""
    import csv

    if hasattr(given, "to_csv"):
        given.to_csv(path, index=False)
        return path
    if isinstance(given, Mapping):
        columns = {str(key): list(values) for key, values in given.items()}
        if len({len(values) for values in columns.values()}) > 1:
            raise RequestError("the columns of a table must have one length")
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        names = list(columns)
    else:
        rows = [*given]
        if not all(isinstance(row, Mapping) for row in rows):
            raise RequestError("a table is a DataFrame, a list of dicts, or a dict of lists")
        names = [*dict.fromkeys(key for row in rows for key in row)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return path


def figure(given: Any, path: Path) -> Path:
    """Write a matplotlib figure or axes, or an image, as PNG; a plotly figure as HTML.

    Raises RequestError for what is none of these.
    """
    given = getattr(given, "figure", None) or given  # axes, and what seaborn returns
    if hasattr(given, "savefig"):
        path = _ending(path, ".png")
        given.savefig(path, bbox_inches="tight")
    elif hasattr(given, "write_html"):
        path = _ending(path, ".html")
        given.write_html(path, include_plotlyjs=True)
    elif hasattr(given, "save") and hasattr(given, "mode"):
        path = _ending(path, ".png")
        given.save(path)
    else:
        raise RequestError(
            f"{type(given).__name__} is no figure: give one of matplotlib, plotly or PIL"
        )
    return path


def model(given: Any, path: Path) -> Path:
    """Write a model: a torch module's values with torch.save, one of xgboost as it does that
    itself, anything else pickled. Raises RequestError for what cannot be.
    """
    import pickle

    library = _library(given)
    if library == "torch":
        path = _ending(path, ".pt")
        sys.modules[library].save(given.state_dict(), path)
        return path
    if library == "xgboost":
        if path.suffix != ".bst":  # by the ending it chooses a format
            path = path.with_name(f"{path.name}.bst")
        given.save_model(path)
        return path
    path = _ending(path, ".pkl")
    try:
        path.write_bytes(pickle.dumps(given))
    except Exception as error:  # noqa: BLE001 - pickling raises whatever the object's own methods do
        raise RequestError(f"{type(given).__name__} cannot be pickled: {error}") from None
    return path


def framework(given: Any) -> dict[str, str]:
    """What a model was made with, by the names that Vertex AI's `google.ExperimentModel` has for
    it; nothing for what is of no library that is known here.
    """
    if not (library := _library(given)):
        return {}
    return {
        "frameworkName": library,
        "frameworkVersion": str(sys.modules[library].__version__),
        "modelClass": f"{type(given).__module__}.{type(given).__qualname__}",
    }


def _library(given: Any) -> str:
    """Of which a model is: what has made it is imported."""
    torch: Any = sys.modules.get("torch")
    if torch and isinstance(given, torch.nn.Module):
        return "torch"
    xgboost: Any = sys.modules.get("xgboost")
    if xgboost and isinstance(given, xgboost.Booster | xgboost.XGBModel):
        return "xgboost"
    base: Any = sys.modules.get("sklearn.base")
    own = type(given).__module__.startswith("sklearn.")  # other libraries derive from it
    return "sklearn" if own and isinstance(given, base.BaseEstimator) else ""


def _ending(path: Path, suffix: str) -> Path:
    return path if path.suffix else path.with_name(path.name + suffix)
