"""Framings that send the length of a message before it."""

from __future__ import annotations

import re
import struct

from tcplab.wire.framing import DEFAULT_MAX_LENGTH, Framing, FramingError, MessageTooLong

__all__ = ["Int32", "NetstringError", "Netstrings"]

_NETSTRING_LENGTH = re.compile(rb"(0|[1-9][0-9]*)(:?)")


class NetstringError(FramingError):
    """Bytes that are no netstring."""


class Netstrings(Framing):
    """
    Netstrings, strictly: ``5:hello,``, no leading zeros, nothing between them.

    See https://cr.yp.to/proto/netstrings.txt.

    :cvar maxLength: the bytes of a message at most; a greater length is refused before they are
        read.
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

    :cvar prefix: the format of the length; ``Struct("!H")`` makes it two bytes.
    :cvar maxLength: the bytes of a message at most; a greater length is refused before they are
        read.
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
