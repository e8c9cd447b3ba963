"""
The fixed texts of the behaviours: greeting, acknowledgement, and the answers of RFC 864 to 868.

No function here reads a clock: the seconds are an argument.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable
from math import floor
from time import gmtime

__all__ = [
    "ACK",
    "CHARGEN_PATTERN",
    "GREETING",
    "QUOTE",
    "chargen",
    "daytime",
    "notBytes",
    "time",
    "withoutLineEnd",
]

ACK = b"You are connected!"
"""What ``ack`` and ``lab`` send first: 18 bytes without a newline, as their clients expect."""

GREETING = b"Hello from server!"
"""What ``greeting`` sends first, without a newline."""

QUOTE = (
    b"Be conservative in what you do, be liberal in what you accept from others.\r\n"
    b"    -- Jon Postel, RFC 793\r\n"
)
"""The quote of the day: fewer than 512 printing characters and line ends, as RFC 865 asks."""

_PRINTABLE = bytes(range(0x20, 0x7F))
_LINE = 72  # characters a line of RFC 864's popular pattern, without CR and LF

CHARGEN_PATTERN = b"".join(
    (_PRINTABLE * 2)[first : first + _LINE] + b"\r\n" for first in range(len(_PRINTABLE))
)
"""One period of RFC 864's pattern: 95 lines, each a character further on; 7,030 bytes."""

# Long enough for 64 KiB from any position: an answer is then one copy.
_REPEATED_PATTERN = CHARGEN_PATTERN * (65536 // len(CHARGEN_PATTERN) + 2)

_EPOCH_1900 = 2_208_988_800  # RFC 868: seconds from 1 January 1900 to 1 January 1970, UTC
_UNSIGNED_32 = struct.Struct("!I")

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def notBytes(what: str, value: object) -> TypeError:
    """Return the error for a value that should be bytes; the text says what to write."""
    hint = {str: "write .encode()", int: "write b'%d' % number"}.get(type(value), "write b'...'")
    if isinstance(value, Awaitable):
        hint = "write await before it"
    if isinstance(value, bytearray | memoryview):
        hint = "write bytes(...)"
    return TypeError(f"{what} takes bytes, not {type(value).__name__}: {hint}")


def withoutLineEnd(message: bytes) -> bytes:
    """Return ``message`` without one CR LF or LF at its end, if there is one."""
    if message.endswith(b"\n"):
        return message[: -2 if message.endswith(b"\r\n") else -1]
    return message


def chargen(position: int, size: int) -> bytes:
    """Return ``size`` bytes of the endless `CHARGEN_PATTERN` (RFC 864) from a position on."""
    first = position % len(CHARGEN_PATTERN)
    if first + size <= len(_REPEATED_PATTERN):
        return _REPEATED_PATTERN[first : first + size]
    return (CHARGEN_PATTERN * ((first + size) // len(CHARGEN_PATTERN) + 1))[first : first + size]


def daytime(seconds: float) -> bytes:
    """
    Return the time as one line (RFC 867): ``Tuesday, February 22, 1982 17:37:43-UTC`` and CR LF.

    It is in English and in UTC, in any locale and time zone.

    :param seconds: Unix time.
    """
    t = gmtime(floor(seconds))
    return (
        f"{_WEEKDAYS[t.tm_wday]}, {_MONTHS[t.tm_mon - 1]} {t.tm_mday}, {t.tm_year} "
        f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}-UTC\r\n"
    ).encode("ascii")


def time(seconds: float) -> bytes:
    """
    Return the time as in RFC 868: seconds since 1900 in four bytes, unsigned, big-endian.

    **Limit:** the number begins again at zero on 7 February 2036, 06:28:16 UTC.

    :param seconds: Unix time.
    """
    return _UNSIGNED_32.pack((floor(seconds) + _EPOCH_1900) % 2**32)
