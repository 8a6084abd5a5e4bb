"""Numbers with a unit, as people type them: durations and sizes."""

from __future__ import annotations

from typing import Any

import click

from nbtools.duration import seconds
from nbtools.errors import RequestError

SIZES = {
    "": 1, "B": 1, "K": 1e3, "KB": 1e3, "KIB": 1 << 10, "M": 1e6, "MB": 1e6, "MIB": 1 << 20,
    "G": 1e9, "GB": 1e9, "GIB": 1 << 30,
}  # fmt: skip


class Duration(click.ParamType[float]):
    """Seconds, or a number with a unit: 90, 90s, 15m, 2h, 1d."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            return seconds(str(value))
        except RequestError as error:
            self.fail(str(error), param, ctx)


class Size(click.ParamType[int]):
    """Bytes, or a number with a unit: 500MB, 2GiB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).strip()
        number = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
        unit = text[len(number) :].strip().upper()
        try:
            return int(float(number) * SIZES[unit])
        except (ValueError, KeyError):
            self.fail(f"{text!r} is no size: write 500MB or 2GiB", param, ctx)
