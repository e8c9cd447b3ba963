"""Amounts with units, as people type them: ``250ms``, ``2s``, ``64KiB``, ``10B``."""

from __future__ import annotations

import re
from collections.abc import Callable

_TIMES = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0}
_SIZES = {
    "B": 1,
    "KB": 10**3,
    "KiB": 2**10,
    "MB": 10**6,
    "MiB": 2**20,
    "GB": 10**9,
    "GiB": 2**30,
}
_AMOUNT = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)([A-Za-z]*)")

TIME_UNITS = ", ".join(_TIMES)
SIZE_UNITS = ", ".join(_SIZES)


def seconds(text: str, bare: str | None = None) -> float:
    """
    Read a time.

    :param bare: the unit of a number without one; ``None``: it must have one.
    :raises ValueError: it is none; the error's text says what to type.
    """
    number, unit = _split(text, bare)
    if unit not in _TIMES:
        raise ValueError(_advice("a time", "250ms or 2s", TIME_UNITS, bare))
    return float(number) * _TIMES[unit]


def size(text: str, bare: str | None = None) -> int:
    """
    Read a number of bytes.

    :param bare: the unit of a number without one; ``None``: it must have one.
    :raises ValueError: it is none, or no whole number of bytes.
    """
    number, unit = _split(text, bare)
    amount = float(number or 0) * _SIZES.get(unit, 0)
    if unit not in _SIZES or amount != int(amount):
        raise ValueError(_advice("a number of bytes", "10B or 64KiB", SIZE_UNITS, bare))
    return int(amount)


def count(least: int, most: int) -> Callable[[str], int]:
    """Make a reader of whole numbers that have no unit."""

    def read(text: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise ValueError(f"give a whole number from {least} to {most}")
        return int(text)

    return read


def isTime(text: str) -> bool:
    """Tell whether this is a time, with its unit."""
    return _split(text, None)[1] in _TIMES


def _split(text: str, bare: str | None) -> tuple[str, str]:
    found = _AMOUNT.fullmatch(text)
    if found is None:
        return "", ""
    return found[1], found[2] or bare or ""


def _advice(what: str, such: str, units: str, bare: str | None) -> str:
    without = f"; a bare number is {bare}" if bare else ""
    return f"give {what} as in {such} (units: {units}{without})"
