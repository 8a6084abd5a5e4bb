"""nbtools push and pull, to the emulator and to Vertex AI: what the SDK reads, and back."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

NBTOOLS = str(Path(sys.executable).with_name("nbtools"))

LOGGED = """
import sys, nbtools
nbtools.init(sys.argv[1], mirrors=[])
with nbtools.start_run("one") as run:
    run.log_params({"lr": 0.5, "layers": 3})
    run.log_metrics({"accuracy": 0.75})
    run.log_classification_metrics(labels=["a", "b"], matrix=[[1, 2], [3, 4]])
    run.log_text("note", "hello")
"""

READ = """
name = sys.argv[1]
(row,) = aiplatform.get_experiment_df(name).to_dict("records")
run = aiplatform.ExperimentRun("one", name)
(found,) = run.get_classification_metrics()
print(json.dumps([row, found["matrix"], sorted(a.display_name for a in run.get_artifacts())]))
"""

DELETED = """
name = sys.argv[1]
run = aiplatform.ExperimentRun("one", name)
for made in (*run.get_artifacts(), *run.get_executions()):
    made.delete()
aiplatform.Experiment(name).delete()
print("null")
"""


def test_a_run_goes_there_and_comes_back(side, tmp_path):
    name, to = side.new("push"), f"vertex://{side.project}/{side.location}"

    def nbtools(store, *words):
        env = {**side.env, "NBTOOLS_STORE": str(tmp_path / store)}
        return subprocess.run(
            [NBTOOLS, *words], env=env, cwd=side.folder, capture_output=True, text=True, check=False
        )

    env = {**os.environ, "NBTOOLS_STORE": str(tmp_path / "near")}
    subprocess.run([sys.executable, "-c", LOGGED, name], env=env, cwd=tmp_path, check=True)
    staging = ("--option", "staging_bucket", side.bucket or "gs://nbtools-live")
    sent = nbtools("near", "push", "one", "--to", to, *staging)
    assert sent.returncode == 0, sent.stdout + sent.stderr
    try:
        row, matrix, artifacts = side.program(READ, name)
        assert (row["run_name"], row["state"]) == ("one", "COMPLETE")
        assert (row["param.lr"], row["param.layers"], row["metric.accuracy"]) == (0.5, 3, 0.75)
        assert (matrix, artifacts) == ([[1, 2], [3, 4]], ["classification-metrics", "note"])
        assert nbtools("near", "push", "--status").stdout == "nothing is left to send\n"
        told = nbtools("far", "pull", name, "--from", to, "--json", "--files", str(tmp_path))
        assert told.returncode == 0, told.stderr
        pulled = json.loads(told.stdout)
        assert (pulled["runs"], pulled["conflicts"]) == ([f"{name}-one"], [])
        assert [Path(path).read_text() for path in pulled["files"]] == ["hello"]
        again = json.loads(nbtools("far", "pull", name, "--from", to, "--json").stdout)
        assert (again["new"], again["changed"]) == (0, 0)
    finally:
        side.program(DELETED, name)
