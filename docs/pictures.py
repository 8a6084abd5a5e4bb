"""Takes the pictures of docs/widgets.md in a real JupyterLab: python docs/pictures.py."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.widgets.lab import Lab, chromium, started

HERE = Path(__file__).parent / "pictures"
SWEEP = """
import math, random, nbtools
random.seed(1)
nbtools.init("digits")
for i in range(14):
    lr, width = 10 ** random.uniform(-4, -1), random.choice([32, 64, 128])
    optimizer = random.choice(["adam", "sgd"])
    with nbtools.start_run(f"trial-{i:02}", tags=["night"] if i % 3 else ["night", "kept"]):
        nbtools.log_params({"lr": lr, "width": width, "optimizer": optimizer, "seed": i})
        best = math.exp(-abs(math.log10(lr) + 2.5)) * (0.9 + width / 2000)
        for step in range(300):
            noise = random.gauss(0, 0.02)
            nbtools.log_time_series_metrics({
                "loss": math.exp(-step * best / 60) + abs(noise),
                "val_accuracy": best * (1 - math.exp(-step / 60)) + noise / 2}, step)
        nbtools.log_metrics({"test_accuracy": best})
        if i == 3:
            nbtools.log_model(__file__, "digits-mlp")
with nbtools.start_run("evaluate"):
    nbtools.use_artifact("digits-mlp")
    nbtools.log_metrics({"test_accuracy": 0.93})
    nbtools.log_text("report", "fine")
"""
TRAIN = """import math, random, time, nbtools
nbtools.init("digits", tags=["night"])
nbtools.start_run("baseline", notes="first try with the wide layer")
nbtools.log_params({"lr": 0.003, "batch_size": 64, "width": 128, "optimizer": "adam"})
nbtools.log_metrics({"weights": 26122})
nbtools.ui.run()
for step in range(100_000):
    noise = random.gauss(0, 0.03)
    nbtools.log_time_series_metrics({"loss": math.exp(-step / 2e4) + abs(noise),
                                     "val_accuracy": 1 - math.exp(-step / 1e4) / 2 + noise}, step)
print("trained")
time.sleep(60)"""
FORM = """from types import SimpleNamespace as Field
from typing import Annotated, Literal
lr: Annotated[float, Field(gt=0, le=1)] = 3e-3  # learning rate
optimizer: Literal["adam", "sgd"] = "adam"  # who walks downhill
epochs: int = 12  # times through the data
augment: bool = False  # turn and shift the pictures"""


def shoot(lab: Lab, name: str, selector: str = ".nbl", dark: bool = False) -> None:
    """Take one picture, in few colours: it is small then."""
    theme = "JupyterLab Dark" if dark else "JupyterLab Light"
    now = "document.body.dataset.jpThemeLight"
    lab.page.evaluate(
        f"window.jupyterapp.commands.execute('apputils:change-theme', {{theme: '{theme}'}})"
    )
    lab.page.wait_for_function(f"{now} === '{'false' if dark else 'true'}'")
    lab.page.wait_for_timeout(700)  # the theme's style sheet, and what is drawn with it
    path = HERE / f"{name}.png"
    lab.page.locator(selector).first.screenshot(path=str(path))
    Image.open(path).convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(
        path, optimize=True
    )


def main() -> None:
    """Take them all."""
    HERE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="nbt-") as name, chromium() as browser:
        folder = Path(name)
        with started(folder, browser) as lab:
            (folder / "sweep.py").write_text(SWEEP)
            subprocess.run([sys.executable, "sweep.py"], cwd=folder, env=lab.env, check=True)
            lab.page.set_viewport_size({"width": 1100, "height": 2400})
            lab.open("train.ipynb", TRAIN)
            lab.run_all(wait=False)
            lab.page.wait_for_selector("text=trained")
            lab.page.wait_for_selector("[data-series=loss] figcaption >> text=100000 points")
            shoot(lab, "run")
            shoot(lab, "run-dark", dark=True)
            lab.open("compare.ipynb", "import nbtools\nnbtools.ui.compare('digits')")
            lab.run_all()
            for tick in (3, 6, 9):
                lab.page.locator("[data-row] input").nth(tick).check()
            lab.page.wait_for_selector(".nbl details th >> text=param.lr")
            shoot(lab, "compare")
            shoot(lab, "compare-dark", dark=True)
            Path(folder / "digits.ipynb").unlink(missing_ok=True)
            lab.open("digits.ipynb", FORM, "import time; print('epoch 1'); time.sleep(600)")
            node = lab.saved("digits.ipynb")
            node.cells[0].metadata["tags"] = ["parameters"]
            import nbformat

            nbformat.write(node, folder / "digits.ipynb")
            lab.open(
                "form.ipynb",
                "import nbtools\nnbtools.ui.params('digits.ipynb')",
                "job = nbtools.submit('digits.ipynb')\nnbtools.submit('form.ipynb').cancel()\n"
                "nbtools.ui.jobs()",
                "nbtools.ui.lineage('digits-mlp')",
                "nbtools.init('hand')\nnbtools.start_run('by-hand')\nnbtools.ui.logger()",
            )
            lab.run_all()
            page = lab.page
            page.fill("[name=lr]", "3")
            page.press("[name=lr]", "Tab")
            page.wait_for_selector("[aria-invalid=true]")
            shoot(lab, "params")
            line = page.locator("[data-job^=digits]")
            line.locator("[data-state=RUNNING]").wait_for()
            line.locator("[data-act=open]").click()
            page.wait_for_selector("pre >> text=epoch 1")
            shoot(lab, "jobs", ".nbl:has(.nbl-jobs)")
            page.locator(".nbl-graph [data-node]").first.click()
            shoot(lab, "lineage", ".nbl:has(.nbl-graph)")
            shoot(lab, "lineage-dark", ".nbl:has(.nbl-graph)", dark=True)
            page.fill("[aria-label=name]", "operator")
            page.fill("[aria-label=value]", "Ada")
            page.click("text=/^Log$/")
            page.wait_for_selector("li >> text=Ada")
            shoot(lab, "logger", ".nbl[aria-label='log by hand']")
            line.locator("[data-act=cancel]").click()
            line.locator("[data-state=CANCELLED]").wait_for()


if __name__ == "__main__":
    main()
