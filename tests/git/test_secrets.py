import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from nbtools.cli.git_secrets import secrets
from nbtools.errors import RequestError
from nbtools.git.baseline import Baseline
from nbtools.git.document import Document
from nbtools.git.secrets import main, scan, texts
from tests.git.scratch import START, Scratch, cell, cells, notebook

KEY = "AKIA" + "IOSFODNN7EXAMPLZ"
PASSWORD = "hunter2" + "-is-bad"


def kinds(data):
    return [(s.kind, s.part, s.part_line) for s in scan(data, "n")]


def output(**data):
    return {"output_type": "display_data", "metadata": {}, "data": data}


def test_texts_are_decoded_and_pictures_left_out():
    part = cell('x = "a\\tb"\ny', "a", outputs=["\x1b[31mred\x1b[0m\n10%\r100%\n"])
    part["outputs"] += [
        output(**{"image/png": KEY, "image/svg+xml": KEY, "application/json": {"k": ["v"]}}),
        output(**{"text/html": ["<img src='data:image/png;base64,", "AAAA", "'>"]}),
        {"output_type": "error", "ename": "E", "evalue": "bad", "traceback": ["t1", "t2"]},
    ]
    found = [(t.part, t.text) for t in texts(Document.parse(notebook(part), "n"))]
    assert found[:2] == [("source", 'x = "a\\tb"'), ("source", "y")]
    said = [text for part, text in found if part == "output"]
    assert said[:2] == ["red", "100%"]
    assert '"v"' in said
    assert "<img src=''>" in said
    assert "bad" in said
    assert not any(KEY in text for text in said)


def test_secrets_are_found_in_source_output_and_parameters():
    pytest.importorskip("detect_secrets")
    data = notebook(
        cell(
            f'aws = "{KEY}"\nok = 1\npassword = "{PASSWORD}"', "a",
            outputs=[f"pw\npassword: {PASSWORD}"],
        ),
        cell("-----BEGIN RSA PRIVATE KEY-----", "b", "markdown"),
        papermill={"parameters": {"password": PASSWORD}},
    )  # fmt: skip
    assert kinds(data) == [
        ("Secret Keyword", "metadata", 1),
        ("Secret Keyword", "output", 2),
        ("AWS Access Key", "source", 1),
        ("Secret Keyword", "source", 3),
        ("Private Key", "source", 1),
    ]
    found = scan(data, "n")
    assert [s.cell for s in found] == [0, 1, 1, 1, 2]
    assert data.split(b"\n")[found[-1].line - 1].strip() == b"{"
    assert not any(PASSWORD in str(s) or KEY in str(s) for s in found)


def test_what_is_no_secret():
    pytest.importorskip("detect_secrets")
    source = (
        f'api_key = os.environ["API_KEY"]\npassword = getpass()\n'
        f'password = "{PASSWORD}"  # pragma: allowlist secret'
    )
    text = "tokens: 12345\ntokenizer: Bert(name='x')\n8.8.8.8\n" + "0f" * 32
    assert kinds(notebook(cell(source, "a", outputs=[text]))) == []
    assert scan(b" \n", "n") == []


@pytest.fixture
def repo(tmp_path, monkeypatch):
    pytest.importorskip("detect_secrets")
    repo = Scratch(tmp_path / "repo")
    repo.commit("n.ipynb", notebook(cell(f'password = "{PASSWORD}"', "a")))
    monkeypatch.chdir(repo.folder)
    return repo


def run(*arguments):
    return CliRunner().invoke(secrets, arguments)


def test_command_baseline_and_hook(repo, capsys):
    done = run()
    assert done.exit_code == 1
    assert done.output.startswith(
        "n.ipynb:3: Secret Keyword in cell 1, source line 1: hunt…\n1 secret"
    )
    assert main(["n.ipynb"]) == 1
    assert run("--update").exit_code == 0
    text = (repo.folder / Baseline.NAME).read_text()
    assert PASSWORD not in text
    assert run().output == "no secrets in 1 notebook\n"
    assert main(["n.ipynb"]) == 0
    # Another line before it, another cell before it: still the same secret of the same cell.
    repo.write("n.ipynb", notebook(cell("", "z"), cell(f'x = 1\npassword = "{PASSWORD}"', "a")))
    assert run().exit_code == 0
    for parts in (
        [cell(f'password = "{PASSWORD}!"', "a")],
        [cell(f'password = "{PASSWORD}"', "b")],
    ):
        repo.write("n.ipynb", notebook(*parts))
        assert run().exit_code == 1
    assert run("--json", "--baseline", "other.json").output.count('"kind"') == 1
    repo.write("n.ipynb", notebook(cell("x", "a")))
    run("--update")
    assert json.loads((repo.folder / Baseline.NAME).read_text())["notebooks"] == {}


def test_staged_is_what_is_staged(repo):
    repo.write("m.ipynb", notebook(cell(f'key = "{KEY}"', "a")))
    repo.git("add", "m.ipynb")
    repo.write("m.ipynb", notebook(cell("clean", "a")))
    assert "AWS Access Key" in run("--staged").output
    assert "n.ipynb" not in run("--staged").output
    assert "AWS" not in run(".").output


def test_what_cannot_be_read(repo, capsys):
    repo.write("b.ipynb", b'{\n"cells": [')
    assert run("b.ipynb").exit_code == 2
    assert main(["b.ipynb", "n.ipynb"]) == 2
    assert "b.ipynb:2:11: broken JSON" in capsys.readouterr().err
    with pytest.raises(RequestError, match="no such file"):
        CliRunner().invoke(secrets, ["nope"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("text", "why"), [("{\n x", ":2: broken JSON"), ("[]", "not a baseline"), ("{}", "not a base")]
)
def test_a_broken_baseline_is_named(tmp_path, text, why):
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(RequestError, match=why):
        Baseline.read(tmp_path / "b.json")


def test_without_the_library_the_hook_says_what_to_install(tmp_path):
    (tmp_path / "n.ipynb").write_bytes(notebook(*cells(a="x")))
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(START), "hook", "secrets", str(tmp_path / "n.ipynb")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "detect-secrets" in done.stderr
    assert "Traceback" not in done.stderr
