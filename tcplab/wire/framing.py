r"""
Framing: where in a stream of bytes each message begins and ends.

TCP keeps the order of bytes and nothing else. A framing is fed what arrives, in whatever pieces,
and gives back whole messages, one at a time, so that a conversation can pause, end, or switch to
another framing in the middle of a piece::

    lines = Lines()
    lines.feed(b"one\ntwo\nthr")
    lines.next(), lines.next(), lines.next()    # b"one", b"two", None
    lines.unread()                              # b"thr"

`Framing` says what each method means.
"""

from __future__ import annotations

from typing import ClassVar, NoReturn

from tcplab.wire.lengthprefix import Int32, Netstrings
from tcplab.wire.pieces import (
    LONGEST,
    CutShort,
    Framing,
    FramingError,
    LineTooLong,
    MessageTooLong,
    NetstringError,
)

__all__ = [
    "CRLF",
    "FRAMINGS",
    "CutShort",
    "Exactly",
    "Framing",
    "FramingError",
    "Int32",
    "LineTooLong",
    "Lines",
    "MessageTooLong",
    "NetstringError",
    "Netstrings",
    "Stream",
    "Until",
]


class Stream(Framing):
    """No framing: a message is whatever has come."""

    __slots__ = ()

    def next(self) -> bytes | None:
        """Take out all there is; ``None`` when there is nothing."""
        return self.unread() or None


class Exactly(Framing):
    """
    Messages of ``size`` bytes, for reading; with 0 each is empty and needs no input.

    ``frame`` adds nothing.
    """

    def __init__(self, size: int) -> None:
        if size < 0:
            raise ValueError(f"a message of {size} bytes")
        super().__init__()
        self.size = size

    def next(self) -> bytes | None:
        """Take out ``size`` bytes, once so many have come."""
        if self._wrong is not None:
            self._fail(self._wrong)
        stop = self._start + self.size
        return self._take(self._start, stop, stop) if stop <= len(self._buffer) else None


class Until(Framing):
    """
    Messages that end with ``delimiter``, of ``limit`` bytes at most without it, for reading.

    ``frame`` adds nothing.
    """

    delimiter: bytes
    optional: bytes = b""  # no part of the message when it stands right before the delimiter
    maxLength: int
    _TooLong: ClassVar[type[MessageTooLong]] = MessageTooLong

    def __init__(self, delimiter: bytes, limit: int = LONGEST) -> None:
        if not delimiter:
            raise ValueError("an empty delimiter")
        super().__init__()
        self.delimiter = delimiter
        self.maxLength = limit
        self._searched = 0  # so many of the bytes not delivered begin no delimiter

    def next(self) -> bytes | None:
        """Take out the bytes before the next delimiter, and drop the delimiter."""
        if self._wrong is not None:
            self._fail(self._wrong)
        start = self._start
        end = self._buffer.find(self.delimiter, start + self._searched)
        if end < 0:
            self._unfinished(len(self._buffer) - start)
            return None
        stop = end + len(self.delimiter)
        if self._buffer.endswith(self.optional, start, end):
            end -= len(self.optional)
        if end - start > self.maxLength:
            self._tooLong()
        self._searched = 0
        return self._take(start, end, stop)

    def unread(self) -> bytes:
        """Take out all bytes not delivered yet, and search anew."""
        self._searched = 0
        return super().unread()

    def _unfinished(self, pending: int) -> None:
        """Remember what need not be searched again, unless there is too much of it already."""
        begun = len(self.delimiter) - 1  # so many bytes at the end may be half a delimiter
        if pending > self.maxLength + len(self.optional) + begun:
            self._tooLong()
        self._searched = max(0, pending - begun)

    def _tooLong(self) -> NoReturn:
        self._fail(self._TooLong(f"more than {self.maxLength} bytes without a delimiter"))


class Lines(Until):
    r"""
    Lines that end with ``\n``; one ``\r`` before it is dropped, for telnet and ``nc -C``.

    A last line without its newline is a message once the peer has finished. A message that ends
    with ``\r`` is sent as it is: whoever takes ``\r\n`` for a line end reads it without the ``\r``.

    :cvar delimiter: ends a line; ``frame`` adds it.
    :cvar optional: dropped when it stands right before the delimiter.
    :cvar maxLength: bytes a line may have, without what ends it.
    """

    delimiter = b"\n"
    optional = b"\r"
    maxLength = LONGEST
    _TooLong = LineTooLong

    def __init__(self) -> None:
        super().__init__(self.delimiter, self.maxLength)

    def finish(self) -> bytes | None:
        """Take out the next line; the last one may have no end, and is taken as it stands."""
        message = self.next()
        pending = len(self._buffer) - self._start
        if message is not None or not pending:
            return message
        if pending > self.maxLength:
            self._tooLong()
        return self.unread()

    @classmethod
    def frame(cls, message: bytes) -> bytes:
        """
        Add the delimiter.

        :raises LineTooLong: the message is longer than ``maxLength``.
        :raises FramingError: the delimiter stands in the message: it would arrive as two.
        """
        if cls.delimiter in message:
            raise FramingError("a line end within a line: it would arrive as two")
        if len(message) > cls.maxLength:
            raise LineTooLong(f"a line of {len(message)} bytes, more than {cls.maxLength}")
        return message + cls.delimiter


class CRLF(Lines):
    r"""Lines that end with ``\r\n`` and nothing else, as in SMTP; for the rest `Lines`."""

    delimiter = b"\r\n"
    optional = b""


FRAMINGS: dict[str, type[Framing]] = {
    "stream": Stream,
    "lines": Lines,
    "crlf": CRLF,
    "netstrings": Netstrings,
    "int32": Int32,
}
