"""Tests for `tcplab.server.inheritedsockets`."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet import reactor
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

    def test_our_own_process_was_given_none(self) -> None:
        self.assertEqual(listenFDs(), [])

    def test_words_of_the_start_are_read(self) -> None:
        self.assertEqual(inheritedsockets._startEnvironment().get("PATH"), os.environ["PATH"])

    def test_where_they_cannot_be_read(self) -> None:
        self.patch(inheritedsockets, "ENVIRONMENT", "/no/such/file")
        self.assertIs(inheritedsockets._startEnvironment(), os.environ)


class Taking(SynchronousTestCase):
    def listening(self, family: int = socket.AF_INET) -> socket.socket:
        found = socket.socket(family)
        self.addCleanup(found.close)
        found.bind(("127.0.0.1", 0) if family == socket.AF_INET else b"")
        found.listen()
        return found

    def inherited(self, *sockets: socket.socket) -> InheritedSockets:
        return InheritedSockets([os.dup(each.fileno()) for each in sockets])

    def test_one_after_the_other(self) -> None:
        sockets = [self.listening() for _ in range(2)]
        found = self.inherited(*sockets)
        for each in sockets:
            taken = found.next(socket.AF_INET)
            self.assertEqual(taken.getsockname(), each.getsockname())
            self.assertFalse(taken.getblocking())
            self.assertFalse(os.get_inheritable(taken.fileno()))
            taken.close()

    def test_none_is_left(self) -> None:
        raised = self.assertRaises(InheritedSocketError, InheritedSockets([]).next, socket.AF_INET)
        self.assertIn("no socket that was handed over is left", str(raised))

    def test_mismatch(self) -> None:
        four, unix = self.listening(), self.listening(socket.AF_UNIX)
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
            inherited = self.inherited(found)
            raised = self.assertRaises(InheritedSocketError, inherited.next, *families, port=port)
            self.assertIn(problem, str(raised))
        self.inherited(four).next(socket.AF_INET, port=number).close()

    def test_it_is_no_socket(self) -> None:
        nothing = os.open(os.devnull, os.O_RDONLY)
        self.addCleanup(os.close, nothing)
        raised = self.assertRaises(
            InheritedSocketError, InheritedSockets([nothing]).next, socket.AF_INET
        )
        self.assertIn(f"descriptor {nothing} is no socket", str(raised))


class Adopting(Serving):
    def listening(self, family: int = socket.AF_INET, address: Any = ("127.0.0.1", 0)) -> Any:
        self.owned = socket.socket(family)
        self.addCleanup(self.owned.close)
        self.owned.bind(address)
        self.owned.listen()
        return self.owned

    async def adopted(self, endpoint: str, *sockets: socket.socket) -> Any:
        inherited = InheritedSockets([os.dup(each.fileno()) for each in sockets or (self.owned,)])
        self.reactor = AdoptingReactor(reactor, inherited)
        factory = Factory.forProtocol(Echo)
        port = await serverFromString(self.reactor, endpoint).listen(factory)
        self.addCleanup(port.stopListening)
        return port

    def echo(self, family: int = socket.AF_INET) -> bytes:
        with socket.socket(family) as peer:
            peer.settimeout(10)
            peer.connect(self.owned.getsockname())
            peer.sendall(b"x")
            return peer.recv(1)

    async def test_TCP(self) -> None:
        self.listening()
        port = await self.adopted("tcp:0")
        self.assertEqual(port.getHost().port, self.owned.getsockname()[1])
        self.assertEqual(await self.talk(self.echo), b"x")

    async def test_IPv6(self) -> None:
        self.listening(socket.AF_INET6, ("::1", 0))
        port = await self.adopted("tcp6:0")
        self.assertEqual(port.getHost().host, "::1")
        self.assertEqual(await self.talk(self.echo, socket.AF_INET6), b"x")

    async def test_stopping_leaves_it_to_the_others(self) -> None:
        self.listening()
        first = await self.adopted("tcp:0")
        await self.adopted("tcp:0")
        await first.stopListening()
        self.assertEqual(await self.talk(self.echo), b"x")

    async def test_Unix_socket_stays_where_it_is_and_as_it_is(self) -> None:
        path = self.unixPath()
        self.listening(socket.AF_UNIX, path)
        os.chmod(path, 0o600)
        port = await self.adopted(f"unix:{path}")
        self.assertEqual(os.fsdecode(port.getHost().name), path)
        self.assertEqual(await self.talk(self.echo, socket.AF_UNIX), b"x")
        await port.stopListening()
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertFalse(os.path.lexists(path + ".lock"))

    async def test_TLS(self) -> None:
        pem = localhostFile(self.folder())
        self.listening()
        port = await self.adopted(f"ssl:0:privateKey={pem}:certKey={pem}")
        self.assertIsInstance(port.factory, TLSMemoryBIOFactory)

    async def test_systemds_endpoints_adopt_the_next_too(self) -> None:
        self.listening()
        await self.adopted("tcp:0", self.owned, self.owned)
        factory = Factory.forProtocol(Echo)
        port = self.reactor.adoptStreamPort(99, socket.AF_INET, factory)
        self.addCleanup(port.stopListening)
        self.assertEqual(port.getHost().port, self.owned.getsockname()[1])

    async def test_what_does_not_fit_is_refused(self) -> None:
        self.listening()
        for endpoint in ("unix:/tmp/x", "tcp:1"):
            await self.assertFailure(
                serverFromString(
                    AdoptingReactor(reactor, InheritedSockets([os.dup(self.owned.fileno())])),
                    endpoint,
                ).listen(Factory()),
                InheritedSocketError,
            )

    async def test_all_else_is_the_reactors(self) -> None:
        adopting = AdoptingReactor(reactor, InheritedSockets([]))
        self.assertEqual(adopting.seconds, reactor.seconds)
