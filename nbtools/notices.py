"""Tells people of failures and recoveries: a command, a webhook, or e-mail.

    https://hooks.example.com/…     a webhook: JSON with `text`, as Slack takes it
    mailto:team@example.com         an e-mail by the server that the setting `smtp` names
    command:notify-send nbtools     a command, which gets the JSON on its standard input

A notice is remembered in the transaction that ends its tick, and tried until it was sent,
for a day. Dying between the sending and writing that down, a service sends it once more,
with the same id, by which who hears it can tell: `Idempotency-Key` of a webhook,
`Message-ID` of an e-mail, `id` in the JSON of all.
"""

from __future__ import annotations

import json
import shlex
import smtplib
import socket
import ssl
import subprocess
from dataclasses import replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, build_opener

from nbtools.errors import RequestError
from nbtools.settings import Settings
from nbtools.store import Store
from nbtools.timetable import Notice

#: seconds that one attempt may take.
PATIENCE = 15.0
#: attempts, at pauses that double from half a minute to an hour: about a day.
ATTEMPTS = 30
_KINDS = "an https:// address, mailto:somebody@example.com, or command:PROGRAM"


class NotSent(Exception):
    """A notice could not be sent; the message says why."""


def check_target(target: str) -> None:
    """Raises RequestError when nothing can be sent to `target`."""
    scheme, _, rest = target.partition(":")
    fits = {
        "http": bool(urlsplit(target).hostname),
        "https": bool(urlsplit(target).hostname),
        "mailto": "@" in rest and not set(rest) & set(" \r\n"),
        "command": bool(rest.strip()),
    }
    if not fits.get(scheme):
        raise RequestError(f"cannot notify {target!r}: give {_KINDS}")
    if scheme == "command":
        try:
            shlex.split(rest)
        except ValueError as error:
            raise RequestError(f"cannot notify {target!r}: {error}") from None


def shown(target: str) -> str:
    """A target as it may be seen: who knows a webhook's path can write to it."""
    found = urlsplit(target)
    if found.scheme not in ("http", "https"):
        return target
    return f"{found.scheme}://{found.hostname}/…"


def send_all(store: Store, settings: Settings, now: datetime) -> int:
    """Try to send every notice whose time has come; returns how many were sent."""
    sent = 0
    for notice in store.timetable.notices("WAITING", now):
        later = now + timedelta(seconds=min(30 * 2.0**notice.attempt, 3600))
        trying = replace(notice, attempt=notice.attempt + 1, not_before=later)
        with store.write():  # taken: another service leaves it alone until then
            mine = notice in store.timetable.notices("WAITING", now)
            if mine:
                store.timetable.change_notice(trying)
        if not mine:
            continue
        try:
            _send(notice, settings)
            done = replace(trying, state="SENT", error="")
            sent += 1
        except NotSent as error:
            state = "WAITING" if trying.attempt < ATTEMPTS else "LOST"
            done = replace(trying, state=state, error=str(error))
        store.timetable.change_notice(done)
    return sent


def _send(notice: Notice, settings: Settings) -> None:
    message = {"id": notice.id, **json.loads(notice.message)}
    scheme, _, rest = notice.target.partition(":")
    if scheme == "mailto":
        _mail(rest, message, settings)
    elif scheme == "command":
        _command(shlex.split(rest), message)
    else:
        _post(notice.target, message)


def _sentence(message: dict[str, Any]) -> str:
    what = "has FAILED" if message["kind"] == "FAILED" else "has RECOVERED"
    reason = f": {message['reason']}" if message["reason"] else ""
    again = f" after {message['attempt']} attempts" if message["attempt"] > 1 else ""
    time = f"{datetime.fromisoformat(message['scheduled_time']):%Y-%m-%d %H:%M} UTC"
    return f"nbtools: schedule {message['schedule']} of {time} {what}{again}{reason}"


def _post(url: str, message: dict[str, Any]) -> None:
    body = json.dumps({"text": _sentence(message), "nbtools": message}).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "nbtools",
        "Idempotency-Key": f'"{message["id"]}"',
    }
    request = Request(url, data=body, headers=headers)  # noqa: S310 - check_target has looked
    try:
        with build_opener().open(request, timeout=PATIENCE):
            pass
    except HTTPError as error:
        raise NotSent(f"{shown(url)} answers {error.code} {error.reason}") from None
    except (URLError, OSError, ValueError) as error:
        raise NotSent(f"{shown(url)}: {getattr(error, 'reason', error)}") from None


def _mail(to: str, message: dict[str, Any], settings: Settings) -> None:
    if not settings.smtp:
        raise NotSent('no mail server is known: set smtp = "smtp://host:25" in [tool.nbtools]')
    server = urlsplit(settings.smtp)
    host = socket.gethostname()
    mail = EmailMessage()
    mail["Subject"] = f"nbtools: {message['schedule']} {message['kind'].lower()}"
    mail["From"] = settings.mail_from or f"nbtools@{host}"
    mail["To"] = to
    mail["Message-ID"] = f"<{message['id']}@nbtools>"
    fields = "\n".join(f"{key}: {value}" for key, value in message.items())
    mail.set_content(f"{_sentence(message)}\n\n{fields}\n")
    kind = smtplib.SMTP_SSL if server.scheme == "smtps" else smtplib.SMTP
    try:
        with kind(str(server.hostname), server.port or 0, timeout=PATIENCE) as client:
            client.ehlo()
            if server.scheme == "smtp" and client.has_extn("starttls"):
                client.starttls(context=ssl.create_default_context())
            elif server.scheme == "smtp" and server.username:
                raise NotSent(f"{server.hostname} offers no TLS: no password is sent to it")
            if server.username:
                client.login(server.username, settings.smtp_password or server.password or "")
            client.send_message(mail)
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise NotSent(f"{server.hostname}: {error}") from None


def _command(command: list[str], message: dict[str, Any]) -> None:
    text = json.dumps({"text": _sentence(message), "nbtools": message})
    try:
        done = subprocess.run(
            command, input=text, text=True, capture_output=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotSent(f"{command[0]}: {error}") from None
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise NotSent(f"{command[0]} ends with {done.returncode}: {last}")
