"""Tests for `tcplab.server.inheritedsockets`."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.protocols.wire import Echo
from twisted.trial.unittest import SynchronousTestCase

from tcplab.server import inheritedsockets
from tcplab.server.inheritedsockets import (
    AdoptingReactor,
    InheritedSocketError,
    InheritedSockets,
    listenFDs,
)
from tests.support.certificates import localhostFile
from tests.support.socket_server import Serving


class EnvironmentTests(SynchronousTestCase):
    def test_variables(self) -> None:
        for words, found in (
            ({"LISTEN_PID": "7", "LISTEN_FDS": "2"}, [3, 4]),
            ({"LISTEN_PID": "7", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}, [3]),
            ({"LISTEN_PID": "8", "LISTEN_FDS": "1"}, []),
            ({"LISTEN_FDS": "1"}, []),
            ({"LISTEN_PID": "7", "LISTEN_FDS": ""}, []),
            ({"LISTEN_PID": "7", "LISTEN_FDS": "-1"}, []),
            ({"LISTEN_PID": "7", "LISTEN_FDS": "x"}, []),
            ({"LISTEN_PID": "7"}, []),
        ):
            self.assertEqual(listenFDs(words, 7), found)

    def test_startEnvironment(self) -> None:
        """The words of the start are read, or where they cannot be, those of now."""
        self.assertEqual(listenFDs(), [])
        self.assertEqual(inheritedsockets._startEnvironment().get("PATH"), os.environ["PATH"])
        self.patch(inheritedsockets, "ENVIRONMENT", "/no/such/file")
        self.assertIs(inheritedsockets._startEnvironment(), os.environ)


def listening(
    test: SynchronousTestCase, family: int = socket.AF_INET, address: Any = ("127.0.0.1", 0)
) -> socket.socket:
    """Make a socket that listens."""
    found = socket.socket(family)
    test.addCleanup(found.close)
    found.bind(address)
    found.listen()
    return found


def inherited(*sockets: socket.socket) -> InheritedSockets:
    return InheritedSockets([os.dup(each.fileno()) for each in sockets])


class NextTests(SynchronousTestCase):
    def test_order(self) -> None:
        """One after the other, until none is left."""
        sockets = [listening(self) for _ in range(2)]
        found = inherited(*sockets)
        for each in sockets:
            taken = found.next(socket.AF_INET)
            self.assertEqual(taken.getsockname(), each.getsockname())
            self.assertFalse(taken.getblocking())
            self.assertFalse(os.get_inheritable(taken.fileno()))
            taken.close()
        raised = self.assertRaises(InheritedSocketError, found.next, socket.AF_INET)
        self.assertIn("no socket that was handed over is left", str(raised))

    def test_mismatch(self) -> None:
        four, unix = listening(self), listening(self, socket.AF_UNIX, b"")
        silent = socket.socket()
        self.addCleanup(silent.close)
        number = four.getsockname()[1]
        internet = socket.AF_INET, socket.AF_INET6
        for found, families, port, problem in (
            (four, (socket.AF_UNIX,), 0, "is one of AF_INET:"),
            (unix, internet, 0, "is one of AF_UNIX:"),
            (four, internet, 1, f"listens on port {number}"),
            (silent, internet, 0, "a socket that does not listen"),
        ):
            next = inherited(found).next
            raised = self.assertRaises(InheritedSocketError, next, *families, port=port)
            self.assertIn(problem, str(raised))
        inherited(four).next(socket.AF_INET, port=number).close()

    def test_noSocket(self) -> None:
        nothing = os.open(os.devnull, os.O_RDONLY)
        self.addCleanup(os.close, nothing)
        raised = self.assertRaises(
            InheritedSocketError, InheritedSockets([nothing]).next, socket.AF_INET
        )
        self.assertIn(f"descriptor {nothing} is no socket", str(raised))


class AdoptTests(Serving):
    owned: socket.socket

    async def adopted(self, endpoint: str, *sockets: socket.socket) -> Any:
        self.reactor = AdoptingReactor(reactor, inherited(*sockets or (self.owned,)))
        factory = Factory.forProtocol(Echo)
        port = await serverFromString(self.reactor, endpoint).listen(factory)
        self.addCleanup(port.stopListening)
        return port

    async def assertServed(self) -> None:
        """Check that an echo is served where the socket listens."""

        def echo() -> bytes:
            with socket.socket(self.owned.family) as peer:
                peer.settimeout(10)
                peer.connect(self.owned.getsockname())
                peer.sendall(b"x")
                return peer.recv(1)

        self.assertEqual(await self.talk(echo), b"x")

    async def test_TCP(self) -> None:
        """A port that stops leaves the socket to other processes."""
        for family, address, endpoint in (
            (socket.AF_INET, ("127.0.0.1", 0), "tcp:0"),
            (socket.AF_INET6, ("::1", 0), "tcp6:0"),
        ):
            self.owned = listening(self, family, address)
            first = await self.adopted(endpoint)
            host = first.getHost()
            self.assertEqual((host.host, host.port), self.owned.getsockname()[:2])
            await self.assertServed()
            await self.adopted(endpoint)
            await first.stopListening()
            await self.assertServed()

    async def test_unixSocket(self) -> None:
        """It stays where it is, with its mode, and without a lock."""
        path = self.unixPath()
        self.owned = listening(self, socket.AF_UNIX, path)
        os.chmod(path, 0o600)
        port = await self.adopted(f"unix:{path}")
        self.assertEqual(os.fsdecode(port.getHost().name), path)
        await self.assertServed()
        await port.stopListening()
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertFalse(os.path.lexists(path + ".lock"))

    async def test_TLS(self) -> None:
        pem = localhostFile(self.folder())
        self.owned = listening(self)
        port = await self.adopted(f"ssl:0:privateKey={pem}:certKey={pem}")
        self.assertIsInstance(port.factory, TLSMemoryBIOFactory)

    async def test_systemd(self) -> None:
        """Its endpoints adopt the next socket too."""
        self.owned = listening(self)
        await self.adopted("tcp:0", self.owned, self.owned)
        port = self.reactor.adoptStreamPort(99, socket.AF_INET, Factory.forProtocol(Echo))
        self.addCleanup(port.stopListening)
        self.assertEqual(port.getHost().port, self.owned.getsockname()[1])

    async def test_mismatch(self) -> None:
        self.owned = listening(self)
        for endpoint in ("unix:/tmp/x", "tcp:1"):
            await self.assertFailure(
                Deferred.fromCoroutine(self.adopted(endpoint)), InheritedSocketError
            )

    def test_otherMethods(self) -> None:
        """They are the reactor's."""
        adopting = AdoptingReactor(reactor, InheritedSockets([]))
        self.assertEqual(adopting.seconds, reactor.seconds)
