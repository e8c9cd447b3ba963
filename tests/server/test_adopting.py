"""Ports on sockets that listen already."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.protocols.wire import Echo

from tcplab.server.adopting import AdoptingReactor
from tcplab.server.inherited import HandedOverError, Inherited
from tests.certificates import localhostFile
from tests.serving import Serving


class Adopting(Serving):
    def listening(self, family: int = socket.AF_INET, address: Any = ("127.0.0.1", 0)) -> Any:
        self.owned = socket.socket(family)
        self.addCleanup(self.owned.close)
        self.owned.bind(address)
        self.owned.listen()
        return self.owned

    async def adopted(self, endpoint: str, *sockets: socket.socket) -> Any:
        inherited = Inherited([os.dup(each.fileno()) for each in sockets or (self.owned,)])
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
                    AdoptingReactor(reactor, Inherited([os.dup(self.owned.fileno())])), endpoint
                ).listen(Factory()),
                HandedOverError,
            )

    async def test_all_else_is_the_reactors(self) -> None:
        adopting = AdoptingReactor(reactor, Inherited([]))
        self.assertEqual(adopting.seconds, reactor.seconds)
