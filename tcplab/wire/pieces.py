"""What every framing does: bytes come in pieces, messages go out whole, and errors have names."""

from __future__ import annotations

from typing import NoReturn

__all__ = [
    "LONGEST",
    "CutShort",
    "Framing",
    "FramingError",
    "LineTooLong",
    "MessageTooLong",
    "NetstringError",
]


LONGEST = 65536
"""Bytes in a message unless a subclass says otherwise: ample for what people and programs say."""


class FramingError(ValueError):
    """Bytes that are no message of a framing; the text is one line, and quotes no peer."""


class MessageTooLong(FramingError):
    """A message above ``maxLength``."""


class LineTooLong(MessageTooLong):
    """A line above ``maxLength``."""


class NetstringError(FramingError):
    """Bytes that are no netstring."""


class CutShort(FramingError):
    """The input ended in the middle of a message."""


class Framing:
    """
    What every framing does; a subclass says in ``next`` where a message ends.

    The cost is linear in the bytes fed, however they are cut, and what is kept is bounded by the
    longest message allowed and what was fed since ``next`` last returned ``None``.

    Once ``next`` or ``finish`` has raised a `FramingError` there is no telling where a message
    begins: what is fed afterwards is dropped, and both go on raising the same error.
    """

    __slots__ = ("_buffer", "_start", "_wrong")  # every connection has one

    def __init__(self) -> None:
        self._buffer: bytes | bytearray = b""
        self._start = 0  # of the bytes not delivered yet
        self._wrong: FramingError | None = None

    def feed(self, data: bytes) -> None:
        """Take in the next bytes of the stream."""
        pending = len(self._buffer) - self._start
        if self._wrong is not None:
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

        :raises CutShort: the stream ended in the middle of a message.
        :raises FramingError: as ``next``.
        """
        message = self.next()
        if message is None and self._start < len(self._buffer):
            self._fail(CutShort("the input ended in the middle of a message"))
        return message

    @property
    def midway(self) -> bool:
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
        self._wrong = error  # a copy is raised: with a traceback it would keep this object alive
        raise type(error)(*error.args)
