"""Tests for `tcplab.policies.limitendpoint`, mostly by way of endpoint strings."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tcplab.listener.listener import Listener
from tcplab.observers import Observers
from tcplab.policies.admission import Admission
from tcplab.policies.deadlines import Deadlines
from tcplab.policies.descriptors import DescriptorsError
from tcplab.policies.limitendpoint import LimitedEndpoint, LimitedError
from tcplab.protocols import ConversationFactory, Echo
from tests.support.socket_server import Meeting, Serving, Told
from tests.support.twistd_process import TWISTD, Commands

net: Any = reactor


def policiesOf(port: Any) -> list[Any]:
    listener = Listener.of(port, "limit", Observers())
    assert listener is not None
    return [each for each in listener.policies if isinstance(each, (Admission, Deadlines))]


TCP = "tcp:0:interface=127.0.0.1"


class Limiting(Serving):
    """Listen on endpoint strings as any Twisted server does."""

    async def listen(self, endpoint: str, factory: Any = None) -> Any:
        port = await serverFromString(net, endpoint).listen(factory or Meeting(b"hello"))
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


class ListenTests(Limiting):
    """The other endpoint listens, with limits."""

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

    async def test_deadlines(self) -> None:
        for endpoint in (f"idle=0.05:{TCP}", f"handshake=0.05:{self.tlsEndpoint()}"):
            await self.listen(f"limit:{endpoint}")
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

    async def test_halfClose(self) -> None:
        """Nothing stands between: a half-close arrives."""
        await self.listen(f"limit:max=5:{TCP}", ConversationFactory(Echo))
        sock = self.client()
        sock.sendall(b"x" * 5000)
        sock.shutdown(socket.SHUT_WR)
        self.assertEqual(len(await self.ended(sock)), 5000)

    async def test_takenOver(self) -> None:
        """Another listener of the port takes its policies over."""
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
        ports = [await endpoint.listen(Meeting()) for _ in range(2)]
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
    def test_refused(self) -> None:
        """What cannot be limited does not listen, and what the other endpoint says is passed on."""
        error = CannotListenError("", 80, OSError("in use"))
        other = " is not one of Twisted's own stream ports"
        for made, limits, kind, problem in (
            (port := StrangePort(), {}, LimitedError, f"limit: .*StrangePort.*{other}"),
            (object(), {}, LimitedError, f"limit: .*{other}"),  # as the standard streams
            (fail(error), {}, CannotListenError, "in use"),
            (None, {"maxConnections": 10**8}, DescriptorsError, "100000000 connections need"),
        ):
            endpoint = Endpoint(made)
            limited: Any = LimitedEndpoint(MemoryReactorClock(), endpoint, **limits)
            failure = self.failureResultOf(limited.listen(Factory()), kind)
            self.assertRegex(str(failure.value), problem)
            self.assertEqual(endpoint.asked, 0 if limits else 1)  # nothing is bound in vain
        self.assertEqual(port.stopped, 1)


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
