"""A sweep as one HTML page: what was sought, what came out, and two pictures."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtools import chart, trials
from nbtools.notebook import write_whole

if TYPE_CHECKING:
    from nbtools.sweeps import Sweep

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-size: 13px; }
th, td { padding: 0.2rem 0.7rem; text-align: left; border-bottom: 1px solid #8884; }
tr.best { font-weight: bold; background: #fdbe2540; }
svg { width: 100%; height: auto; }
td { white-space: pre-wrap; }
.scroll { overflow-x: auto; }
.scroll td:nth-last-child(2) { white-space: nowrap; }
"""


def write(path: Path, sweep: Sweep) -> None:
    """Write the page of `sweep`, as it stands now, to `path`."""
    write_whole(
        path,
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(sweep.name)}'
        f"</title><style>{STYLE}</style></head><body><h1>{escape(sweep.name)}</h1>"
        f"{content(sweep)}</body></html>\n",
    )


def content(sweep: Sweep) -> str:
    """What the page shows, as HTML for a page, or a notebook's cell, to hold."""
    design, found = sweep.design, sweep.trials
    best = trials.best(found, design.direction) if design.objective else None
    states: dict[str, int] = {}
    for t in found:
        states[t.state] = states.get(t.state, 0) + 1
    counts = ", ".join(f"{n} {state.lower()}" for state, n in states.items()) or "none begun"
    facts = {
        "Notebook": design.request.notebook,
        "Experiment": sweep.experiment,
        "Space": "  ".join(f"{name}={dimension}" for name, dimension in design.space.items()),
        "Fixed": "  ".join(f"{k}={v}" for k, v in design.request.params.items()) or "defaults",
        "Search": f"{design.search}, seed {design.seed}",
        "Trials": f"{len(found)} of {design.trials}: {counts}",
    }
    if best:
        params = "  ".join(f"{k}={_text(v)}" for k, v in best.params.items())
        facts["Best"] = f"{design.objective} = {best.value:.6g} with {params} (trial {best.number})"
    names = [*design.space]
    heads = ["Trial", "State", *([design.objective] if design.objective else []), *names,
             "Seconds", "Run", "Remark"]  # fmt: skip
    rows = [
        [t.number, t.state, *([t.value] if design.objective else []), *t.params.values(),
         f"{t.seconds:.1f}", t.run, "executed before" if t.reused else t.error]
        for t in found
    ]  # fmt: skip
    listed = "".join(
        f"<tr{' class=best' if best and row[0] == best.number else ''}>{_cells('td', row)}</tr>"
        for row in rows
    )
    pictures = "".join(
        f"<h2>{title}</h2><p>{words}</p>{picture}"
        for title, words, picture in (
            (
                "Objective over trials",
                "A circle is a trial, a hollow one did not reach its end; the line is the best "
                "so far.",
                chart.objective(found, design),
            ),
            (
                "Parallel coordinates",
                "A line is a completed trial, the brighter the better, the thick one the best.",
                chart.parallel(found, design),
            ),
        )
        if picture
    )
    said = "".join(f"<tr>{_cells('td', pair)}</tr>" for pair in facts.items())
    return (
        f"<table>{said}</table>{pictures}<h2>Trials</h2>"
        f'<div class="scroll"><table><tr>{_cells("th", heads)}</tr>{listed}</table></div>'
    )


def _cells(tag: str, row: Any) -> str:
    return "".join(f"<{tag}>{escape(_text(item))}</{tag}>" for item in row)


def _text(item: Any) -> str:
    if item is None:
        return ""
    return f"{item:.6g}" if isinstance(item, float) else str(item)
