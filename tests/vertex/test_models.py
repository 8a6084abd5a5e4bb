"""Models: on Vertex AI as the SDK's own `log_model` leaves them, and files again when pulled."""

import pickle
import threading
from dataclasses import replace

import pytest
from google.cloud import storage as gcs

import nbtools
from nbtools import exchange
from nbtools.emulator import buckets, storage
from nbtools.nouns import Artifact, artifact_name, utc_now
from nbtools.store import Store
from nbtools.vertex.form import form
from tests.vertex.remotes import TO, graph, settled

LINE = artifact_name("digits-one", "line")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = storage.Server(0, buckets.folder(tmp_path_factory.mktemp("buckets")))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", server.url)
        patch.setenv("FSSPEC_GS_TOKEN", "anon")
        patch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def bucket(server):
    return "gs://stage/models"


def line():
    from sklearn.linear_model import LinearRegression

    return LinearRegression().fit([[0], [1]], [0, 2])


def log_models(**options):
    import torch

    nbtools.init("digits", **options)
    with nbtools.start_run("one") as run:
        run.log_model(line(), "line")
        run.log_model(torch.nn.Linear(2, 1), "net")
        run.log_model({"weights": [1, 2]}, "dict")
        file = run.output_path("own.bin")
        file.write_bytes(b"own")
        run.log_model(file, "own")
    settled()


def local_graph(near):
    return graph(near.store, lambda record: form(record, near.way.staging))


def loaded(aiplatform):
    """The models that the SDK finds in the run, by display name."""
    run = aiplatform.ExperimentRun("one", "digits")
    return {model.display_name: model for model in run.get_experiment_models()}


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_sdk_finds_models_of_the_run_and_loads_them(remote, near, aiplatform, mirrored, bucket):
    import sklearn
    import torch

    options = {"to": TO, "staging_bucket": bucket}
    mirrors = ["vertex"] if mirrored else []
    log_models(mirrors=mirrors, mirror_options={"vertex": options} if mirrored else None)
    sent = near.push()
    assert [(s.left, s.notes, bool(s.count)) for s in sent] == [("", (), not mirrored)]
    assert graph(remote.store) == local_graph(near)
    models = loaded(aiplatform)
    assert set(models) == {"line", "net"}
    assert models["line"].load_model().predict([[3]]) == pytest.approx([6.0])
    again = aiplatform.get_experiment_model(models["line"].name)
    assert again.load_model().predict([[4]]) == pytest.approx([8.0])
    assert again.get_model_info() == {
        "model_class": "sklearn.linear_model._base.LinearRegression",
        "framework_name": "sklearn",
        "framework_version": sklearn.__version__,
    }
    net = models["net"]
    assert (net.framework_name, net.framework_version) == ("torch", str(torch.__version__))
    assert (net.model_class, net.metadata["modelFile"]) == ("torch.nn.modules.linear.Linear",
                                                            "net.pt")  # fmt: skip
    with pytest.raises(ValueError, match="torch not supported"):  # in the SDK's own words
        net.load_model()
    plain = remote.store.select(Artifact, "system.Model")
    assert {a.display_name: a.uri.rpartition("/")[2] for a in plain} == {
        "dict": "dict.pkl", "own": "own.bin",
    }  # fmt: skip


@pytest.fixture
def other(tmp_path, near):
    store = Store(tmp_path / "other")
    yield replace(near, store=store)
    store.close()


def test_a_pulled_model_is_a_file_again_and_goes_back_the_same(
    remote, near, other, bucket, tmp_path
):
    log_models(mirrors=[])
    near.push()
    pulled = other.pull()
    models = {a.display_name: a for a in other.store.select(Artifact, "system.Model")}
    assert set(models) == {"line", "net", "dict", "own"}
    assert models["line"].uri == f"{bucket}/nbtools/{LINE}/model.pkl"
    files = exchange.fetch(other.store, pulled.artifacts, tmp_path / "files")
    by_name = {path.name: path for path in files}
    assert pickle.loads(by_name["model.pkl"].read_bytes()).coef_ == pytest.approx([2.0])
    assert by_name["own.bin"].read_bytes() == b"own"
    assert {"net.pt", "dict.pkl"} <= set(by_name)
    remote.calls.clear()
    assert {(s.count, s.left) for s in other.push()} == {(0, "")}
    assert not [call for call in remote.calls if call.startswith(("Create", "Update"))]
    assert (other.pull().changed, near.pull().changed) == (0, 0)
    assert graph(remote.store) == local_graph(near) == local_graph(other)


def test_a_model_that_others_have_named_anew_keeps_its_file_here(remote, near, other):
    log_models(mirrors=[])
    near.push()
    other.pull()
    remote.amend(Artifact, LINE, lambda a: replace(a, description="the best"))
    for side in (near, other):
        before = side.store.get(Artifact, LINE)
        assert (side.pull().changed, side.pull().changed) == (1, 0)
        after = side.store.get(Artifact, LINE)
        assert (after.description, after.schema_title) == ("the best", "system.Model")
        assert (after.uri, dict(after.metadata)) == (before.uri, dict(before.metadata))
        assert {(s.count, s.left) for s in side.push()} == {(0, "")}
    remote.amend(Artifact, LINE, lambda a: replace(a, description="no"))
    near.store.amend(Artifact, LINE, lambda a: replace(a, description="yes"), utc_now())
    (sent,) = near.push()
    assert "artifact 'line' was changed at far since: description;" in sent.left
    assert ["differs here and there: description" in c for c in near.pull().conflicts] == [True]


def test_what_the_sdk_has_logged_is_a_model_here(remote, near, aiplatform, server, tmp_path):
    gcs.Client(project="test").create_bucket("theirs")
    aiplatform.init(experiment="sdk", staging_bucket="gs://theirs")
    with aiplatform.start_run("theirs") as run:
        aiplatform.log_model(line(), "their-line", display_name="line")
        for name, uri, more in (
            ("folder", "gs://theirs/flow", {"frameworkName": "tensorflow",
                                            "modelFile": "saved_model"}),
            ("odd", "gs://theirs/odd/", {"frameworkName": "sklearn", "modelFile": "model.pkl"}),
            ("plain", "gs://theirs/plain.bin", {"frameworkName": "sklearn"}),
        ):  # fmt: skip
            title = "system.Model" if name == "plain" else "google.ExperimentModel"
            made = aiplatform.Artifact.create(
                schema_title=title, uri=uri, resource_id=name, metadata=more
            )
            run._metadata_node.add_artifacts_and_executions([made.resource_name])
    for name in ("flow/saved_model/a/b.pb", "plain.bin"):
        path = server.folder / "theirs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    pulled = near.pull("sdk")
    assert local_graph(near) == graph(remote.store)
    model = near.store.get(Artifact, "their-line")
    assert (model.schema_title, model.path.name) == ("system.Model", "model.pkl")
    assert near.store.get(Artifact, "odd").uri == "gs://theirs/odd/"  # what is odd stays so
    assert near.store.get(Artifact, "plain").uri == "gs://theirs/plain.bin"
    del pulled.artifacts["sdk-theirs"][pulled.artifacts["sdk-theirs"].index("odd")]
    files = list(exchange.fetch(near.store, pulled.artifacts, tmp_path / "files"))
    folder = tmp_path / "files" / "sdk-theirs"
    assert pickle.loads((folder / "model.pkl").read_bytes()).coef_ == pytest.approx([2.0])
    assert (folder / "saved_model/a/b.pb").read_text() == "flow/saved_model/a/b.pb"
    assert len(files) == 3
    again = exchange.fetch(near.store, pulled.artifacts, tmp_path / "files")
    assert folder / "saved_model" not in list(again)
    remote.calls.clear()
    assert {(s.count, s.left) for s in near.push()} == {(0, "")}
