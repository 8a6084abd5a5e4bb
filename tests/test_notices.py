"""Failures and recoveries are told: by real servers and a real command."""

import json
import re
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from aiosmtpd.controller import Controller

from nbtools.dispatch import Dispatcher
from nbtools.jobs import Jobs
from nbtools.notices import ATTEMPTS, send_all, shown
from nbtools.schedule import Schedule, Tick, TickState
from nbtools.service import status
from nbtools.settings import Settings
from nbtools.store import Store

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Hook(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((self.headers["Content-Type"], json.loads(body)))
        self.server.keys.append(self.headers["Idempotency-Key"])
        self.server.go_on.wait(60)
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def hook():
    server = HTTPServer(("127.0.0.1", 0), Hook)
    server.heard, server.answers, server.keys = [], [], []
    server.go_on = threading.Event()  #: it answers
    server.go_on.set()
    server.url = f"http://127.0.0.1:{server.server_port}/services/T0/B0/secret"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.go_on.set()
    server.shutdown()
    server.server_close()


class Letters:
    def __init__(self):
        self.letters = []

    async def handle_DATA(self, server, session, envelope):
        self.letters.append(envelope)
        return "250 taken"


class AnyPort(Controller):
    """On a port that is free, and stays its own."""

    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture
def mailbox():
    box = Letters()
    controller = AnyPort(box, hostname="127.0.0.1", port=0)
    controller.start()
    box.url = f"smtp://127.0.0.1:{controller.port}"
    yield box
    controller.stop()


class Told:
    """A schedule whose ticks end as they are told to."""

    def __init__(self, folder, *targets, **rules):
        self.jobs = Jobs(Store(folder), Settings(store=folder), lambda: NOON)
        self.store, self.timetable = self.jobs.store, self.jobs.store.timetable
        self.timetable.put(
            Schedule(name="nightly", notebook="/n.ipynb", cron="TZ=UTC * * * * *", notify=targets,
                     **rules)
        )  # fmt: skip

    def ends(self, minute, state, reason=""):
        tick = Tick(schedule="nightly", time=NOON + minute * MINUTE, state=TickState.STARTED)
        self.timetable.add(tick, NOON)
        Dispatcher(self.jobs, 0).end(tick, state, reason, NOON)

    def send(self, now=NOON, **settings):
        return send_all(self.store, Settings(store=self.store.folder, **settings), now)


def test_a_webhook_hears_of_failure_and_recovery_and_nothing_else(tmp_path, hook):
    told = Told(tmp_path, hook.url)
    told.ends(0, TickState.SUCCEEDED)
    told.ends(1, TickState.FAILED, "ZeroDivisionError in cell 2")
    told.ends(2, TickState.SUCCEEDED)
    told.ends(3, TickState.SUCCEEDED)
    told.ends(4, TickState.CANCELLED)
    assert told.send() == 2
    assert told.send() == 0
    (kind, failed), (_, recovered) = hook.heard
    assert kind == "application/json"
    assert failed["text"] == (
        "nbtools: schedule nightly of 2026-07-01 12:01 UTC has FAILED: ZeroDivisionError in cell 2"
    )
    assert "has RECOVERED" in recovered["text"]
    assert failed["nbtools"]["kind"] == "FAILED"


def test_an_attempt_that_is_followed_by_another_is_not_told(tmp_path, hook):
    told = Told(tmp_path, hook.url, retries=1)
    told.ends(0, TickState.FAILED, "for now")
    assert told.send() == 0


def test_a_notice_that_was_not_taken_is_tried_again_and_seen_until_then(tmp_path, hook):
    told = Told(tmp_path, hook.url)
    hook.answers += [500, 503]
    told.ends(0, TickState.FAILED)
    assert told.send() == 0
    seen = status(told.jobs).waiting_notices
    assert len(seen) == 1
    assert "answers 500" in seen[0]
    assert "secret" not in seen[0]
    assert told.send(NOON + timedelta(seconds=29)) == 0
    assert len(hook.heard) == 1  # its time has not come
    assert told.send(NOON + timedelta(seconds=31)) == 0
    assert told.send(NOON + timedelta(seconds=95)) == 1
    assert len(hook.heard) == 3
    assert status(told.jobs).waiting_notices == ()


def test_who_dies_over_a_notice_leaves_it_to_another_who_says_that_it_is_the_same(tmp_path, hook):
    told = Told(tmp_path, hook.url)
    told.ends(0, TickState.FAILED)
    told.ends(1, TickState.FAILED)
    hook.go_on.clear()  # it has heard, and does not answer
    send = (
        "import sys\nfrom pathlib import Path\nfrom datetime import datetime\n"
        "from nbtools.notices import send_all\nfrom nbtools.settings import Settings\n"
        "from nbtools.store import Store\nfolder = Path(sys.argv[1])\n"
        "send_all(Store(folder), Settings(store=folder), datetime.fromisoformat(sys.argv[2]))"
    )
    dying = subprocess.Popen([sys.executable, "-c", send, tmp_path, NOON.isoformat()])
    while not hook.heard:
        time.sleep(0.01)
    dying.kill()
    dying.wait()
    hook.go_on.set()
    assert told.send() == 1  # the other; the first may still be on its way
    assert told.send(NOON + timedelta(seconds=31)) == 1
    first, other, again = hook.keys
    assert again == first != other
    assert hook.heard[0] == hook.heard[2]
    assert hook.heard[0][1]["nbtools"]["id"] in first
    assert told.send(NOON + timedelta(days=1)) == 0


def test_a_notice_that_is_never_taken_is_given_up_and_counted(tmp_path):
    told = Told(tmp_path, "command:false")
    told.ends(0, TickState.FAILED)
    for number in range(ATTEMPTS):
        assert status(told.jobs).lost_notices == 0
        told.send(NOON + number * timedelta(hours=1))
    assert status(told.jobs).lost_notices == 1


def test_an_e_mail_is_sent(tmp_path, mailbox):
    told = Told(tmp_path, "mailto:team@example.com")
    told.ends(0, TickState.FAILED, "müde\nBcc: x@example.com")
    assert told.send(smtp=mailbox.url, mail_from="nbtools@example.com") == 1
    (letter,) = mailbox.letters
    assert letter.rcpt_tos == ["team@example.com"]
    assert letter.mail_from == "nbtools@example.com"
    head = letter.content.decode().partition("\r\n\r\n")[0]
    assert "Subject: nbtools: nightly failed" in head
    assert "Bcc" not in head
    assert re.search(r"^Message-ID: <[0-9a-f]{32}@nbtools>\r?$", head, re.MULTILINE)


def test_without_a_mail_server_it_says_what_to_set(tmp_path):
    told = Told(tmp_path, "mailto:team@example.com")
    told.ends(0, TickState.FAILED)
    assert told.send() == 0
    assert "smtp = " in status(told.jobs).waiting_notices[0]


def test_no_password_goes_to_a_server_without_tls(tmp_path, mailbox):
    told = Told(tmp_path, "mailto:team@example.com")
    told.ends(0, TickState.FAILED)
    url = mailbox.url.replace("//", "//me@")
    assert told.send(smtp=url, smtp_password="secret") == 0
    assert "offers no TLS" in status(told.jobs).waiting_notices[0]
    assert mailbox.letters == []


def test_a_command_gets_it_on_its_standard_input(tmp_path):
    out = tmp_path / "heard.json"
    program = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"
    told = Told(tmp_path / "store", f"command:{sys.executable} -c \"{program}\" '{out}'")
    told.ends(0, TickState.FAILED, "$(touch x); `y`")
    assert told.send() == 1
    assert json.loads(out.read_text())["nbtools"]["reason"] == "$(touch x); `y`"


def test_the_path_of_a_webhook_is_not_shown():
    assert shown("https://hooks.example.com/a/secret?x=1") == "https://hooks.example.com/…"
    assert shown("mailto:team@example.com") == "mailto:team@example.com"
