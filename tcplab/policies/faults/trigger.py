"""When a fault begins: after so many bytes, after a time, or when something is said."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trigger:
    """
    When a fault begins, and how long it lasts.

    :ivar afterBytes: bytes that pass in its direction before.
    :ivar afterSeconds: time that passes before.
    :ivar match: it begins behind these bytes, even if they come in pieces.
    :ivar lasting: seconds; ``None``: for good.
    """

    afterBytes: int | None = None
    afterSeconds: float | None = None
    match: bytes = b""
    lasting: float | None = None


class Watch:
    """
    Look out, in the bytes that pass, for the moment at which a fault begins.

    :param trigger: of bytes; one of time is somebody else's to keep.
    """

    def __init__(self, trigger: Trigger) -> None:
        self._left = trigger.afterBytes
        self._match = trigger.match
        self._tail = b""

    def through(self, data: bytes) -> int | None:
        """Count the bytes of these that pass before the fault begins; ``None``: all do."""
        if self._match:
            return self._matched(data)
        if self._left is None:
            return None
        self._left -= len(data)
        return self._left + len(data) if self._left <= 0 else None

    def _matched(self, data: bytes) -> int | None:
        seen = self._tail + data
        at = seen.find(self._match)
        if at >= 0:
            return at + len(self._match) - len(self._tail)
        keep = len(self._match) - 1
        self._tail = seen[-keep:] if keep else b""
        return None
