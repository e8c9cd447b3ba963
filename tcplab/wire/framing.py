"""
Framings: where in a stream of bytes each message begins and ends.

TCP keeps the order of bytes and nothing else. A framing is fed with the bytes received, and returns
whole messages. A conversation can pause, end, or switch to another framing between any two.
"""

from __future__ import annotations

import re
import struct
from typing import ClassVar, NoReturn

from tcplab.wire.texts import notBytes

DEFAULT_MAX_LENGTH = 65536
"""Bytes in a message by default: ample for text that people and programs exchange."""


class FramingError(ValueError):
    """
    Bytes that are no message of a framing; the text is one line, without the peer's bytes.

    >>> issubclass(FramingError, ValueError)
    True
    """


class MessageTooLong(FramingError):
    """A message above ``maxLength``."""


class LineTooLong(MessageTooLong):
    """A line above ``maxLength``."""


class IncompleteMessage(FramingError):
    """The input ended in the middle of a message."""


class Framing:
    """
    The base of all framings; a subclass finds the end of a message in ``next``.

    >>> class Commands(Lines):
    ...     delimiter = b";"
    >>> Commands.frame(b"get")
    b'get;'

    The cost is linear in the bytes fed, in whatever pieces. The buffer is bounded by the longest
    message allowed and the bytes fed since ``next`` last returned ``None``.

    Once ``next`` or ``finish`` has raised a `FramingError`, the beginning of the next message is
    unknown. Bytes fed afterwards are dropped, and both methods raise the same error again.
    """

    __slots__ = ("_buffer", "_error", "_start")  # every connection has one

    def __init__(self) -> None:
        self._buffer: bytes | bytearray = b""
        self._start = 0  # of the bytes not delivered yet
        self._error: FramingError | None = None

    def feed(self, data: bytes) -> None:
        """Add the next bytes of the stream."""
        pending = len(self._buffer) - self._start
        if self._error is not None:
            return
        if not pending:
            self._buffer, self._start = data, 0
        elif pending <= len(data):  # joining costs no more than the new bytes
            self._buffer = b"".join((memoryview(self._buffer)[self._start :], data))
            self._start = 0
        else:
            self._append(data, pending)

    def next(self) -> bytes | None:
        """
        Return the next whole message, without its delimiter; ``None``: more bytes are needed.

        :raises FramingError: the bytes are no message of this framing.
        """
        raise NotImplementedError

    def finish(self) -> bytes | None:
        """
        Return the next message after the end of the stream; ``None``: nothing is left.

        :raises IncompleteMessage: the stream ended in the middle of a message.
        :raises FramingError: as ``next``.
        """
        message = self.next()
        if message is None and self._start < len(self._buffer):
            self._fail(IncompleteMessage("the input ended in the middle of a message"))
        return message

    @property
    def hasPartialMessage(self) -> bool:
        """Whether there are bytes of a message that is not whole yet, or not taken yet."""
        return self._start < len(self._buffer)

    def unread(self) -> bytes:
        """Return and forget all bytes not delivered, for another reader of the stream."""
        return self._take(self._start, len(self._buffer), len(self._buffer))

    @classmethod
    def frame(cls, message: bytes) -> bytes:
        """
        Return the bytes to send for one message.

        :raises FramingError: the message cannot be sent in this framing.
        """
        return message

    def _append(self, data: bytes, pending: int) -> None:
        """Lengthen the buffer in place, for a long message in small pieces."""
        if not isinstance(self._buffer, bytearray):
            self._buffer = bytearray(memoryview(self._buffer)[self._start :])
            self._start = 0
        elif self._start > pending:  # not before: moving bytes must not cost more than reading
            del self._buffer[: self._start]
            self._start = 0
        self._buffer += data

    def _take(self, begin: int, end: int, stop: int) -> bytes:
        """Return the buffer from ``begin`` to ``end``; the next message begins at ``stop``."""
        message = bytes(self._buffer[begin:end])
        if stop == len(self._buffer):
            self._buffer, self._start = b"", 0  # an idle framing keeps no memory
        else:
            self._start = stop
        return message

    def _fail(self, error: FramingError) -> NoReturn:
        """Raise the error, now and at every later call."""
        self._error = error  # a copy is raised: a traceback would keep this object alive
        raise type(error)(*error.args)


class Stream(Framing):
    """
    No framing: a message is all bytes received so far.

    >>> Stream.frame(b"hello")
    b'hello'
    """

    __slots__ = ()

    def next(self) -> bytes | None:
        """Return all bytes; ``None``: there are none."""
        return self.unread() or None


class FixedLength(Framing):
    """
    Messages of ``size`` bytes, for reading: ``frame`` adds nothing. With 0 each is empty.

    >>> FixedLength(2).size
    2
    """

    def __init__(self, size: int) -> None:
        if not isinstance(size, int):
            raise TypeError(f"a size is a number of bytes, not {size!r}")
        if size < 0:
            raise ValueError(f"a message of {size} bytes")
        super().__init__()
        self.size = size

    def next(self) -> bytes | None:
        """Return the next ``size`` bytes, once all of them are there."""
        if self._error is not None:
            self._fail(self._error)
        stop = self._start + self.size
        return self._take(self._start, stop, stop) if stop <= len(self._buffer) else None


class Delimited(Framing):
    """
    Messages that end with ``delimiter``, of ``limit`` bytes at most, for reading.

    >>> words = Delimited(b" ")
    >>> words.feed(b"to be")
    >>> words.next()
    b'to'
    """

    delimiter: bytes
    stripped: bytes = b""  # removed where it is right before the delimiter
    maxLength: int
    _TooLong: ClassVar[type[MessageTooLong]] = MessageTooLong

    def __init__(self, delimiter: bytes, limit: int = DEFAULT_MAX_LENGTH) -> None:
        if not isinstance(delimiter, bytes):
            raise notBytes("a delimiter", delimiter)
        if not delimiter:
            raise ValueError("an empty delimiter")
        super().__init__()
        self.delimiter = delimiter
        self.maxLength = limit
        self._searched = 0  # of the bytes not delivered, these begin no delimiter

    def next(self) -> bytes | None:
        """Return the bytes before the next delimiter."""
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
        """Return and forget all bytes not delivered; the search begins anew."""
        self._searched = 0
        return super().unread()

    def _unfinished(self, pending: int) -> None:
        """Note the bytes that need no second search; refuse too many."""
        begun = len(self.delimiter) - 1  # the bytes at the end that may be half a delimiter
        if pending > self.maxLength + len(self.stripped) + begun:
            self._tooLong()
        self._searched = max(0, pending - begun)

    def _tooLong(self) -> NoReturn:
        self._fail(self._TooLong(f"more than {self.maxLength} bytes without a delimiter"))


class Lines(Delimited):
    r"""
    Lines that end with ``\n``; one ``\r`` before it is dropped, for telnet and ``nc -C``.

    A last line without a newline is a message once the peer has finished. A message that ends with
    ``\r`` is sent unchanged.

    >>> lines = Lines()
    >>> lines.feed(b"one\ntwo\r\nthr")
    >>> lines.next(), lines.next(), lines.next()
    (b'one', b'two', None)

    **Limit:** a reader that takes ``\r\n`` for a line end drops that ``\r``.

    :cvar delimiter: ends a line; ``frame`` adds it.
    :cvar stripped: dropped where it is right before the delimiter.
    :cvar maxLength: the bytes of a line at most, without its end.
    """

    delimiter = b"\n"
    stripped = b"\r"
    maxLength = DEFAULT_MAX_LENGTH
    _TooLong = LineTooLong

    def __init__(self) -> None:
        super().__init__(self.delimiter, self.maxLength)

    def finish(self) -> bytes | None:
        """Return the next line; the last one may have no delimiter."""
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
        Return the message with the delimiter.

        :raises LineTooLong: the message is longer than ``maxLength``.
        :raises FramingError: the message contains the delimiter: it would arrive as two.
        """
        if cls.delimiter in message:
            raise FramingError("a line end within a line: it would arrive as two")
        if len(message) > cls.maxLength:
            raise LineTooLong(f"a line of {len(message)} bytes, more than {cls.maxLength}")
        return message + cls.delimiter


class CRLF(Lines):
    r"""
    Lines that end with ``\r\n`` and nothing else, as in SMTP; for the rest `Lines`.

    >>> CRLF.frame(b"250 ok")
    b'250 ok\r\n'
    """

    delimiter = b"\r\n"
    stripped = b""


_NETSTRING_LENGTH = re.compile(rb"(0|[1-9][0-9]*)(:?)")


class NetstringError(FramingError):
    """Bytes that are no netstring."""


class Netstrings(Framing):
    """
    Netstrings, strictly: ``5:hello,``, no leading zeros, nothing between them.

    >>> Netstrings.frame(b"hello")
    b'5:hello,'

    See https://cr.yp.to/proto/netstrings.txt.

    :cvar maxLength: the bytes of a message at most; checked before they are read.
    """

    maxLength: int = DEFAULT_MAX_LENGTH

    def next(self) -> bytes | None:
        """Return the next string, once its comma is there."""
        if self._error is not None:
            self._fail(self._error)
        begin, length = self._length()
        end = begin + length
        if not begin or end >= len(self._buffer):
            return None
        if self._buffer[end] != 0x2C:
            self._fail(NetstringError("a netstring without a comma at its end"))
        return self._take(begin, end, end + 1)

    def _length(self) -> tuple[int, int]:
        """Return the position of the string, 0: not known yet, and its length."""
        # The longest valid length, and the colon or a digit too many.
        stop = min(len(self._buffer), self._start + len(str(self.maxLength)) + 1)
        found = _NETSTRING_LENGTH.match(self._buffer, self._start, stop)
        digits, colon = found.groups() if found else (b"", b"")
        if digits and int(digits) > self.maxLength:
            self._fail(MessageTooLong(f"a netstring of more than {self.maxLength} bytes"))
        if found and colon:
            return found.end(), int(digits)
        if self._start + len(digits) < stop:
            self._fail(NetstringError("no netstring: its length in digits and a colon expected"))
        return 0, 0

    @classmethod
    def frame(cls, message: bytes) -> bytes:
        """
        Return the message between its length with a colon and a comma.

        :raises MessageTooLong: the message is longer than ``maxLength``.
        """
        _checkLength(len(message), cls.maxLength)
        return b"%d:%b," % (len(message), message)


class Int32(Framing):
    """
    Messages after their length in four bytes, big-endian, as Twisted's ``Int32StringReceiver``.

    >>> Int32.frame(b"hello")
    b'\\x00\\x00\\x00\\x05hello'

    :cvar prefix: the format of the length; ``Struct("!H")`` makes it two bytes.
    :cvar maxLength: the bytes of a message at most; checked before they are read.
    """

    prefix: struct.Struct = struct.Struct("!I")
    maxLength: int = DEFAULT_MAX_LENGTH

    def next(self) -> bytes | None:
        """Return the next message, once all of it is there."""
        if self._error is not None:
            self._fail(self._error)
        begin = self._start + self.prefix.size
        if len(self._buffer) < begin:
            return None
        (length,) = self.prefix.unpack_from(self._buffer, self._start)
        if length > self.maxLength:
            self._fail(MessageTooLong(f"a message of more than {self.maxLength} bytes"))
        end = begin + length
        return self._take(begin, end, end) if end <= len(self._buffer) else None

    @classmethod
    def frame(cls, message: bytes) -> bytes:
        """
        Return the message after its length.

        :raises MessageTooLong: the message is longer than ``maxLength``.
        """
        _checkLength(len(message), min(cls.maxLength, 256**cls.prefix.size - 1))
        return cls.prefix.pack(len(message)) + message


def _checkLength(length: int, longest: int) -> None:
    """Refuse to send a message that the other end refuses to read."""
    if length > longest:
        raise MessageTooLong(f"a message of {length} bytes, more than {longest}")
