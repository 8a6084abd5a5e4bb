"""Secrets by name: what they are called, where they come from, what they are printed as."""

import json
import os

import pytest

from nbtools.errors import NotFound, RequestError
from nbtools.keyring import Keyring, find, only_here
from nbtools.secrets import Lookups, Secrets, holes, named
from nbtools.settings import Settings


@pytest.fixture
def settings(tmp_path):
    return Settings(store=tmp_path / "store", config_home=tmp_path / "config")


def test_secrets_are_never_seen():
    secrets = Secrets({"TOKEN": "value-of-it"})
    assert "value" not in f"{secrets} {secrets!r} {[secrets]}"
    assert dict(secrets) == {"TOKEN": "value-of-it"}
    assert secrets.environment() == {"TOKEN": "value-of-it", "NBTOOLS_SECRETS": "TOKEN"}
    assert Secrets().environment() == {}


def test_what_of_an_environment_is_secret():
    env = {"TOKEN": "other", "AGAIN": "long-value", "URL": "http://long-value@host",
           "PIN": "1234", "PHONE": "x1234", "HOME": "/home/me"}  # fmt: skip
    among = Secrets({"TOKEN": "long-value", "CODE": "1234"}).among(env)
    assert among.keys() == {"TOKEN", "AGAIN", "URL", "PIN"}
    assert Secrets().among(env) == {}


@pytest.mark.parametrize("name", ["", "A-B", "1A", "A B", "NBTOOLS_STORE", "é", "A\n"])
def test_a_name_that_is_none(name):
    with pytest.raises(RequestError, match="is no name for a secret"):
        named([name])


def test_a_value_is_not_taken_from_a_command_line_and_not_repeated():
    with pytest.raises(RequestError, match="secret KEY: give its name alone") as refused:
        named(["KEY=the-value"])
    assert "the-value" not in str(refused.value)
    assert named(["B", "A", "B"]) == ("B", "A")


def test_the_environment_goes_before_what_is_kept(settings, monkeypatch):
    Keyring(settings).set("ONE", "kept-one")
    Keyring(settings).set("TWO", "kept-two")
    monkeypatch.setenv("TWO", "two-of-the-environment")
    assert dict(find(["ONE", "TWO"], settings)) == {
        "ONE": "kept-one", "TWO": "two-of-the-environment"
    }  # fmt: skip
    monkeypatch.setenv("THREE", "three")
    assert only_here(["ONE", "TWO", "THREE", "FOUR"], settings) == ["THREE"]


@pytest.mark.parametrize(
    ("value", "why"), [(None, "no secret KEY: "), ("abc", "fewer than 4"), ("   a  ", "fewer than")]
)
def test_one_that_has_no_value_that_can_be_kept_secret(settings, monkeypatch, value, why):
    if value is not None:
        monkeypatch.setenv("KEY", value)
    with pytest.raises(RequestError, match=why):
        find(["KEY"], settings)


def test_what_is_kept_is_this_users_alone(settings):
    keyring = Keyring(settings)
    keyring.path.parent.mkdir(parents=True)
    keyring.path.with_suffix(".part").touch(0o666)  # left by one that died, or put there
    before = os.umask(0)
    try:
        keyring.set("KEY", 'a "value"\nof lines\n')
    finally:
        os.umask(before)
    assert keyring.path.stat().st_mode & 0o777 == 0o600
    assert keyring.read() == {"KEY": 'a "value"\nof lines\n'}
    with pytest.raises(RequestError, match="holds a NUL"):
        keyring.set("KEY", "abc\0def")
    with pytest.raises(NotFound, match="no secret 'OTHER' is kept"):
        keyring.delete("OTHER")
    assert keyring.read().keys() == {"KEY"}
    keyring.path.chmod(0o604)
    with pytest.raises(RequestError, match="others can read .*chmod 600"):
        keyring.read()


@pytest.mark.parametrize("text", ["{", "[]", '{"KEY": 5}', '"KEY"'])
def test_a_file_that_is_damaged_is_not_written_over(settings, text):
    keyring = Keyring(settings)
    keyring.set("KEY", "value")
    keyring.path.write_text(text)
    with pytest.raises(RequestError, match="is damaged"):
        keyring.set("OTHER", "value")
    assert keyring.path.read_text() == text


def test_many_at_a_time_lose_none(settings):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: Keyring(settings).set(f"KEY{n}", f"value-{n}"), range(40)))
    assert len(Keyring(settings).read()) == 40


def test_holes_are_found_at_any_depth():
    value = {"a": ["{{ secret.A }}", {"b": "x {{secret.B}} {{ secret.A }}"}], "c": 5}
    assert list(holes(value)) == ["A", "B", "A"]
    assert list(holes("{{ scheduled_time }} { secret.A }")) == []
    with pytest.raises(RequestError, match="'a-b' is no name"):
        named(holes("{{ secret.a-b }}"))


@pytest.mark.parametrize(
    "value",
    ["{{ secret.A }}", "Bearer {{ secret.A }}", "{{secret.A}}{{ secret.B }}",
     'it\'s "{{secret.A}}"', ["{{ secret.A }}", "x"], {"k": ["a {{ secret.B }} b"]},
     "$A \\ {{ secret.A }}\n"],
)  # fmt: skip
def test_python_looks_up_what_a_parameter_asks_for(value, monkeypatch):
    from papermill.translators import PythonTranslator

    monkeypatch.setenv("A", "a\"'\\")
    monkeypatch.setenv("B", "b b")
    lookups = Lookups("python")
    source = lookups.source(PythonTranslator.codify({"x": lookups.tokens(value)}))
    names: dict[str, object] = {}
    exec(source, names)
    text = json.dumps(value)
    for hole, found in (("A", json.dumps("a\"'\\")[1:-1]), ("B", "b b")):
        text = text.replace(f"{{{{ secret.{hole} }}}}", found).replace(
            f"{{{{secret.{hole}}}}}", found
        )
    assert names["x"] == json.loads(text)
    assert 'environ["' in source


def test_another_language_says_what_to_do_instead():
    with pytest.raises(RequestError, match="cannot be looked up by a parameter in r: give "):
        Lookups("r").tokens(["{{ secret.A }}"])
    assert Lookups("r").tokens(["a"]) == ["a"]
