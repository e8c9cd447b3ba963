"""A lab as a service on a real port, and one exchange with it."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from tcplab.config.options import fromWords
from tcplab.observers import Observers
from tcplab.server.service import LabService
from tests.support.log_capture import Logged
from tests.support.socket_server import Serving, readAll


class ServingLab(Logged, Serving):
    """Serve echo, with faults."""

    def lab(self, *faults: str, observer: Any = None, **words: Any) -> LabService:
        settings = fromWords(serve=["echo@tcp:0:interface=127.0.0.1"], faults=faults, **words)
        service = LabService(settings, reactor, Observers(*filter(None, [observer])))
        service.startService()
        self.addCleanup(service.stopService)
        self.host: Any = service.listeners[0].host
        return service

    def exchange(self, said: bytes) -> Deferred[bytes]:
        """Send something, and receive to the end."""

        def talk() -> bytes:
            with self.connect() as sock:
                sock.sendall(said)
                sock.shutdown(socket.SHUT_WR)
                return readAll(sock)

        return self.talk(talk)
