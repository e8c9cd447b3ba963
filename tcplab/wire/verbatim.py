"""A framing that passes a message on as it was received, delimiter or length included."""

from __future__ import annotations

from functools import cache

from tcplab.wire.framing import Framing


class Verbatim(Framing):
    """
    A framing that keeps what stood around its last message; `verbatim` makes one of any other.

    **Limit:** the end of a message is known of the framings here and those derived from them. In
    others a message is framed anew.
    """

    _around: tuple[bytes, bytes] | None = None

    def asReceived(self, message: bytes) -> bytes:
        """Return the last message with its delimiter, or its length, as the peer sent it."""
        if self._around is None:
            return self.frame(message)
        before, after = self._around
        return before + message + after

    def next(self) -> bytes | None:
        """Return the next whole message."""
        self._around = None
        return super().next()

    def finish(self) -> bytes | None:
        """Return the next message after the end of the stream."""
        self._around = None
        message = super().finish()
        self._around = self._around or (b"", b"")  # the rest has no delimiter
        return message

    def unread(self) -> bytes:
        """Return and forget all bytes not delivered."""
        data = super().unread()
        self._around = None
        return data

    def _take(self, begin: int, end: int, stop: int) -> bytes:
        self._around = (bytes(self._buffer[self._start : begin]), bytes(self._buffer[end:stop]))
        return super()._take(begin, end, stop)


@cache
def verbatim(framing: type[Framing]) -> type[Framing]:
    """Return a framing like this one that is `Verbatim` too."""
    return type(framing.__name__, (Verbatim, framing), {})
