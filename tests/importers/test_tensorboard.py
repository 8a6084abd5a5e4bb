"""Folders of event files, as PyTorch's writer leaves them."""

from collections import Counter

import numpy as np
import pytest
from torch.utils.tensorboard import SummaryWriter

from nbtools.importers.tensorboard import TensorBoard


def read(path):
    remarks = Counter()
    runs = {run.name: run for run in TensorBoard().runs(path, remarks)}
    return runs, {what: count for what, count in remarks.items() if count}


def test_a_folder_is_a_run_named_by_where_it_is(tmp_path):
    for name in ("a", "sweep/b", "sweep/c"):
        with SummaryWriter(tmp_path / "logs" / name) as writer:
            writer.add_scalar("loss", 0.5, 1, walltime=1_700_000_000.0)
    runs, remarks = read(tmp_path / "logs")
    assert set(runs) == {"a", "sweep/b", "sweep/c"}
    assert {run.experiment for run in runs.values()} == {"logs"}
    assert runs["a"].series == {"loss": [(1, 1_700_000_000.0, 0.5)]}
    assert remarks == {}
    assert [file.name.rpartition("/")[0] for file in runs["a"].files] == ["a"]


def test_a_run_by_itself_and_one_file(tmp_path):
    with SummaryWriter(tmp_path / "mine") as writer:
        writer.add_scalar("loss", 0.5, 1)
    (file,) = (tmp_path / "mine").iterdir()
    for path in (tmp_path / "mine", file):
        runs, _ = read(path)
        assert list(runs) == ["mine"]


def test_add_hparams_gives_the_run_its_params(tmp_path):
    with SummaryWriter(tmp_path / "logs" / "run") as writer:
        writer.add_scalar("loss", 0.5, 1)
        writer.add_hparams({"lr": 0.1, "name": "x"}, {"score": 0.75})
    runs, _ = read(tmp_path / "logs")
    assert list(runs) == ["run"]
    run = runs["run"]
    assert run.params == {"lr": 0.1, "name": "x"}
    assert {key: [p[2] for p in points] for key, points in run.series.items()} == {
        "loss": [0.5], "score": [0.75],
    }  # fmt: skip
    assert len(run.files) == 2


def test_add_hparams_with_a_name_is_a_run_of_that_name(tmp_path):
    with SummaryWriter(tmp_path / "logs" / "run") as writer:
        writer.add_scalar("loss", 0.5, 1)
        writer.add_hparams({"lr": 0.1}, {"score": 0.75}, run_name="trial")
    runs, _ = read(tmp_path / "logs")
    assert set(runs) == {"run", "run/trial"}
    assert runs["run/trial"].params == {"lr": 0.1}


def test_hyperparameters_written_twice_are_counted(tmp_path):
    with SummaryWriter(tmp_path / "logs" / "run") as writer:
        writer.add_scalar("loss", 0.5, 1)
        writer.add_hparams({"lr": 0.1, "depth": 2}, {"score": 0.75})
        writer.add_hparams({"lr": 0.2}, {"score": 0.8})
    runs, remarks = read(tmp_path / "logs")
    assert runs["run"].params == {"lr": 0.2, "depth": 2}
    assert remarks == {"hyperparameters written twice: the last ones are kept": 1}


def test_add_scalars_gives_lines_of_the_run_and_no_runs(tmp_path):
    with SummaryWriter(tmp_path / "logs" / "run") as writer:
        for step in range(3):
            writer.add_scalar("lr", 0.1, step)
            writer.add_scalars("loss/all", {"train": step, "val": 2 * step}, step)
    runs, _ = read(tmp_path / "logs")
    assert list(runs) == ["run"]
    series = {key: [p[2] for p in points] for key, points in runs["run"].series.items()}
    assert set(series) == {"lr", "loss/all/train", "loss/all/val"}
    assert series["loss/all/val"] == [0, 2, 4]


def test_several_files_of_a_folder_are_one_run_in_their_order(tmp_path):
    for part in (1, 2):
        with SummaryWriter(tmp_path / "run", filename_suffix=f".{part}") as writer:
            writer.add_scalar("loss", part, part)
    runs, _ = read(tmp_path / "run")
    assert [p[2] for p in runs["run"].series["loss"]] == [1, 2]


def test_what_is_no_scalar_is_named_and_a_torn_end_counted(tmp_path):
    with SummaryWriter(tmp_path / "run") as writer:
        writer.add_scalar("loss", 0.5, 1)
        writer.add_histogram("weights", np.arange(9), 1)
        writer.add_histogram("weights", np.arange(9), 2)
    (file,) = (tmp_path / "run").iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    runs, remarks = read(tmp_path / "run")
    assert runs["run"].series["loss"][0][2] == 0.5
    torn = remarks.pop(
        "bytes at the end of event files, of records that were cut off or are being written"
    )
    assert torn > 0
    assert remarks == {"TensorBoard's histograms: they stay in the event files": 1}


def test_a_damaged_file_gives_what_lies_before_the_damage(tmp_path):
    with SummaryWriter(tmp_path / "run") as writer:
        for step in range(5):
            writer.add_scalar("loss", 0.5, step)
    (file,) = (tmp_path / "run").iterdir()
    data = bytearray(file.read_bytes())
    data[-30] ^= 0xFF
    data[-40:-30] = bytes(10)
    file.write_bytes(bytes(data) + b"\0" * 100)
    runs, remarks = read(tmp_path / "run")
    assert 1 <= len(runs["run"].series["loss"]) <= 5
    (what,) = remarks
    assert what.startswith("event files that are damaged: ")
    assert str(file) in what


@pytest.mark.parametrize("status", [1, 2, 3])
def test_an_hparams_session_says_how_it_ended(tmp_path, status):
    from torch.utils.tensorboard.summary import hparams

    with SummaryWriter(tmp_path / "run") as writer:
        summaries = list(hparams({"lr": 0.1}, {"score": 1.0}))
        for value in summaries[-1].value:
            content = bytearray(value.metadata.plugin_data.content)
            content[-1] = status  # Status is the last field
            value.metadata.plugin_data.content = bytes(content)
        for summary in summaries:
            writer.file_writer.add_summary(summary)
    (run,) = read(tmp_path / "run")[0].values()
    assert run.state == {1: "COMPLETE", 2: "FAILED", 3: "RUNNING"}[status]
