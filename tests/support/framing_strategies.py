"""Feed framings in pieces, and hypothesis's strategies for it."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tcplab.wire.framing import (
    CRLF,
    Delimited,
    FixedLength,
    Framing,
    FramingError,
    Int32,
    Lines,
    Netstrings,
    Stream,
)


class ShortLines(Lines):
    maxLength = 6


class ShortCRLF(CRLF):
    maxLength = 6


class ShortNetstrings(Netstrings):
    maxLength = 12


class ShortInt32(Int32):
    maxLength = 6


FRAMED: list[type[Framing]] = [
    Lines,
    CRLF,
    Netstrings,
    Int32,
    ShortLines,
    ShortCRLF,
    ShortNetstrings,
    ShortInt32,
]
"""The framings that put a frame around a message."""

MAKERS: list[Any] = [
    Stream,
    *FRAMED,
    lambda: FixedLength(3),
    lambda: Delimited(b"aab"),
    lambda: Delimited(b"\r\n.\r\n", 5),
]
"""What makes any framing there is; the short limits are often met by what hypothesis invents."""

_DELIMITED = [b"\n", b"\r", b"\r\n", b"\r\n.\r\n", b"aab", b"a", b"hello", b"\xff"]
_NETSTRINGS = [b"0:,", b"5:hello,", b":", b",", b"0", b"1", b"12:", b"13:"]
_INT32 = [b"\0\0\0\5hello", b"\0\0\0\0", b"\0\0\0"]

# Made of what means something to one framing or another, so that messages come about.
WIRE = st.lists(
    st.sampled_from([*_DELIMITED, *_NETSTRINGS, *_INT32]) | st.binary(max_size=4), max_size=12
).map(b"".join)

CUTS = st.lists(st.integers(1, 8), max_size=40)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut data into pieces of these lengths, and one for the rest."""
    parts = []
    for size in cuts:
        parts.append(data[:size])
        data = data[size:]
    return [*parts, data]


def messages(framing: Framing) -> list[bytes]:
    """Take out all messages there are."""
    return list(iter(framing.next, None))  # type: ignore[arg-type]


def outcome(framing: Framing, parts: list[bytes]) -> tuple[list[bytes], Any]:
    """Feed all parts and finish; return all messages, and the type and text of the error if any."""
    told = []
    try:
        for part in parts:
            framing.feed(part)
            while (message := framing.next()) is not None:
                told.append(message)
        while (message := framing.finish()) is not None:
            told.append(message)
    except FramingError as error:
        return told, (type(error), str(error))
    return told, None
