"""The fault ``refuse``: connections are refused while the address stays ours."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from tcplab.faults.fault import ListenerFault, PortFault, StreamPort


@dataclass(frozen=True)
class Refuse(ListenerFault):
    """
    Refuse every connection.

    The kernel answers each SYN with RST. The address stays bound to this process.
    """

    kind: ClassVar[str] = "refuse"
    precedence: ClassVar[int] = 1  # of several faults the one that a client notices at once

    def onPort(self, port: StreamPort) -> PortFault:
        """Make what acts on one port."""
        return _RefusingUnix(port) if port.addressFamily == socket.AF_UNIX else _RefusingTCP(port)


class _RefusingTCP:
    def __init__(self, port: StreamPort) -> None:
        self._port = port
        self._socket = port.socket

    def begin(self) -> None:
        address = self._socket.getsockname()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # unless a process that shares it has
        with suppress(OSError):
            # A port that the system chose is free again: take it. Any other is ours still.
            self._socket.bind(address)
        # With this option set, another process with the option could bind the address now.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)

    def end(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.listen(self._port.backlog or socket.SOMAXCONN)


class _RefusingUnix:
    def __init__(self, port: StreamPort) -> None:
        self._port = port
        self._socket = port.socket

    def begin(self) -> None:
        # A Unix socket that was shut down cannot listen again: another one takes its place.
        path = os.fsencode(self._socket.getsockname())
        with socket.socket(socket.AF_UNIX) as new:
            new.setblocking(False)
            os.dup2(new.fileno(), self._socket.fileno(), inheritable=False)
        if path.startswith(b"\0"):
            self._socket.bind(path)
            return
        mode = os.stat(path).st_mode
        os.unlink(path)
        self._socket.bind(path)
        os.chmod(path, mode & 0o7777)

    def end(self) -> None:
        self._socket.listen(self._port.backlog or socket.SOMAXCONN)
