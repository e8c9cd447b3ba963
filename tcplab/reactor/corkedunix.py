"""Write at once on Unix sockets, over which descriptors may be passed."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet import main, unix

from tcplab.reactor.corked import Corked
from tcplab.reactor.sending import BUSY, DRAWN


class CorkedUnix(Corked):
    """`Corked`, for a Unix socket."""

    def doRead(self: Any) -> Any:
        """Read once, descriptors too."""
        why = unix.Server.doRead(self)
        if why is main.CONNECTION_LOST and self.errno is None:
            self.errno = errno.ECONNRESET  # the only error of a connected Unix socket's read
        return why

    def _dataReceived(self: Any, data: bytes | None) -> Any:
        if not data:
            self.endedBy("peer")
            return main.CONNECTION_DONE
        self.received += len(data)
        self.cork()  # as in doRead, where it stands to spare most bytes a call
        try:
            self.protocol.dataReceived(data)
        except BaseException:
            self._corked = DRAWN
            raise
        self.uncork()
        return None

    def _sendCollected(self: Any) -> None:
        # Unless descriptors travel with it: doWrite() sees to those.
        if self._sendmsgQueue and self.connected:
            self._cork = BUSY
            self.reactor.addWriter(self)
        else:
            super()._sendCollected()

    def _fitsOneSend(self: Any) -> bool:
        return not self._sendmsgQueue and super()._fitsOneSend()

    def writeSomeData(self: Any, data: bytes) -> Any:
        """Send descriptors and bytes, as Twisted's Unix transports do."""
        if not self._sendmsgQueue:
            return super().writeSomeData(data)
        sent = unix.Server.writeSomeData(self, data)
        if isinstance(sent, int):
            self.sent += sent
        return sent
