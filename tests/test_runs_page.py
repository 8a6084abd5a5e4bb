"""The page of runs: whole, escaped, and with nothing from a network."""

import math
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from nbtools import runs_page
from nbtools.errors import NotFound, RequestError
from nbtools.nouns import Context
from nbtools.runs import list_runs, open_run
from nbtools.store import Store

NOW = datetime(2024, 1, 2, tzinfo=UTC)
HTML, SVG = "{http://www.w3.org/1999/xhtml}", "{http://www.w3.org/2000/svg}"


@pytest.fixture
def store(store_folder):
    return Store(store_folder)


def fill(store, count, points=3, **params):
    with store.write():
        for i in range(count):
            context = open_run(
                store,
                "e",
                f"r{i}",
                NOW + timedelta(seconds=i),
                params={"lr": 0.1 / (i + 1), **params},
            )
            metrics = {"acc": i / count, "all": 1}
            store.amend(
                Context, context.name,
                lambda c, m=metrics: replace(c, metadata={**c.metadata, "_metrics": m}), NOW,
            )  # fmt: skip
            series = [(s, 0.0, 1 / (s + i + 1)) for s in range(points)]
            store.add_points(context.name, "loss", series)


def page(store, **options):
    return runs_page.page(store, list_runs(store, NOW), NOW, **options)


def read(text):
    assert text.startswith("<!DOCTYPE html>\n")
    return ElementTree.fromstring(text)


def text_of(tree):
    return " ".join("".join(tree.itertext()).split())


@pytest.mark.parametrize("count", [1, 2, 7, 500])
def test_a_page_is_whole_for_one_run_and_for_many(store, count):
    fill(store, count, points=600)
    text = page(store, experiment="e")
    tree = read(text)
    assert len(tree.findall(f".//{HTML}tbody/{HTML}tr")) == count
    curves = tree.findall(f".//{HTML}figure[@class='curves']//{SVG}path")
    assert len(curves) == count
    assert {path.attrib["data-run"] for path in curves} == {str(i) for i in range(count)}
    across = tree.findall(f".//{HTML}figure[@class='parallel']//{SVG}path")
    assert len(across) == (count if count > 1 else 0)
    assert tree.find(f".//{HTML}h1").text == "Experiment e"
    assert len(text) < 3_000_000


def test_only_what_differs_has_a_column(store):
    fill(store, 3, width=64)
    tree = read(page(store))
    heads = ["".join(head.itertext()) for head in tree.findall(f".//{HTML}th")]
    assert heads == ["", "run", "begun", "lr", "acc", "loss (last)"]
    assert "The same in all: state = RUNNING · width = 64 · all = 1" in text_of(tree)


def test_what_all_were_executed_with_is_folded_away(store):
    fill(store, 2)
    about = {"git": {"commit": "c0ffee"}, "host": "h"}
    for name in ("e-r0", "e-r1"):
        store.amend(
            Context, name, lambda c: replace(c, metadata={**c.metadata, "_about": about}), NOW
        )
    tree = read(page(store))
    (folded,) = tree.findall(f".//{HTML}details")
    assert text_of(folded) == (
        "What all were executed withabout.git.commit = c0ffee · about.host = h"
    )
    assert text_of(tree).count("c0ffee") == 1


def test_nothing_comes_from_elsewhere_and_nothing_of_a_users_is_markup(store):
    evil = "</script><script>alert(1)</script><img src=http://x/y onerror=alert(1)>\"'&]]>\x00"
    context = open_run(store, "e", "r", NOW, params={evil: evil, "n": 1})
    open_run(store, "e", "s", NOW, params={evil: "x", "n": 2})
    for i, name in enumerate(("e-r", "e-s")):
        meta = {"_metrics": {evil: float(i)}, "_notes": evil, "_tags": [evil]}
        store.amend(Context, name, lambda c, m=meta: replace(c, metadata={**c.metadata, **m}), NOW)
    store.add_points(context.name, evil, [(1, 0.0, 1.0)])
    text = page(store, title=evil)
    tree = read(text)
    assert len(tree.findall(f".//{HTML}script")) == 1
    allowed = {"html", "head", "meta", "title", "style", "body", "header", "section", "h1", "h2",
               "p", "div", "table", "thead", "tbody", "tr", "th", "td", "i", "span", "code", "b",
               "figure", "figcaption", "details", "summary",
               "svg", "path", "line", "text", "rect", "script"}  # fmt: skip
    assert {element.tag.partition("}")[2] for element in tree.iter()} <= allowed
    for element in tree.iter():
        assert not {name for name in element.attrib if name.startswith("on") or "href" in name}
        assert "src" not in element.attrib
    (style,) = tree.findall(f".//{HTML}style")
    (script,) = tree.findall(f".//{HTML}script")
    assert not re.search(r"url\(|@import|https?:", style.text + script.text)
    assert not re.search(r"[<&]", script.text)
    assert evil.rstrip("\x00") in tree.find(f".//{HTML}h1").text


def test_runs_without_params_metrics_or_series(store):
    open_run(store, "e", "a", NOW)
    open_run(store, "f", "a", NOW)
    tree = read(page(store))
    assert tree.findall(f".//{SVG}svg") == []
    assert "experiment" in [h.text for h in tree.findall(f".//{HTML}th")]


def test_a_metric_that_some_lack_is_said(store):
    fill(store, 6)
    open_run(store, "e", "none", NOW)
    store.amend(
        Context, "e-r0",
        lambda c: replace(c, metadata={**c.metadata, "_metrics": {"acc": math.nan}}), NOW,
    )  # fmt: skip
    tree = read(page(store, metric="acc"))
    assert "2 runs have no finite acc and cannot be drawn." in text_of(tree)
    assert "5 runs and 1 params: take it as a hint" in text_of(tree)
    lines = tree.findall(f".//{HTML}figure[@class='parallel']//{SVG}path")
    assert len(lines) == 5


def test_the_metric_can_be_a_series_or_a_whole_columns_name(store):
    fill(store, 5)
    for metric in ("loss", "time_series_metric.loss", "metric.acc"):
        name = metric.rpartition(".")[2]
        assert f"Params against {name}" in text_of(read(page(store, metric=metric)))


def test_what_cannot_be_reported_is_said(store):
    with pytest.raises(RequestError, match="no runs to report on"):
        page(store)
    fill(store, 2)
    with pytest.raises(RequestError, match="no run here has a finite number for 'x'"):
        page(store, metric="x")
    with pytest.raises(NotFound, match="no experiment 'z'"):
        runs_page.report("z")


def test_the_library_makes_the_same_page(store):
    fill(store, 4)
    tree = read(runs_page.report("e", filter='display_name = "r1" OR display_name = "r2"'))
    assert [row[1].text for row in tree.findall(f".//{HTML}tbody/{HTML}tr")] == ["r2", "r1"]


def test_without_scikit_learn_there_is_still_a_page(store, monkeypatch):
    fill(store, 10)
    import nbtools.importance

    found = nbtools.importance.find_spec
    monkeypatch.setattr(
        nbtools.importance, "find_spec", lambda name: None if name == "sklearn" else found(name)
    )
    before = set(sys.modules)
    assert "Rank correlation" in text_of(read(page(store)))
    assert not {name for name in set(sys.modules) - before if name.startswith("sklearn")}


def test_runs_have_colours_of_their_own():
    colours = [runs_page.colour(i) for i in range(60)]
    assert len(set(colours)) == 60
