"""The server extension: a page of jobs as they run, at `nbtools/jobs`, for who is logged in."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.utils import url_path_join
from tornado.web import HTTPError, authenticated

from nbtools.errors import NbtoolsError, NotFound
from nbtools.jobs import Jobs
from nbtools.monitor import Monitor
from nbtools.nouns import utc_now
from nbtools.settings import Settings
from nbtools.store import Store

PAGE = Path(__file__).parent / "page"


class Watch:
    """Jobs of the server's folder, looked at in a thread of their own."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="nbtools-watch")
        self._monitor: Monitor | None = None
        self._jobs: Jobs | None = None

    async def look(self) -> list[dict[str, Any]]:
        """The jobs at work, and those that have ended lately."""
        found: list[dict[str, Any]] = await self._do(
            lambda: [sight.record() for sight in self._opened()[1].look()]
        )
        return found

    async def cancel(self, name: str) -> None:
        """Ask a job to stop. Raises NotFound, StateError."""
        await self._do(lambda: self._opened()[0].cancel(name))

    def _opened(self) -> tuple[Jobs, Monitor]:
        if self._jobs is None or self._monitor is None:
            settings = Settings.load(self._root)
            self._jobs = Jobs(Store(settings.store), settings, utc_now)
            self._monitor = Monitor(self._jobs)
        return self._jobs, self._monitor

    async def _do(self, work: Any) -> Any:
        return await asyncio.wrap_future(self._thread.submit(work))


class Page(JupyterHandler):
    """The page itself, and its script: nothing in them is a job's."""

    @property
    def content_security_policy(self) -> str:
        """Its own script and nothing else; shown in this server's pages alone."""
        return "default-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'"

    @authenticated
    def get(self, name: str = "") -> None:
        """Send one of the two files."""
        kind = {"": ("jobs.html", "text/html"), "jobs.js": ("jobs.js", "text/javascript")}
        file, mime = kind[name]
        self.set_header("Content-Type", f"{mime}; charset=utf-8")
        self.finish((PAGE / file).read_text(encoding="utf-8"))


class State(APIHandler):
    """How the jobs stand, as JSON."""

    @authenticated
    async def get(self) -> None:
        """All at work, and those that have ended lately."""
        self.finish(json.dumps({"jobs": await said(self.settings["nbtools_watch"].look())}))


class Cancel(APIHandler):
    """Asks a job to stop; the server checks that the page asks, not another site's."""

    @authenticated
    async def post(self, name: str) -> None:
        """Answer with nothing when it was asked."""
        await said(self.settings["nbtools_watch"].cancel(name))
        self.set_status(204)
        self.finish()


async def said(asked: Any) -> Any:
    """What comes of it; our sentence is the error's."""
    try:
        return await asked
    except NbtoolsError as error:
        raise HTTPError(404 if isinstance(error, NotFound) else 409, str(error)) from None


def _load_jupyter_server_extension(server: Any) -> None:
    base = server.web_app.settings["base_url"]
    server.web_app.settings["nbtools_watch"] = Watch(Path(server.root_dir))
    server.web_app.add_handlers(
        ".*$",
        [
            (url_path_join(base, "nbtools/jobs"), Page),
            (url_path_join(base, r"nbtools/(jobs\.js)"), Page),
            (url_path_join(base, "nbtools/api/jobs"), State),
            (url_path_join(base, r"nbtools/api/jobs/([a-z0-9-]+)/cancel"), Cancel),
        ],
    )
