"""A fault as a value: its fields, their units, and how they are read."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import partial
from typing import Any, ClassVar, Protocol

from tcplab.faults.stage import Stage, StageContext

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

    :param bare: the unit of a number that has none; ``None``: a unit is required.
    :raises ValueError: the text is not a time; the error's text has the right form.
    """
    number, unit = _split(text, bare)
    if unit not in _TIMES:
        raise ValueError(_advice("a time", "250ms or 2s", TIME_UNITS, bare))
    return float(number) * _TIMES[unit]


def size(text: str, bare: str | None = None) -> int:
    """
    Read a number of bytes.

    :param bare: the unit of a number that has none; ``None``: a unit is required.
    :raises ValueError: the text is not a whole number of bytes.
    """
    number, unit = _split(text, bare)
    amount = float(number or 0) * _SIZES.get(unit, 0)
    if unit not in _SIZES or amount != int(amount):
        raise ValueError(_advice("a number of bytes", "10B or 64KiB", SIZE_UNITS, bare))
    return int(amount)


def count(least: int, most: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from ``least`` to ``most``, without a unit."""

    def read(text: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise ValueError(f"give a whole number from {least} to {most}")
        return int(text)

    return read


def isTime(text: str) -> bool:
    """Tell whether a text is a time with its unit."""
    return _split(text, None)[1] in _TIMES


def _split(text: str, bare: str | None) -> tuple[str, str]:
    found = _AMOUNT.fullmatch(text)
    if found is None:
        return "", ""
    return found[1], found[2] or bare or ""


def _advice(what: str, such: str, units: str, bare: str | None) -> str:
    without = f"; a bare number is {bare}" if bare else ""
    return f"give {what} as in {such} (units: {units}{without})"


def faultField(
    read: Callable[[str], object], default: object = MISSING, *, unit: str = "", example: str = ""
) -> Any:
    """
    Declare a field of a fault.

    :param read: makes its value of what is typed; a ``ValueError`` refuses that.
    :param default: its value when it is left out; without one it has to be typed.
    :param unit: the unit of a bare number, or what may be typed, for the list of faults.
    :param example: what may be typed, for the error where it is missing.
    """
    return field(default=default, metadata={"read": read, "unit": unit, "example": example})


#: The unit of a field whose number has none unless it is typed.
WRITTEN_UNIT = "with unit"


def timeField(bare: str | None = None, default: object = MISSING) -> Any:
    """Declare a field of seconds; ``bare`` is the unit of a typed number that has none."""
    unit = bare or WRITTEN_UNIT
    return faultField(partial(seconds, bare=bare), default, unit=unit, example="250ms")


def sizeField(bare: str | None = None, default: object = MISSING) -> Any:
    """Declare a field of bytes; ``bare`` is the unit of a typed number that has none."""
    unit = bare or WRITTEN_UNIT
    return faultField(partial(size, bare=bare), default, unit=unit, example="64KB")


def integerField(least: int, most: int, default: object = MISSING) -> Any:
    """Declare a field of whole numbers from ``least`` to ``most``, without a unit."""
    return faultField(count(least, most), default, unit=f"{least}-{most}", example=str(least))


_ENDS = ("fin", "reset")


def _ending(text: str) -> str:
    if text not in _ENDS:
        raise ValueError("give fin or reset")
    return text


def endField() -> Any:
    """Declare the field for the end of a connection: ``fin`` or ``reset``."""
    return faultField(_ending, "fin", unit="|".join(_ENDS))


@dataclass(frozen=True)
class Fault:
    """
    A fault as a value; each kind is a subclass with fields and a stage.

    Times are in seconds and amounts in bytes, whatever unit was typed.

    :cvar kind: the name that is typed.
    :cvar readingSide: by default it acts on the direction that this side receives; else downstream.
    """

    kind: ClassVar[str]
    readingSide: ClassVar[bool] = False

    def stage(self, context: StageContext) -> Stage:
        """Make what acts on one direction of one connection."""
        raise NotImplementedError

    @property
    def atOnce(self) -> bool:
        """Whether it happens in a moment and cannot be taken back, so that it has no duration."""
        return False

    @property
    def rolls(self) -> bool:
        """Whether it draws random numbers."""
        return False

    @property
    def endless(self) -> bool:
        """Whether it may keep a connection open without end."""
        return False

    @classmethod
    def named(cls) -> dict[str, Field[object]]:
        """Return its fields by name."""
        return {each.name: each for each in fields(cls)}


class StreamPort(Protocol):
    """One of Twisted's ports, ``twisted.internet.tcp.Port`` or its like, as a fault needs it."""

    addressFamily: int
    backlog: int
    connected: bool
    socket: socket.socket

    def fileno(self) -> int: ...

    def doRead(self) -> object: ...

    def stopReading(self) -> object: ...


class PortFault(Protocol):
    """What a fault does to one port."""

    def begin(self) -> None: ...

    def end(self) -> None: ...


@dataclass(frozen=True)
class ListenerFault(Fault):
    """
    A fault of a listening port: it acts before there is a connection.

    :cvar precedence: of several such faults only the one with the highest acts on a port.
    """

    precedence: ClassVar[int] = 0

    def onPort(self, port: StreamPort) -> PortFault:
        """Make what acts on one port; clients that have connected are accepted before."""
        raise NotImplementedError
