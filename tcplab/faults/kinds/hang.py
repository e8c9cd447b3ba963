"""The fault ``hang``: the SYN is not answered."""

from __future__ import annotations

import socket
import struct
import sys
from array import array
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from tcplab.faults.fault import ListenerFault, PortFault, StreamPort

# From <asm-generic/socket.h>: a socket filter, here one that drops each packet. Newer kernels
# refuse it to users without rights.
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
_DROP = struct.pack("HBBI", 0x06, 0, 0, 0)  # BPF_RET: 0 bytes are kept

# A connect waits while the listen queue is full; ``listen(0)`` holds one or two.
_MAX_FILLERS = 8


@dataclass(frozen=True)
class Hang(ListenerFault):
    """
    Leave every SYN unanswered.

    The connect itself times out. **Limit:** on Linux, if the process may not attach a socket
    filter, a SYN with a TTL of 255 is answered. Small devices that run lwIP may send it. Such a
    client is connected, and receives nothing.
    """

    kind: ClassVar[str] = "hang"

    def onPort(self, port: StreamPort) -> PortFault:
        """Make what acts on one port."""
        if sys.platform != "linux" or port.addressFamily == socket.AF_UNIX:
            return _FullQueue(port)
        return _DroppedSYNs(port)


class _DroppedSYNs:
    def __init__(self, port: StreamPort) -> None:
        self._socket = port.socket

    def begin(self) -> None:
        code = array("B", _DROP)
        try:
            program = struct.pack("HP", 1, code.buffer_info()[0])
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
        except OSError:
            self._dropUsual(True)

    def end(self) -> None:
        with suppress(OSError):  # there is none, or another process has removed it
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        self._dropUsual(False)

    def _dropUsual(self, drop: bool) -> None:
        from tcplab.listener.refusal import dropSYNs  # the list of faults does without Twisted

        dropSYNs(self._socket, drop)


class _FullQueue:
    def __init__(self, port: StreamPort) -> None:
        self._port = port
        self._socket = port.socket
        self._fillers: list[socket.socket] = []

    def begin(self) -> None:
        self._socket.listen(0)
        for _ in range(_MAX_FILLERS):
            filler = socket.socket(self._socket.family)
            self._fillers.append(filler)
            filler.setblocking(False)
            # Above a full queue a Unix socket refuses; TCP drops the SYN, which is sent again.
            filler.connect_ex(self._socket.getsockname())

    def end(self) -> None:
        fillers, self._fillers = self._fillers, []
        for filler in fillers:
            with filler, suppress(OSError):
                filler.getpeername()  # it is in the queue
                self._socket.accept()[0].close()
        self._socket.listen(self._port.backlog or socket.SOMAXCONN)
