"""A training notebook in a real JupyterLab: its run as it grows, and what stays of it."""

import os
import re
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=alert(1)><script>alert(2)</script>"
BEGIN = f"""import time, math, nbtools
nbtools.init("digits")
run = nbtools.start_run("one")
nbtools.log_params({{"lr": 0.1, {EVIL!r}: {EVIL!r}}})
nbtools.log_metrics({{"acc": 0.5, "m" + {EVIL!r}: {EVIL!r}}})
view = nbtools.ui.run()"""
# Ends when the page has spoken while this very cell is at work, or after a minute.
TRAIN = f"""begin, step = time.monotonic(), 0
while "good" not in run.tags and time.monotonic() - begin < 60:
    for _ in range(200):
        values = {{"loss": math.exp(-step / 3e4), "s" + {EVIL!r}: step % 7}}
        nbtools.log_time_series_metrics(values, step=step)
        step += 1
    time.sleep(0.02)
print("heard" if "good" in run.tags else "not heard")"""


def points(page):
    """How many points the loss's caption says there are."""
    found = re.search(r"(\d+) points", page.inner_text("[data-series=loss] figcaption"))
    return int(found[1])


def test_a_training_notebook_from_its_first_curve_to_its_saved_picture(lab):
    lab.open("train.ipynb", BEGIN, TRAIN)
    lab.run_all(wait=False)
    page = lab.page
    page.wait_for_selector("[data-series=loss] canvas[data-points]")
    before = points(page)
    page.wait_for_function(
        "before => Number(document.querySelector('[data-series=loss] figcaption').innerText"
        ".match(/(\\d+) points/)[1]) > before + 1000",
        arg=before,
    )

    page.fill("[aria-label='new tag']", "two words")  # refused, and said
    page.press("[aria-label='new tag']", "Enter")
    page.wait_for_function("document.querySelector('.nbl-status').innerText.includes('tag')")
    page.fill("[aria-label='new tag']", "good")  # while the cell is at work
    page.press("[aria-label='new tag']", "Enter")
    page.wait_for_selector(".nbl-tag >> text=good")
    page.wait_for_selector(".jp-OutputArea-output >> text=/^heard/")

    page.fill("[aria-label=note]", f"seen {EVIL}")
    page.press("[aria-label=note]", "Tab")
    page.wait_for_selector("text=The note is kept.")
    canvas = page.locator("[data-series=loss] canvas")
    whole = points(page)
    canvas.focus()
    page.keyboard.press("+")
    page.keyboard.press("+")
    page.wait_for_function(  # a quarter of the steps, and nothing left out of it for want of room
        "all => { const said = document.querySelector('[data-series=loss] figcaption').innerText;"
        " return Number(said.match(/(\\d+) points/)[1]) < all / 2 }",
        arg=whole,
    )
    page.keyboard.press("Escape")

    page.focus("text=End run")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.wait_for_selector(".nbl-still >> text=state COMPLETE")
    assert page.query_selector(".nbl-live") is None

    saved = lab.saved("train.ipynb")
    outputs = [o for cell in saved.cells for o in cell.outputs]
    assert not [
        o for o in outputs if "application/vnd.jupyter.widget-view+json" in o.get("data", {})
    ]
    lab.shutdown()
    lab.reopen("train.ipynb")
    page.wait_for_selector(".nbl-still img, .jp-RenderedHTML img[alt^=loss]")
    assert "Error displaying widget" not in page.inner_text(".jp-Notebook")

    exported(lab, "train.ipynb")
    page.goto(f"file://{lab.folder}/train.html")
    page.wait_for_selector("img[alt^=loss]")
    text = page.inner_text("body")
    assert EVIL in text
    assert "seen <img" in text
    assert page.evaluate("window.hacked") == 0
    assert page.evaluate("document.querySelector('img[alt^=loss]').naturalWidth") > 0
    assert lab.errors == []


def exported(lab, name):
    command = [sys.executable, "-m", "nbconvert", "--to", "html", str(lab.folder / name)]
    subprocess.run(command, check=True, capture_output=True, text=True)


def test_a_run_of_another_kernel_is_shown_as_it_grows(lab):
    code = """import nbtools, sys
nbtools.init("elsewhere")
with nbtools.start_run("far"):
    nbtools.log_time_series_metrics({"loss": 1.0}, step=1)
    print("ready", flush=True)
    sys.stdin.readline()
    nbtools.log_time_series_metrics({"loss": 0.5}, step=2)
    print("more", flush=True)
    sys.stdin.readline()"""
    other = subprocess.Popen(
        [sys.executable, "-c", code], env=lab.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, bufsize=1,
    )  # fmt: skip
    try:
        assert other.stdout.readline() == "ready\n"
        lab.open("watch.ipynb", "import nbtools\nview = nbtools.ui.run('far')")
        lab.run_all()
        page = lab.page
        page.wait_for_selector("[data-series=loss] figcaption >> text=1 points")
        other.stdin.write("\n")
        page.wait_for_selector("[data-series=loss] figcaption >> text=2 points")
        assert page.query_selector("text=End run") is None  # it is another process's to end
        # Saved while it is live, and opened without a kernel: what stays is there.
        lab.saved("watch.ipynb")
        other.stdin.write("\n")
        page.wait_for_selector(".nbl-still >> text=state COMPLETE")
    finally:
        other.kill()
        other.wait()
        other.stdin.close()
        other.stdout.close()
    assert lab.errors == []


def test_what_is_live_when_the_kernel_dies_leaves_its_picture(lab):
    code = "import nbtools\nnbtools.init('alive')\nwith nbtools.start_run('one'):\n    pass\n"
    lab.open("alive.ipynb", f"{code}view = nbtools.ui.compare('alive')")
    lab.run_all()
    page = lab.page
    page.wait_for_selector(".nbl-live")
    assert not page.is_visible(".nbl-still")
    lab.saved("alive.ipynb")
    lab.shutdown()
    lab.reopen("alive.ipynb")
    page.wait_for_selector(".jp-RenderedHTML >> text=1 runs of experiment alive")
    assert not page.is_visible("text=Error displaying widget")
    exported(lab, "alive.ipynb")
    assert "1 runs of experiment alive" in (lab.folder / "alive.html").read_text()
    assert lab.errors == []


def test_a_killed_kernel_leaves_the_last_picture_in_the_saved_notebook(lab):
    code = f"""import os, time, nbtools
nbtools.init("killed")
nbtools.start_run("short", notes={EVIL!r})
nbtools.ui.run()
print(f"pid {{os.getpid()}}.", flush=True)
for step in range(10**9):
    nbtools.log_time_series_metrics({{"loss": 1 / (step + 1)}}, step)
    time.sleep(0.001)"""
    lab.open("killed.ipynb", code)
    lab.run_all(wait=False)
    page = lab.page
    said = page.locator(".jp-OutputArea-output", has_text="pid ")
    said.wait_for()
    page.wait_for_function(  # there, and hidden, while the cell is at work
        "/loss: \\d\\d+ points/.test(document.querySelector('.nbl-still')?.textContent)"
    )
    os.kill(int(re.search(r"pid (\d+)\.", said.inner_text())[1]), signal.SIGKILL)
    page.wait_for_selector("text=Kernel Restarting")
    page.click(".jp-Dialog button >> text=Ok")
    saved = lab.saved("killed.ipynb")
    stays = "".join(o.get("data", {}).get("text/html", "") for o in saved.cells[0].outputs)
    assert int(re.search(r"loss: (\d+) points", stays)[1]) > 9
    assert "state RUNNING, as of 20" in stays

    # Nobody here has signed it: it is not trusted, and shows its picture all the same.
    text = (lab.folder / "killed.ipynb").read_text()
    (lab.folder / "foreign.ipynb").write_text(text.replace("print(f", "print( f"))
    lab.shutdown()
    lab.reopen("foreign.ipynb")
    picture = page.wait_for_selector("img[alt^=loss]")
    page.wait_for_function("image => image.naturalWidth > 0", arg=picture)
    assert "state RUNNING, as of 20" in page.inner_text(".jp-Notebook")
    assert EVIL in page.inner_text(".jp-Notebook")
    assert "Error displaying widget" not in page.inner_text(".jp-Notebook")
    assert page.evaluate("window.hacked") == 0
    # JupyterLab's own, about a kernel that did not answer any more.
    assert [e for e in lab.errors if "Canceled future" not in e] == []
    lab.errors.clear()
