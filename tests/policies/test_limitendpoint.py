"""Tests for `tcplab.policies.limitendpoint`, mostly by way of endpoint strings."""

from __future__ import annotations

import os
import socket
import ssl
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data
from zope.interface import implementer

from tcplab.listener.listener import Listener
from tcplab.observers import Observers
from tcplab.policies.admission import Admission
from tcplab.policies.deadlines import Deadlines
from tcplab.policies.descriptors import DescriptorsError
from tcplab.policies.limitendpoint import LimitedEndpoint, LimitedError
from tcplab.protocols import ConversationFactory, Echo
from tests.support.socket_server import Serving, Told, readAll
from tests.support.twistd_process import TWISTD, Commands

net: Any = reactor


class Greets(Protocol):
    """Send a greeting, and stay."""

    def connectionMade(self) -> None:
        self.transport.write(b"hello")  # type: ignore[union-attr]


def policiesOf(port: Any) -> list[Any]:
    listener = Listener.of(port, "limit", Observers())
    assert listener is not None
    return [each for each in listener.policies if isinstance(each, (Admission, Deadlines))]


TCP = "tcp:0:interface=127.0.0.1"


class Limiting(Serving):
    """Listen on endpoint strings as any Twisted server does."""

    async def listen(self, endpoint: str, factory: Any = None) -> Any:
        factory = factory or Factory.forProtocol(Greets)
        factory.noisy = False
        port = await serverFromString(net, endpoint).listen(factory)
        self.policies = policiesOf(port)
        self.addCleanup(self._end, port)
        self.host = port.getHost()
        return port

    async def _end(self, port: Any) -> None:
        if port.connected:
            await port.stopListening()
        policies = policiesOf(port)
        for listener in policies[0].listeners if policies else ():
            listener.abort()
            await listener.whenEmpty()
        for policy in policies:
            policy.stop()


class ServingTests(Limiting):
    """The other endpoint listens, with limits."""

    async def test_maxConnections(self) -> None:
        """Further clients wait, on TCP and on Unix sockets."""
        path = self.unixPath()
        for endpoint in (TCP, f"unix:{path}:mode=600"):
            port = await self.listen(f"limit:max=1:{endpoint}")
            socks = [socket.socket(port.socket.family) for _ in range(2)]
            for sock in socks:
                self.addCleanup(sock.close)
                await self.talk(sock.connect, port.socket.getsockname())
            self.assertEqual(await self.heard(socks[0]), b"hello")
            self.assertEqual(self.policies[0].connections, 1)
            socks[0].close()
            self.assertEqual(await self.heard(socks[1]), b"hello")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)

    async def test_deadlines(self) -> None:
        await self.listen(f"limit:idle=0.05:{TCP}")
        self.assertEqual(await self.ended(self.client()), b"reset")
        await self.listen(f"limit:handshake=0.05:{self.tlsEndpoint()}")
        self.assertEqual(await self.ended(self.client()), b"reset")

    async def test_maxPerPeer(self) -> None:
        """On either side of a wrapper: what connects to the port is counted."""
        for endpoint, header in (
            (f"limit:per-peer=1:{TCP}", b""),
            (f"limit:per-peer=1:haproxy:{TCP}", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
            (f"haproxy:limit:per-peer=1:{TCP}", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
        ):
            await self.listen(endpoint)
            sock = self.client()
            sock.sendall(header)
            self.assertEqual(await self.heard(sock), b"hello")
            self.assertEqual(await self.ended(self.client()), b"busy\r\n")

    async def test_web(self) -> None:
        """Twisted's web server works as ever, with and without TLS."""
        for endpoint in (TCP, self.tlsEndpoint()):
            root = Resource()
            root.putChild(b"", Data(b"x" * 1_000_000, "text/plain"))
            await self.listen(f"limit:max=9:idle=30:{endpoint}", Site(root))
            said = await self.talk(self.request, endpoint != TCP)
            head, _, body = said.partition(b"\r\n\r\n")
            self.assertIn(b"200 OK", head)
            self.assertEqual(len(body), 1_000_000)

    def request(self, secure: bool) -> bytes:
        sock = self.connect()
        if secure:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            sock = context.wrap_socket(sock)
        with sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return readAll(sock)

    async def test_halfClose(self) -> None:
        """Nothing stands between: a half-close arrives."""
        await self.listen(f"limit:max=5:{TCP}", ConversationFactory(Echo))
        sock = self.client()
        await self.talk(sock.sendall, b"x" * 50_000)
        sock.shutdown(socket.SHUT_WR)
        self.assertEqual(len(await self.ended(sock)), 50_000)


class PoliciesTests(Limiting):
    """The policies of the port."""

    async def test_limits(self) -> None:
        """They have the values that were written, or their defaults."""
        await self.listen(f"limit:max=7:per-peer=3:idle=60:handshake=4:write=20:{TCP}")
        admission, deadlines = self.policies
        self.assertIsInstance(deadlines, Deadlines)
        self.assertEqual((admission.maxConnections, admission.maxPerPeer), (7, 3))
        await self.listen(f"limit:{TCP}")
        admission = self.policies[0]
        self.assertGreater(admission.maxConnections, 200)  # what the descriptors allow
        self.assertIsNone(admission.maxPerPeer)

    async def test_takenOver(self) -> None:
        """Another listener of the port takes them over."""
        port = await self.listen(f"limit:per-peer=1:{TCP}")
        told = Told()
        other = Listener("other", Observers(told))
        other.addPort(port)
        self.assertEqual(await self.heard(self.client()), b"hello")
        self.assertEqual(await self.ended(self.client()), b"busy\r\n")
        self.assertEqual((len(told.opened), len(other.connections)), (1, 1))

    async def test_listenTwice(self) -> None:
        """Each port has policies of its own."""
        endpoint = LimitedEndpoint(net, serverFromString(net, TCP), maxConnections=3)
        ports = [await endpoint.listen(Factory.forProtocol(Greets)) for _ in range(2)]
        for port in ports:
            self.addCleanup(port.stopListening)
        self.assertIsNot(policiesOf(ports[0])[0], policiesOf(ports[1])[0])


@implementer(IStreamServerEndpoint)
class Endpoint:
    """Listen with what the test gives."""

    def __init__(self, port: Any) -> None:
        self.port = port
        self.asked = 0

    def listen(self, factory: Any) -> Any:
        self.asked += 1
        return self.port if isinstance(self.port, Deferred) else succeed(self.port)


@implementer(IListeningPort)
class StrangePort:
    stopped = 0

    def stopListening(self) -> None:
        self.stopped += 1


class RefusedTests(SynchronousTestCase):
    """What cannot be limited does not listen."""

    def listen(self, endpoint: Endpoint, **limits: Any) -> Any:
        limited: Any = LimitedEndpoint(MemoryReactorClock(), endpoint, **limits)
        return limited.listen(Factory())

    def test_strangePort(self) -> None:
        """Only Twisted's own stream ports can be watched; another is closed again."""
        port = StrangePort()
        error = self.failureResultOf(self.listen(Endpoint(port)), LimitedError).value
        self.assertEqual(port.stopped, 1)
        self.assertRegex(str(error), "^limit: .*StrangePort.* is not one of Twisted's own stream")

    def test_noPort(self) -> None:
        """Nor can the standard streams, which are no port."""
        self.failureResultOf(self.listen(Endpoint(object())), LimitedError)

    def test_tooFewDescriptors(self) -> None:
        """Nothing is bound for what cannot be served."""
        endpoint = Endpoint(StrangePort())
        failure = self.failureResultOf(
            self.listen(endpoint, maxConnections=10**8), DescriptorsError
        )
        self.assertEqual(endpoint.asked, 0)
        self.assertIn("100000000 connections need", str(failure.value))

    def test_cannotListen(self) -> None:
        """What the other endpoint says is passed on."""
        error = CannotListenError("", 80, OSError("in use"))
        failure = self.failureResultOf(self.listen(Endpoint(fail(error))))
        self.assertIs(failure.value, error)


class TwistdTests(Commands):
    """Twisted's own commands."""

    async def test_web(self) -> None:
        """The web server of Twisted, limited by its endpoint."""
        self.write("hello.txt", "hi there")
        command = self.start(
            *TWISTD,
            "--pidfile=",
            *("web", "--path", ".", "--listen"),
            "limit:max=2:per-peer=1:idle=60:tcp:0:interface=127.0.0.1",
        )
        port = int((await command.line(r"Site starting on (\d+)"))[1])
        peer, other = self.connect(port), self.connect(port)
        self.assertEqual(await self.talk(other, b""), b"busy\r\n")
        said = await self.talk(peer, b"GET /hello.txt HTTP/1.0\r\n\r\n")
        self.assertTrue(said.endswith(b"hi there"), said)
        await command.line("refused=1 why=max-per-peer limit=1 last=127.0.0.1")
        command.signal("TERM")
        await command.ended()
        self.assertNotIn("Traceback", command.out + command.err)

    async def test_mistake(self) -> None:
        """What is said last is what is wrong."""
        command = self.start(*TWISTD, "--pidfile=", "web", "--listen", "limit:max=many:tcp:0")
        await command.ended()
        said = (command.out + command.err).strip().splitlines()[-1]
        self.assertIn("max=many: give a whole number above 0, as in max=100", said)
