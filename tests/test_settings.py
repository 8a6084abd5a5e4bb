from pathlib import Path

import pytest

from nbtools.errors import RequestError
from nbtools.settings import Settings


def pyproject(folder, text):
    (folder / "pyproject.toml").write_text(text)


def load(folder, **environ):
    return Settings.load(folder, {"HOME": str(folder / "home"), **environ})


def test_the_environment_names_the_store(tmp_path):
    settings = load(tmp_path, NBTOOLS_STORE=str(tmp_path / "s"))
    assert settings.store == tmp_path / "s"
    assert "NBTOOLS_STORE" in settings.store_reason


def test_the_real_environment_is_read_by_default(store_folder):
    assert Settings.load().store == store_folder


def test_the_environment_wins_over_everything(tmp_path):
    pyproject(tmp_path, "[tool.nbtools]\nstore = 'p'\n")
    (tmp_path / ".nbtools").mkdir()
    assert load(tmp_path, NBTOOLS_STORE="/s").store == Path("/s")


def test_a_tilde_in_the_environment_is_the_home(tmp_path):
    assert load(tmp_path, NBTOOLS_STORE="~/s").store == Path.home() / "s"


def test_an_empty_environment_variable_counts_as_none(tmp_path):
    (tmp_path / ".nbtools").mkdir()
    assert load(tmp_path, NBTOOLS_STORE="").store == tmp_path / ".nbtools"


def test_the_folder_is_found_upwards(tmp_path):
    (tmp_path / ".nbtools").mkdir()
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    settings = load(deep)
    assert settings.store == tmp_path / ".nbtools"
    assert ".nbtools" in settings.store_reason


def test_the_nearest_folder_wins(tmp_path):
    near = tmp_path / "a"
    for folder in (tmp_path, near):
        (folder / ".nbtools").mkdir(parents=True)
    assert load(near).store == near / ".nbtools"


def test_otherwise_it_is_the_users_data_folder(tmp_path):
    settings = load(tmp_path, XDG_DATA_HOME=str(tmp_path / "data"))
    assert settings.store == tmp_path / "data" / "nbtools"
    assert "user's data folder" in settings.store_reason


def test_the_data_folder_lies_in_the_home(tmp_path):
    assert load(tmp_path).store.is_relative_to(tmp_path / "home")


def test_pyproject_values(tmp_path):
    pyproject(
        tmp_path,
        "[tool.nbtools]\nstore = 'results'\nexperiment = 'mnist'\nkernel = 'k'\n"
        "executor = 'local'\ntimeout = 60\ncell_timeout = 1.5\n",
    )
    deep = tmp_path / "a"
    deep.mkdir()
    settings = load(deep)
    assert settings.store == tmp_path / "results"
    assert "pyproject.toml" in settings.store_reason
    assert (settings.experiment, settings.kernel, settings.executor) == ("mnist", "k", "local")
    assert (settings.timeout, settings.cell_timeout) == (60, 1.5)


def test_pyproject_store_wins_over_the_folder(tmp_path):
    pyproject(tmp_path, "[tool.nbtools]\nstore = 'results'\n")
    (tmp_path / ".nbtools").mkdir()
    assert load(tmp_path).store == tmp_path / "results"


def test_pyproject_without_our_table_says_nothing(tmp_path):
    pyproject(tmp_path, "[tool.other]\nstore = 1\n")
    settings = load(tmp_path)
    assert (settings.experiment, settings.executor, settings.timeout) == ("", "local", 0)


@pytest.mark.parametrize(
    "text",
    [
        "# [tool.nbtools] may come here\n",
        "[project]\ndependencies = ['nbtools']  # see [tool.nbtools]\n",
        "[project]\ndescription = '[tool.nbtools'\n",
        "tool = 3 # nbtools\n",
        "[tool.nbtools]\n",
        "",
    ],
)
def test_a_pyproject_that_only_mentions_us_says_nothing(tmp_path, text):
    pyproject(tmp_path, text)
    assert load(tmp_path).experiment == ""


@pytest.mark.parametrize(
    "text",
    [
        "[tool.nbtools]\nexperiment = 'e'\n",
        "  [ tool . 'nbtools' ]  # ours\r\nexperiment = 'e'\r\n",
        "[tool]\nnbtools = {experiment = 'e'}\n",
        "[tool]\nnbtools.experiment = 'e'\n",
        "tool.nbtools.experiment = 'e'\n",
        "tool = {nbtools = {experiment = 'e'}}\n",
    ],
)
def test_our_table_is_found_however_it_is_written(tmp_path, text):
    pyproject(tmp_path, text)
    assert load(tmp_path).experiment == "e"


def test_our_table_must_be_a_table(tmp_path):
    pyproject(tmp_path, "tool.nbtools = 3\n")
    with pytest.raises(RequestError, match=r"must be a table, \[tool.nbtools\]"):
        load(tmp_path)


def test_a_pyproject_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "pyproject.toml").mkdir()
    with pytest.raises(RequestError, match="cannot read .*pyproject.toml: Is a directory"):
        load(tmp_path)


def test_a_folder_that_is_gone_is_told(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(RequestError, match="the current folder is gone"):
        Settings.load()


def test_a_user_that_there_is_not_is_told(tmp_path):
    with pytest.raises(RequestError, match="no such user"):
        load(tmp_path, NBTOOLS_STORE="~nobody-of-that-name/store")


def test_a_table_of_our_own_inside_is_left_alone(tmp_path):
    pyproject(tmp_path, "[tool.nbtools]\nexperiment = 'e'\n[tool.nbtools.clean]\nkeep = ['x']\n")
    assert load(tmp_path).experiment == "e"


def test_an_unknown_key_is_refused_with_what_there_is(tmp_path):
    pyproject(tmp_path, "[tool.nbtools]\nexperimnt = 'e'\n")
    with pytest.raises(RequestError, match=r"no setting 'experimnt'; there are store, experiment"):
        load(tmp_path)


def test_the_reason_is_no_setting(tmp_path):
    pyproject(tmp_path, "[tool.nbtools]\nstore_reason = 'e'\n")
    with pytest.raises(RequestError, match="no setting 'store_reason'"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("experiment = 3", "string"),
        ("store = true", "string"),
        ("kernel = ['python3']", "string"),
        ("timeout = '60'", "number"),
        ("cell_timeout = true", "number"),
    ],
)
def test_a_wrong_type_is_refused(tmp_path, line, wanted):
    pyproject(tmp_path, f"[tool.nbtools]\n{line}\n")
    with pytest.raises(RequestError, match=f"must be a {wanted}"):
        load(tmp_path)


def test_broken_toml_is_refused(tmp_path):
    pyproject(tmp_path, "[tool.nbtools]\nexperiment = \n")
    with pytest.raises(RequestError, match="mend the file"):
        load(tmp_path)


def test_a_project_of_googles_is_the_files_then_the_shells_then_the_emulators(tmp_path):
    emulator = {"NBTOOLS_VERTEX_PROJECT": "local", "NBTOOLS_VERTEX": "http://127.0.0.1:9"}
    assert load(tmp_path).project == ""
    assert load(tmp_path, **emulator).project == "local"
    assert load(tmp_path, **emulator).vertex == "http://127.0.0.1:9"
    assert load(tmp_path, **emulator, GOOGLE_CLOUD_PROJECT="shell").project == "shell"
    pyproject(tmp_path, "[tool.nbtools]\nproject = 'file'\nzone = 'us-central1-a'\n")
    found = load(tmp_path, **emulator, GOOGLE_CLOUD_PROJECT="shell")
    assert (found.project, found.zone) == ("file", "us-central1-a")


def test_where_an_emulator_is_stands_in_no_file(tmp_path):
    pyproject(tmp_path, "[tool.nbtools]\nvertex = 'http://example.com'\n")
    with pytest.raises(RequestError, match="no setting 'vertex'"):
        load(tmp_path)
