"""The magics of `%load_ext nbtools`: the command's words, in a cell."""

from __future__ import annotations

import atexit
import shlex
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nbtools.errors import NbtoolsError, RequestError
from nbtools.nouns import utc_now
from nbtools.settings import Settings
from nbtools.store import Store

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell
    from pandas import DataFrame

    from nbtools.jobs import SubmittedJob

REFRESH = 5.0  #: seconds between two looks at what runs have logged
HEIGHT = 800  #: pixels of TensorBoard in a notebook


def nbrun(line: str) -> SubmittedJob:
    """%nbrun NOTEBOOK [name=value ...] [--background]

    Execute a notebook with parameters, as `nbtools run` does, and give its job; with
    --background begin it and give its job at once.
    """
    from nbtools.notebook import Notebook
    from nbtools.submission import run, submit

    words = shlex.split(line)
    background = "--background" in words
    words = [word for word in words if word != "--background"]
    wrong = [word for word in words[1:] if "=" not in word]
    if not words or "=" in words[0] or wrong:
        raise RequestError("usage: %nbrun NOTEBOOK [name=value ...] [--background]")
    known = Notebook.read(words[0])
    pairs = (word.partition("=") for word in words[1:])
    params = {name: known.read_value(name, text) for name, _, text in pairs}
    return (submit if background else run)(words[0], params)


def nbruns(line: str) -> DataFrame:
    """%nbruns [EXPERIMENT]

    The runs of an experiment, or all, newest first, as a DataFrame.
    """
    from nbtools.experiments import get_experiment_df

    words = shlex.split(line)
    if len(words) > 1:
        raise RequestError("usage: %nbruns [EXPERIMENT]")
    return get_experiment_df(*words)


def nbgit(line: str) -> None:
    """%nbgit [NOTEBOOK]

    How this notebook, or another, stands in git, and what it would be committed as.
    """
    from nbtools.lab.gitstate import look

    words = shlex.split(line)
    named = words[0] if words else Settings.load().notebook
    if len(words) > 1 or not named:
        raise RequestError("usage: %nbgit NOTEBOOK; only Jupyter's server says which one this is")
    for sentence in look(Path(named)):
        print(sentence)  # noqa: T201 - a cell's output is what it is for


class Boards:
    """TensorBoard in this session, one for each that was asked for."""

    def __init__(self) -> None:
        self._urls: dict[str, str] = {}

    def nbtb(self, line: str) -> Any:
        """%nbtb [RUN ...] [--experiment NAME]

        TensorBoard below the cell, on these runs, an experiment's, or all; what they log
        meanwhile appears. Behind a proxy, as on Workbench, the browser is sent through it.
        """
        from IPython.display import IFrame

        key = " ".join(shlex.split(line))
        if key not in self._urls:
            self._urls[key] = self._begin(shlex.split(line))
        return IFrame(self._urls[key], width="100%", height=HEIGHT)

    def _begin(self, words: list[str]) -> str:
        from nbtools.board import Board, none_shown, serve, stop

        experiment, names = _experiment(words)
        settings = Settings.load()
        folder = tempfile.TemporaryDirectory(prefix="nbtools-tb-")
        board = Board(Store(settings.store), Path(folder.name), experiment, names)
        if not board.refresh(utc_now()):
            raise none_shown(experiment)
        url = serve(Path(folder.name), None, "localhost")
        atexit.register(stop)

        def follow() -> None:
            while folder:  # it lasts as long as whoever looks into it
                time.sleep(REFRESH)
                with suppress(NbtoolsError):  # the store is busy: the next look finds it
                    board.refresh(utc_now())

        threading.Thread(target=follow, name="nbtools-tb", daemon=True).start()
        return shown_at(url, settings.tensorboard_proxy)


def shown_at(url: str, proxy: str) -> str:
    """Where a browser finds TensorBoard; `proxy` has %PORT% in it, or is empty."""
    return proxy.replace("%PORT%", str(urlsplit(url).port)) or url


def _experiment(words: list[str]) -> tuple[str, list[str]]:
    if "--experiment" not in words:
        return "", words
    at = words.index("--experiment")
    if at + 1 == len(words):
        raise RequestError("usage: %nbtb [RUN ...] [--experiment NAME]")
    return words[at + 1], words[:at] + words[at + 2 :]


def register(shell: InteractiveShell) -> None:
    """Make the magics known to a session."""
    known: Any = shell.register_magic_function
    for magic in (nbrun, nbruns, nbgit, Boards().nbtb):
        known(_said(magic), magic_name=magic.__name__)


def _said(magic: Callable[[str], Any]) -> Callable[[str], Any]:
    """The same; what was asked for wrongly is said in one sentence, without a traceback."""
    from IPython.core.error import UsageError

    def call(line: str) -> Any:
        try:
            return magic(line)
        except RequestError as error:
            raise UsageError(str(error)) from None

    call.__doc__ = magic.__doc__
    return call
