"""The pipe in which a worker is told what to do; its end is the end of who would tell."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.main import CONNECTION_DONE


class Commands(FileDescriptor):
    """
    Read lines.

    :param descriptor: the pipe's.
    :param reactor: runs it.
    :param obey: called with each word.
    :param orphaned: called when the other end is closed.
    """

    def __init__(
        self,
        descriptor: int,
        reactor: Any,
        obey: Callable[[str], object],
        orphaned: Callable[[], object],
    ) -> None:
        super().__init__(reactor)
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._obey = obey
        self._orphaned = orphaned
        self._begun = b""
        self.connected = 1

    def fileno(self) -> int:
        """Return the pipe's descriptor."""
        return self._descriptor

    def doRead(self) -> Any:
        """Obey what was said."""
        try:
            data = os.read(self._descriptor, 4096)
        except BlockingIOError:
            return None
        if not data:
            return CONNECTION_DONE
        *lines, self._begun = (self._begun + data).split(b"\n")
        for line in lines:
            self._obey(line.decode())
        return None

    def connectionLost(self, reason: Any) -> None:
        """Tell that nobody tells us anything any more."""
        super().connectionLost(reason)
        self._orphaned()
