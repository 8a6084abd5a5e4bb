"""What all views have in common: how they are shown, told, asked, and what stays of them."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.resources import files
from typing import TYPE_CHECKING, Any, ClassVar, Final

import anywidget
import traitlets

from nbtools.about import shell
from nbtools.errors import NbtoolsError
from nbtools.experiments import current_run
from nbtools.widgets.question import checked

if TYPE_CHECKING:
    from typing import Self

    from nbtools.figures.markup import Markup

_VIEW: Final = "application/vnd.jupyter.widget-view+json"
#: seconds between two looks, and between two pictures for who saves the notebook meanwhile.
PACE, PICTURE = 0.5, 5.0
#: of its process's time that a view takes at most: what looking costs, it waits so often.
SHARE: Final = 1 / 20

Reply = tuple[Mapping[str, Any], list[bytes]]


def script(*names: str) -> str:
    """A view's module: what all share, and its own files behind that."""
    folder = files("nbtools.widgets")
    return "\n".join((folder / f"{n}.js").read_text(encoding="utf-8") for n in ("shared", *names))


def style() -> str:
    """The style of all views."""
    return (files("nbtools.widgets") / "style.css").read_text(encoding="utf-8")


class View(anywidget.AnyWidget):
    """A live view. What its page sets is not heeded, what it asks is checked."""

    #: question -> the kinds of its arguments; the method of that name with `ask_` answers.
    ASKED: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    #: seconds without a word from a page, which says every 20 that it is there, after which
    #: nobody looks any more: then it is no longer followed, until a page speaks again.
    PATIENCE: ClassVar[float] = math.inf

    told = traitlets.Dict().tag(sync=True)
    curves = traitlets.Dict().tag(sync=True)

    def __init__(self) -> None:
        super().__init__()
        self.on_msg(self._answer)
        self._displays: list[Any] = []
        self._shown, self._pictured = "", 0.0
        self._lock = threading.Lock()
        self._heard = 0.0
        self._at_work = self._followed = False
        self.over = False  #: nothing will change any more

    def open(self) -> None:
        """Nothing yet: where no page will look, none is spoken to, and nothing kept of it."""

    # -- for each view to say ---------------------------------------------------------

    def look(self) -> None:
        """Tell the page what there is now."""

    def picture(self) -> Markup:
        """What stays of it."""
        raise NotImplementedError

    # -- shown ------------------------------------------------------------------------

    def show(self) -> Self:
        """Display it, and below it what stays; the page hides that as long as it is live.

        In a job, where nobody looks, only that.
        """
        from IPython.display import display

        run = current_run()
        live = run is None or not run.of_job
        self.look()
        self._shown = self.picture()
        bundles = [_html(self._shown)]
        if live:
            self._open()
            page = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
            bundles.insert(0, {_VIEW: page, "text/plain": ""})
        if shell() is not None:
            self._displays = [display(b, raw=True, display_id=True) for b in bundles]
        return self

    def _open(self) -> None:
        super().open()
        # ipykernel 7.4 has a page's messages wait for whoever wrote last to it, which is a cell
        # at work; the page itself names a subshell, in which they are heard at once. Others
        # know nothing of this, and it does nothing.
        if self.comm is not None:
            self.comm._reply_subshell_for = lambda _data, subshell: subshell

    def _ipython_display_(self) -> None:
        """Shown already: as the last value of a cell it is not shown a second time."""

    def follow(self) -> None:
        """Look again and again, in a thread, and when a cell has ended, until it is over."""
        self._heard, self._followed = time.monotonic(), True
        notebook = shell()
        if notebook is not None:
            self._at_work = True  # in the cell that shows it
            notebook.events.register("pre_run_cell", self._before_cell)
            notebook.events.register("post_run_cell", self._after_cell)
        threading.Thread(target=self._work, name="nbtools-view", daemon=True).start()

    def close(self) -> None:
        """It is not shown any more, and nothing is looked at for it."""
        self.over = True
        super().close()

    def refresh(self, *, still: bool = True) -> None:
        """Look once more, and bring what stays up to date if that has changed."""
        with self._lock:
            self.look()
            if "problem" in self.told:
                self.told = {k: v for k, v in self.told.items() if k != "problem"}
            if still:
                self._pictured = time.monotonic()
                if (now := self.picture()) != self._shown and self._displays:
                    self._shown = now
                    self._displays[-1].update(_html(now), raw=True)

    def settle(self) -> None:
        """It is over: what stays takes the place of what was live."""
        self.over = True
        self.refresh()
        if len(self._displays) > 1:
            self._displays[0].update(_html(self._shown), raw=True)
            self._displays[1].update(_html(""), raw=True)
            self._displays = self._displays[:1]

    def set_state(self, sync_data: Mapping[str, Any]) -> None:
        """What a page wants to set is not heeded: it may ask."""

    def _before_cell(self, *_: object) -> None:
        self._at_work = True

    def _after_cell(self, *_: object) -> None:
        # Where questions wait for the end of a cell, a page was not heard meanwhile.
        self._heard, self._at_work = time.monotonic(), False
        if not self.over:
            self.refresh()

    @property
    def _alone(self) -> bool:
        """Whether no page shows it: it was closed, loaded again elsewhere, or its cell redone."""
        return not self._at_work and time.monotonic() - self._heard > self.PATIENCE

    def _work(self) -> None:
        self._look_on()
        notebook = shell()
        if notebook is not None:
            with suppress(ValueError):  # another thread of the same view has done so
                notebook.events.unregister("pre_run_cell", self._before_cell)
                notebook.events.unregister("post_run_cell", self._after_cell)
        self._followed = False

    def _look_on(self) -> None:
        pause = PACE
        while not (self.over or self._alone):
            time.sleep(pause)
            begin = time.thread_time()
            try:
                if not self.over:
                    self.refresh(still=time.monotonic() - self._pictured > PICTURE)
            except (
                NbtoolsError
            ) as error:  # a full disk, or a store moved away: said, and tried again
                self.told = {**self.told, "problem": str(error)}
            pause = max(PACE, (time.thread_time() - begin) / SHARE)

    # -- asked ------------------------------------------------------------------------

    def _answer(self, _view: object, content: object, _buffers: object) -> None:
        """Answer a question, also with what is wrong with it."""
        found = content if isinstance(content, dict) else {}
        self._heard = time.monotonic()
        if math.isfinite(self.PATIENCE) and not (self._followed or self.over):
            self.follow()  # somebody looks again
        number, question = found.get("id"), found.get("ask")
        if not isinstance(number, str) or len(number) > 40:
            return  # no page of ours: there is nobody to answer
        buffers: list[bytes] = []
        try:
            wanted = self.ASKED.get(question) if isinstance(question, str) else None
            arguments = checked(found.get("with"), {"?": ""} if wanted is None else wanted)
            method: Callable[..., Reply | None] = getattr(self, f"ask_{question}")
            reply, buffers = method(**arguments) or ({}, [])
        except NbtoolsError as error:
            reply = {"error": str(error)}
        except Exception as error:  # whatever it is, it is shown where somebody waits for it
            self.send({"re": number, "error": f"{type(error).__name__}: {error}"})
            raise
        self.send({"re": number, **reply}, buffers)


def _html(markup: str) -> dict[str, Any]:
    return {"text/html": str(markup), "text/plain": ""}
