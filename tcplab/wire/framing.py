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

DEFAULT_MAX_LENGTH = 65536
"""Bytes in a message unless a subclass says otherwise: ample for what people and programs say."""


class FramingError(ValueError):
    """Bytes that are no message of a framing; the text is one line, and quotes no peer."""


class MessageTooLong(FramingError):
    """A message above ``maxLength``."""


class LineTooLong(MessageTooLong):
    """A line above ``maxLength``."""


class IncompleteMessage(FramingError):
    """The input ended in the middle of a message."""


class Framing:
    """
    What every framing does; a subclass says in ``next`` where a message ends.

    The cost is linear in the bytes fed, however they are cut, and what is kept is bounded by the
    longest message allowed and what was fed since ``next`` last returned ``None``.

    Once ``next`` or ``finish`` has raised a `FramingError` there is no telling where a message
    begins: what is fed afterwards is dropped, and both go on raising the same error.
    """

    __slots__ = ("_buffer", "_error", "_start")  # every connection has one

    def __init__(self) -> None:
        self._buffer: bytes | bytearray = b""
        self._start = 0  # of the bytes not delivered yet
        self._error: FramingError | None = None

    def feed(self, data: bytes) -> None:
        """Take in the next bytes of the stream."""
        pending = len(self._buffer) - self._start
        if self._error is not None:
            return
        if not pending:
            self._buffer, self._start = data, 0
        elif pending <= len(data):  # joining costs no more than what came
            self._buffer = b"".join((memoryview(self._buffer)[self._start :], data))
            self._start = 0
        else:
            self._append(data, pending)

    def next(self) -> bytes | None:
        """
        Take out the next whole message, without its delimiter; ``None``: more bytes are needed.

        :raises FramingError: the bytes are no message of this framing.
        """
        raise NotImplementedError

    def finish(self) -> bytes | None:
        """
        Take out the next message, knowing that nothing more comes; ``None``: nothing is left.

        :raises IncompleteMessage: the stream ended in the middle of a message.
        :raises FramingError: as ``next``.
        """
        message = self.next()
        if message is None and self._start < len(self._buffer):
            self._fail(IncompleteMessage("the input ended in the middle of a message"))
        return message

    @property
    def hasPartialMessage(self) -> bool:
        """Whether there are bytes that were not delivered: a message has begun."""
        return self._start < len(self._buffer)

    def unread(self) -> bytes:
        """Take out all bytes not delivered yet, for whoever reads the stream from here on."""
        return self._take(self._start, len(self._buffer), len(self._buffer))

    @classmethod
    def frame(cls, message: bytes) -> bytes:
        """
        Return the bytes to send for one message.

        :raises FramingError: the message cannot be sent in this framing.
        """
        return message

    def _append(self, data: bytes, pending: int) -> None:
        """Lengthen the buffer in place: a long message that comes in small pieces."""
        if not isinstance(self._buffer, bytearray):
            self._buffer = bytearray(memoryview(self._buffer)[self._start :])
            self._start = 0
        elif self._start > pending:  # not before: moving bytes must not cost more than reading
            del self._buffer[: self._start]
            self._start = 0
        self._buffer += data

    def _take(self, begin: int, end: int, stop: int) -> bytes:
        """Deliver what stands from ``begin`` to ``end`` of the buffer, and go on at ``stop``."""
        message = bytes(self._buffer[begin:end])
        if stop == len(self._buffer):
            self._buffer, self._start = b"", 0  # keeps no memory while it is idle
        else:
            self._start = stop
        return message

    def _fail(self, error: FramingError) -> NoReturn:
        """Raise the error, now and whenever something is asked again."""
        self._error = error  # a copy is raised: with a traceback it would keep this object alive
        raise type(error)(*error.args)


class Stream(Framing):
    """No framing: a message is whatever has come."""

    __slots__ = ()

    def next(self) -> bytes | None:
        """Take out all there is; ``None`` when there is nothing."""
        return self.unread() or None


class FixedLength(Framing):
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
        if self._error is not None:
            self._fail(self._error)
        stop = self._start + self.size
        return self._take(self._start, stop, stop) if stop <= len(self._buffer) else None


class Delimited(Framing):
    """
    Messages that end with ``delimiter``, of ``limit`` bytes at most without it, for reading.

    ``frame`` adds nothing.
    """

    delimiter: bytes
    stripped: bytes = b""  # no part of the message when it stands right before the delimiter
    maxLength: int
    _TooLong: ClassVar[type[MessageTooLong]] = MessageTooLong

    def __init__(self, delimiter: bytes, limit: int = DEFAULT_MAX_LENGTH) -> None:
        if not delimiter:
            raise ValueError("an empty delimiter")
        super().__init__()
        self.delimiter = delimiter
        self.maxLength = limit
        self._searched = 0  # so many of the bytes not delivered begin no delimiter

    def next(self) -> bytes | None:
        """Take out the bytes before the next delimiter, and drop the delimiter."""
        if self._error is not None:
            self._fail(self._error)
        start = self._start
        end = self._buffer.find(self.delimiter, start + self._searched)
        if end < 0:
            self._unfinished(len(self._buffer) - start)
            return None
        stop = end + len(self.delimiter)
        if self._buffer.endswith(self.stripped, start, end):
            end -= len(self.stripped)
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
        if pending > self.maxLength + len(self.stripped) + begun:
            self._tooLong()
        self._searched = max(0, pending - begun)

    def _tooLong(self) -> NoReturn:
        self._fail(self._TooLong(f"more than {self.maxLength} bytes without a delimiter"))


class Lines(Delimited):
    r"""
    Lines that end with ``\n``; one ``\r`` before it is dropped, for telnet and ``nc -C``.

    A last line without its newline is a message once the peer has finished. A message that ends
    with ``\r`` is sent as it is: whoever takes ``\r\n`` for a line end reads it without the ``\r``.

    :cvar delimiter: ends a line; ``frame`` adds it.
    :cvar stripped: dropped when it stands right before the delimiter.
    :cvar maxLength: bytes a line may have, without what ends it.
    """

    delimiter = b"\n"
    stripped = b"\r"
    maxLength = DEFAULT_MAX_LENGTH
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
    stripped = b""
