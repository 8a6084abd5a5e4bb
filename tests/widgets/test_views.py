"""The other views, clicked through in a real JupyterLab."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=alert(1)><script>alert(2)</script>"
RUNS = f"""import nbtools
nbtools.init("shapes")
for name, lr, acc in (("slow", 0.001, 0.5), ("quick", 0.1, 0.9), ("odd", {EVIL!r}, 0.7)):
    with nbtools.start_run(name, tags=["t" + name]):
        nbtools.log_params({{"lr": lr, "width": 8, "w" + {EVIL!r}: lr}})
        for step in range(50):
            nbtools.log_time_series_metrics({{"loss": 1 / (step + 1), "s" + {EVIL!r}: step}}, step)
        nbtools.log_metrics({{"acc": acc}})
        nbtools.log_text("note" + name, "text")"""


def python(lab, code):
    done = subprocess.run(
        [sys.executable, "-c", code], env=lab.env, cwd=lab.folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def notebook(lab, name, parameters, *cells):
    node = new_notebook(cells=[new_code_cell(parameters, metadata={"tags": ["parameters"]})])
    node.cells += [new_code_cell(cell) for cell in cells]
    node.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(node, lab.folder / name)


def rows(page):
    return page.locator(".nbl [data-row]").all_inner_texts()


def test_runs_are_sorted_filtered_chosen_and_drawn(lab):
    python(lab, RUNS)
    lab.open(
        "compare.ipynb",
        "import nbtools\nview = nbtools.ui.compare('shapes')",
        "print('chosen', sorted(view.selected['run_name']), view.selected['metric.acc'].max())",
    )
    page = lab.page
    lab.run_all()
    page.wait_for_selector("[data-row]")
    assert len(rows(page)) == 3

    page.click("th button >> text=metric.acc")
    order = [text.split("\t")[1] for text in rows(page)]
    assert order == ["slow", "odd", "quick"]
    page.keyboard.press("Enter")  # the focus has stayed on the column's head
    assert [text.split("\t")[1] for text in rows(page)] == order[::-1]

    page.wait_for_selector("[data-series=loss] canvas[data-points='150']")
    page.wait_for_selector(".nbl-drawn circle >> nth=2", state="attached")
    assert page.locator(".nbl-drawn path[data-run]").count() == 3
    page.click("text=Best run")
    page.wait_for_selector("output >> text=quick: 0.9")

    page.fill("[aria-label=filter]", "metadata._metrics.acc >")
    page.press("[aria-label=filter]", "Enter")
    page.wait_for_selector(".nbl-status.bad")
    assert len(rows(page)) == 3
    page.fill("[aria-label=filter]", "metadata._metrics.acc > 0.6")
    page.press("[aria-label=filter]", "Enter")
    page.wait_for_function("document.querySelectorAll('[data-row]').length === 2")

    for tick in range(2):
        page.locator("[data-row] input").nth(tick).focus()
        page.keyboard.press("Space")
    page.wait_for_selector(".nbl details >> text=/param.lr|lr/")
    page.wait_for_selector(".nbl details th >> text=param.lr")
    page.locator(".jp-Cell").nth(1).click(position={"x": 300, "y": 10})
    lab.command("notebook:run-cell")
    page.wait_for_selector("text=chosen ['odd', 'quick'] 0.9")
    assert EVIL in page.inner_text(".nbl")
    assert page.evaluate("window.hacked") == 0
    assert lab.errors == []


def test_a_form_refuses_what_is_wrong_then_runs_and_schedules(lab):
    notebook(
        lab,
        "formed.ipynb",
        "from types import SimpleNamespace as Field\nfrom typing import Annotated, Literal\n"
        "lr: Annotated[float, Field(gt=0, le=1)] = 0.1  # learning <b>rate</b>\n"
        "kind: Literal['adam', 'sgd'] = 'adam'\n"
        "fast: bool = False\n"
        "note: str = '<i>plain</i>'",
        "import nbtools",
        f"print({EVIL!r}); nbtools.log_metrics({{'out': f'{{kind}} {{fast}} {{note}}'}})",
    )
    lab.open("form.ipynb", "import nbtools\nnbtools.ui.params('formed.ipynb')\nnbtools.ui.jobs()")
    page = lab.page
    lab.run_all()
    page.wait_for_selector(".nbl form [name=lr]")
    page.fill("[name=lr]", "3")
    page.press("[name=lr]", "Tab")
    page.wait_for_selector("[name=lr][aria-invalid=true]")
    page.click(".nbl form >> text=/^Run$/")
    page.wait_for_selector(".nbl-field .bad >> text=lr: 3 does not fit")
    assert page.locator("[data-job^=formed]").count() == 0

    page.fill("[name=lr]", "0.5")
    page.select_option("[name=kind]", "sgd")
    page.check("[name=fast]")
    page.click(".nbl form >> text=/^Run$/")
    page.wait_for_selector("[data-job^=formed] [data-state=SUCCEEDED]")
    page.locator(".nbl-jobs [data-job^=formed] [data-act=open]").click()
    page.wait_for_selector(f"pre >> text={EVIL[:10]}")
    page.click("text=/^Outputs$/")
    page.wait_for_selector("dd >> text=sgd True <i>plain</i>")
    with page.expect_download() as download:
        page.click("text=Save formed.ipynb")
    saved = nbformat.read(download.value.path(), as_version=4)
    assert EVIL in str(saved.cells[-1].outputs)
    page.click("text=/^Report$/")
    page.wait_for_selector("iframe[sandbox='']")
    page.frame_locator("iframe").locator(f"text={EVIL[:10]}").first.wait_for()
    assert page.evaluate("window.hacked") == 0

    page.click("summary >> text=/^Schedule$/")
    page.fill("[aria-label='schedule name']", "nightly")
    page.fill("[aria-label='cron expression']", "61 2 * * *")
    page.click("button >> text=/^Schedule$/")
    page.wait_for_selector(".nbl-status.bad >> text=61")
    page.fill("[aria-label='cron expression']", "0 2 * * *")
    page.click("button >> text=/^Schedule$/")
    page.wait_for_selector("[data-schedule=nightly] >> text=ACTIVE")
    page.click("[data-schedule=nightly] >> text=Pause")
    page.wait_for_selector("[data-schedule=nightly] >> text=PAUSED")
    assert lab.errors == []


def test_a_job_at_work_is_cancelled_from_the_monitor(lab):
    notebook(
        lab, "long.ipynb", "n: int = 1", "print('begun', flush=True)\nimport time\ntime.sleep(600)"
    )
    lab.open(
        "monitor.ipynb", "import nbtools\njob = nbtools.submit('long.ipynb')\nnbtools.ui.jobs()"
    )
    page = lab.page
    lab.run_all()
    line = page.locator(".nbl-jobs [data-job^=long]")
    line.locator("text=RUNNING").wait_for()
    line.locator("[data-act=open]").press("Enter")
    page.wait_for_selector("pre >> text=begun")
    line.locator("[data-act=cancel]").press("Enter")
    line.locator("[data-state=CANCELLED]").wait_for()
    assert lab.errors == []


def test_a_job_of_old_is_retried_and_a_schedule_is_run_now(lab):
    notebook(lab, "old.ipynb", "n: int = 1", "print('done')")
    python(
        lab,
        """from dataclasses import replace
from datetime import timedelta
import nbtools
from nbtools.jobs import Jobs
from nbtools.nouns import Execution, stamp
from nbtools.schedules import create
job, jobs = nbtools.run("old.ipynb"), Jobs.open()
ended = {"end_time": stamp(job.end_time - timedelta(hours=1))}
jobs.store.amend(Execution, job.name, lambda e: replace(e, metadata={**e.metadata, **ended}),
                 jobs.clock())
create("often", "0 0 29 2 *", "old.ipynb")""",
    )
    lab.open("retry.ipynb", "import nbtools\nnbtools.ui.jobs()")
    page = lab.page
    lab.run_all()
    old = page.locator(".nbl-jobs [data-job^=old]")
    page.wait_for_selector("[data-schedule=often]")
    assert old.count() == 0
    page.focus("text=Show earlier jobs")
    page.keyboard.press("Enter")
    old.locator("[data-act=retry]").press("Enter")
    page.wait_for_selector(".nbl-status >> text=is executed again")
    page.wait_for_function(
        "document.querySelectorAll('[data-job^=old] [data-state=SUCCEEDED]').length === 2"
    )
    page.wait_for_selector("text=No service runs")
    page.click("[data-schedule=often] >> text=Run now")
    page.wait_for_selector(".nbl-status >> text=Schedule often is due now.")
    service = subprocess.Popen(
        [Path(sys.executable).with_name("nbtools"), "service", "run"], env=lab.env, cwd=lab.folder,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        page.wait_for_selector("[data-job^=often] [data-state=SUCCEEDED]")
        assert not page.is_visible("text=No service runs")
        service.terminate()
        service.wait(20)
    finally:
        service.kill()
        service.wait()
    assert lab.errors == []


def test_lineage_is_walked_and_values_are_logged_by_hand(lab):
    python(lab, RUNS.replace('"shapes"', '"walk"'))
    lab.open(
        "walk.ipynb",
        "import nbtools\nnbtools.init('hand')\nrun = nbtools.start_run('byhand')\n"
        "nbtools.ui.lineage('walk-quick')\nnbtools.ui.logger()",
        "print('logged', run.get_params(), run.get_metrics())",
    )
    page = lab.page
    lab.run_all()
    node = page.locator(".nbl-graph [aria-label*=notequick]")
    node.wait_for()
    node.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".nbl pre >> text=notequick")
    page.click("text=Look from here")
    page.wait_for_selector("h3 >> text=notequick")

    page.fill("[aria-label=name]", EVIL)
    page.fill("[aria-label=value]", "0.25")
    page.press("[aria-label=value]", "Enter")
    page.wait_for_selector("li >> text=0.25")
    page.select_option("[aria-label=kind]", "metric")
    page.fill("[aria-label=value]", "many")
    page.click(".nbl >> text=/^Log$/")
    page.wait_for_selector(".nbl-status.bad >> text=is no number")
    page.locator(".jp-Cell").nth(1).click(position={"x": 300, "y": 10})
    lab.command("notebook:run-cell")
    page.wait_for_selector("text=': 0.25} {}")
    assert page.evaluate("window.hacked") == 0
    assert lab.errors == []
    saved = lab.saved("walk.ipynb")
    stays = [
        o.data["text/html"] for o in saved.cells[0].outputs if "text/html" in o.get("data", {})
    ]
    assert any("0.25" in text and "<script" not in text for text in stays)
    assert any("data:image/svg" in text for text in stays)
