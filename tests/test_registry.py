import subprocess
import sys

import pytest

from nbtools import registry
from nbtools.errors import MissingDependency, RequestError
from nbtools.executors.local import LocalExecutor


def test_an_executor_by_its_name():
    assert isinstance(registry.executor("local"), LocalExecutor)


def test_every_executor_can_be_made():
    for name in registry.EXECUTORS:
        made = registry.executor(name)
        assert all(callable(getattr(made, verb)) for verb in ("check", "start", "poll", "stop"))


def test_an_unknown_executor_is_refused_with_what_there_is():
    with pytest.raises(RequestError, match="no executor 'moon': there is local"):
        registry.executor("moon")


def test_need_imports():
    assert registry.need("json.decoder").__name__ == "json.decoder"


def test_need_says_the_pip_line():
    with pytest.raises(MissingDependency, match="pip install no_such_package_of_ours"):
        registry.need("no_such_package_of_ours")


def test_need_does_not_hide_what_a_package_itself_misses(tmp_path, monkeypatch):
    (tmp_path / "needy_package.py").write_text("import no_such_package_of_ours\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package_of_ours"):
        registry.need("needy_package")


def test_own_process_leaves_nbformat_usable():
    code = (
        "from nbtools.registry import own_process; own_process()\n"
        "import nbformat; nbformat.validate(nbformat.v4.new_notebook())"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
