"""What is logged without a line of logging, by the real libraries in a process of their own."""

import subprocess
import sys

import pytest

from nbtools.nouns import utc_now
from nbtools.runs import list_runs
from nbtools.store import Store

TORCH = """
import torch
model = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.5)
for step in range(40):
    optimizer.zero_grad()
    loss = ((model(torch.ones(8, 3)) - 2) ** 2).mean()
    loss.backward()
    optimizer.step()
    schedule.step()
"""

SKLEARN = """
from sklearn.ensemble import RandomForestClassifier
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.linear_model import LogisticRegression
x, y = load_iris(return_X_y=True)
RandomForestClassifier(n_estimators=7, max_depth=3, random_state=0).fit(x, y)
make_pipeline(StandardScaler(), LogisticRegression(C=0.5)).fit(x, y)
"""

LIGHTNING = """
import torch, pytorch_lightning as pl
class Model(pl.LightningModule):
    def __init__(self, width=4):
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Linear(width, 1)
    def training_step(self, batch, index):
        loss = self.net(batch[0]).pow(2).mean()
        self.log("train_loss", loss, on_epoch=True)
        return loss
    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)
data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(32, 4)), batch_size=8)
pl.Trainer(max_epochs=3, logger=False, enable_checkpointing=False, enable_progress_bar=False,
           enable_model_summary=False, accelerator="cpu").fit(Model(), data)
"""


def logged(code, store_folder, before="", every=10):
    begin = f"import nbtools\nnbtools.start_run('r')\nnbtools.autolog(every={every})\n"
    done = subprocess.run(
        [sys.executable, "-c", before + begin + code], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (run,) = list_runs(Store(store_folder), utc_now())
    return run, Store(store_folder).points(run.id)


@pytest.mark.parametrize("before", ["", "import torch\n"])
def test_a_torch_loop(store_folder, before):
    run, points = logged(TORCH, store_folder, before)
    assert run.params["optimizer.name"] == "SGD"
    assert (run.params["optimizer.lr"], run.params["optimizer.momentum"]) == (0.1, 0.9)
    assert [step for step, _, _ in points["loss"]] == [1, 10, 20, 30, 40]
    rates = [value for _, _, value in points["learning_rate"]]
    assert rates == pytest.approx([0.1, 0.1, 0.05, 0.025, 0.0125])
    assert points["loss"][-1][2] < points["loss"][0][2]


@pytest.mark.parametrize("before", ["", "import sklearn.linear_model\n"])
def test_scikit_learn_estimators(store_folder, before):
    run, _ = logged(SKLEARN, store_folder, before)
    assert run.params["RandomForestClassifier.n_estimators"] == 7
    assert run.params["RandomForestClassifier.max_depth"] == 3
    assert 0.9 < run.metrics["RandomForestClassifier.training_score"] <= 1
    assert run.metrics["RandomForestClassifier.fit_seconds"] > 0
    assert "Pipeline.steps" in run.params
    assert "LogisticRegression.C" not in run.params  # fitted inside the pipeline


def test_lightning(store_folder):
    run, points = logged(LIGHTNING, store_folder)
    assert run.params["width"] == 4
    assert [value for _, _, value in points["epoch"]] == [0.0, 1.0, 2.0]
    assert len(points["train_loss_epoch"]) == 3
    assert run.params["optimizer.name"] == "Adam"


def test_without_a_run_training_goes_on_and_it_is_said_once(store_folder):
    code = "import nbtools\nnbtools.autolog(every=1)\n" + TORCH
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr.count("autolog logs nothing: there is no run to log to") == 1
    assert list_runs(Store(store_folder), utc_now()) == []
