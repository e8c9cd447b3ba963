"""Tests for `tcplab.faults.faultendpoint`, on real sockets."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import (
    clientFromString,
    connectProtocol,
    serverFromString,
    wrapClientTLS,
)
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.protocols.wire import Echo as WireEcho
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from tcplab.faults import FaultError
from tcplab.faults.faultendpoint import FaultedClientEndpoint, FaultedServerEndpoint
from tcplab.listener.listener import Listener
from tcplab.observers import Observers
from tcplab.protocols import ConversationFactory, Dialogue, Echo
from tests.support.certificates import localhostFile
from tests.support.fault_server import Breaking, Heard, exchange

DATA = bytes(n % 251 for n in range(100_000))


def logged(case: TestCase) -> list[LogEvent]:
    """Return what is logged from here on."""
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    case.addCleanup(globalLogPublisher.removeObserver, events.append)
    return events


LIMITED = ("limit:idle=9:fault:half_close,after=2B", "fault:half_close,after=2B:limit:idle=9")


def listenerOf(port: Any) -> Any:
    return Listener.of(port, "limit", Observers())


class ServerTests(Breaking):
    """Any Twisted server."""

    async def listen(self, endpoint: str, factory: Any) -> Any:
        port: Any = await serverFromString(reactor, endpoint).listen(factory)
        self.addCleanup(port.stopListening)
        self.host = port.getHost()
        return port

    async def test_stranger(self) -> None:
        """One that knows nothing of tcplab."""
        endpoint = "fault:limit_data,bytes=10B,conn=1:tcp:0:interface=127.0.0.1"
        await self.listen(endpoint, Factory.forProtocol(WireEcho))
        got = await self.talk(exchange, self.connect(), DATA, False)
        self.assertEqual(got, (DATA[:10], "fin"))
        with self.connect() as sock:
            sock.sendall(b"hello")
            self.assertEqual(await self.talk(sock.recv, 100), b"hello")

    async def test_nested(self) -> None:
        """Several, in their order: what is said is corrupted, then cut at a corrupted byte."""
        endpoint = (
            r"fault:corrupt,every=1B,bits=8:fault:half_close,match=\\xff:tcp:0:interface=127.0.0.1"
        )
        await self.listen(endpoint, ConversationFactory(Echo))
        got = await self.talk(exchange, self.connect(), bytes(5))
        self.assertEqual(got, (b"\xff", "fin"))

    async def test_told(self) -> None:
        """A hit has its line, and nothing else has, whatever else there is around the port."""
        for wrappers in "fault:half_close,after=2B", *LIMITED:
            events = logged(self)
            await self.listen(f"{wrappers}:tcp:0:interface=127.0.0.1", ConversationFactory(Echo))
            await self.talk(exchange, self.connect(), b"hello")
            said = [formatEvent(each) for each in events if "tcplab" in each["log_namespace"]]
            self.assertEqual(said, ["fault half_close at=2"])

    async def test_takenOver(self) -> None:
        """A listener that watches the port afterwards has the faults, and is told of the hits."""
        port = await self.listen(
            "limit:idle=9:fault:half_close,after=2B:fault:latency,latency=5:tcp:0"
            ":interface=127.0.0.1",
            ConversationFactory(Echo),
        )
        told = Heard()
        own = listenerOf(port)
        self.assertEqual(own.name, "limit")
        listener = Listener("mine", Observers(told))
        listener.addPort(port)
        self.assertEqual(own.policies, ())
        got = await self.talk(exchange, self.connect(), b"hello")
        self.assertEqual(got, (b"he", "fin"))
        self.assertEqual((await told.ending()).why, "fault")
        self.assertEqual(set(told.hits), {(1, "half_close at=2"), (1, "latency at=0")})
        for policy in listener.policies:
            policy.stop()

    async def test_refuse(self) -> None:
        port = await self.listen(
            "fault:refuse,after=1min:tcp:0:interface=127.0.0.1", ConversationFactory(Echo)
        )
        [faults] = listenerOf(port).policies
        self.assertEqual((await self.talk(exchange, self.connect(), b"hello"))[0], b"hello")
        faults.add("refuse")
        with self.assertRaises(ConnectionRefusedError):
            self.connect()
        faults.clear()

    def test_noListener(self) -> None:
        """An endpoint has one place to listen, without a name."""
        problem = str(
            self.assertRaises(FaultError, serverFromString, reactor, "fault:stall,for=1s@x:tcp:0")
        )
        self.assertIn("leave @x out", problem)

    async def test_noPort(self) -> None:
        """What is no stream port of Twisted's cannot be broken, and listens no more."""

        @implementer(IListeningPort)
        class Other:
            stopped = False

            def listen(self, factory: Any) -> Any:
                return maybeDeferred(lambda: self)

            def stopListening(self) -> None:
                self.stopped = True

        other: Any = Other()
        with self.assertRaises(FaultError):
            await FaultedServerEndpoint(reactor, other, "stall").listen(Factory())
        self.assertTrue(other.stopped)


class Ask(Dialogue):
    """A client's conversation."""

    async def converse(self) -> bytes:
        self.send(b"hello")
        self.transport.loseWriteConnection()
        got = b""
        async for message in self.messages():
            got += message
        return got


class Waits(Protocol):
    """Say something, and note what is received and the end."""

    def __init__(self, said: bytes, size: int) -> None:
        self.said = said
        self.size = size
        self.got = b""
        self.heard: Deferred[bytes] = Deferred()
        self.over: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.transport.write(self.said)

    def dataReceived(self, data: bytes) -> None:
        self.got += data
        if len(self.got) == self.size:
            self.heard.callback(self.got)

    def connectionLost(self, reason: Any = None) -> None:
        self.over.callback(None)


class ClientTests(Breaking):
    """Any Twisted client."""

    def endpoint(self, fault: str) -> Any:
        return clientFromString(reactor, f"fault:{fault}:tcp:127.0.0.1:{self.host.port}")

    async def test_directions(self) -> None:
        """What is read goes downstream. A hit has its line, under the name of the protocol."""
        events = logged(self)
        await self.serve(ConversationFactory(Echo))
        for keys, got in (("after=2B", b"he"), ("after=3B,direction=upstream", b"hel")):
            endpoint = self.endpoint(f"half_close,{keys}")
            for _ in range(2):
                ask = await connectProtocol(endpoint, Ask())
                self.assertEqual(await ask.whenFinished(), got)
        lines = [(each["log_system"], formatEvent(each)) for each in events if "fault" in each]
        self.assertEqual(lines[0], ("Ask,client", "fault half_close at=2"))
        self.assertEqual(len(lines), 4)

    async def test_plain(self) -> None:
        """A protocol of Twisted's; only the connections that are meant."""
        await self.serve(ConversationFactory(Echo, greeting=b"hi"))
        endpoint = self.endpoint("reset_peer,conn=1,after=2B")

        for _ in range(2):
            waits = await connectProtocol(endpoint, Waits(b"", 2))
            self.assertEqual(await waits.heard, b"hi")
            self.assertIsInstance(waits, Waits)
            if waits.transport.protocol is waits:
                waits.transport.loseConnection()
            await waits.over

    async def test_tls(self) -> None:
        """Above TLS."""
        pem = localhostFile()
        await self.serve(
            ConversationFactory(Echo),
            f"ssl:0:interface=127.0.0.1:privateKey={pem}:certKey={pem}",
        )
        with open(pem) as file:
            trusted = trustRootFromCertificates([Certificate.loadPEM(file.read())])
        endpoint = FaultedClientEndpoint(
            reactor,
            wrapClientTLS(
                optionsForClientTLS("localhost", trusted),
                clientFromString(reactor, f"tcp:127.0.0.1:{self.host.port}"),
            ),
            "slicer,average_size=1,direction=both",
        )
        waits = await connectProtocol(endpoint, Waits(b"hello", 5))
        self.assertIsInstance(waits, Waits)
        self.assertEqual(await waits.heard, b"hello")
        waits.transport.loseConnection()
        await waits.over

    async def test_mistakes(self) -> None:
        """What only a listener has."""
        nothing: Any = None
        for fault in ("refuse", "hang", "stall@x", "nonsense"):
            self.assertRaises(FaultError, FaultedClientEndpoint, reactor, nothing, fault)
