"""Tests for `tcplab.faults.faultendpoint`, on real sockets."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
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
from tcplab.protocols import ConversationFactory, Echo
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

    async def test_connections(self) -> None:
        """A protocol that knows nothing of tcplab; several faults, in their order."""
        corrupted = r"corrupt,every=1B,bits=8:fault:half_close,match=\\xff"
        for fault, factory, sent, got in (
            ("limit_data,bytes=10B", Factory.forProtocol(WireEcho), DATA, DATA[:10]),
            (corrupted, ConversationFactory(Echo), bytes(5), b"\xff"),
        ):
            await self.listen(f"fault:{fault}:tcp:0:interface=127.0.0.1", factory)
            finish = factory.protocol is not WireEcho
            answer = await self.talk(exchange, self.connect(), sent, finish)
            self.assertEqual(answer, (got, "fin"))

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
        text = "fault:stall,for=1s@x:tcp:0"
        problem = str(self.assertRaises(FaultError, serverFromString, reactor, text))
        self.assertIn("leave @x out", problem)

    async def test_noPort(self) -> None:
        """What is no stream port of Twisted's cannot be broken, and listens no more."""

        @implementer(IListeningPort)
        class Other:
            stopped = False

            def stopListening(self) -> None:
                self.stopped = True

        for port in (Other(), None):
            other: Any = SimpleNamespace(listen=lambda factory, port=port: succeed(port))
            with self.assertRaises(FaultError):
                await FaultedServerEndpoint(reactor, other, "stall").listen(Factory())
            self.assertTrue(port is None or port.stopped)


class Says(Protocol):
    """Say hello, and close when that has been answered; ``over`` fires with what was received."""

    transport: Any

    def __init__(self) -> None:
        self.got = b""
        self.over: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        self.transport.write(b"hello")

    def dataReceived(self, data: bytes) -> None:
        self.got += data
        if self.got == b"hello":
            self.transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        self.over.callback(self.got)


class ClientTests(Breaking):
    """Any Twisted client."""

    async def answer(self, endpoint: Any) -> bytes:
        says = await connectProtocol(endpoint, Says())
        self.assertIsInstance(says, Says)
        return await says.over

    async def test_connections(self) -> None:
        """What is read goes downstream. A hit has its line, under the name of the protocol."""
        events = logged(self)
        await self.serve(ConversationFactory(Echo))
        for fault, answers in (
            ("half_close,after=2B", [b"he", b"he"]),
            ("half_close,after=3B,direction=upstream", [b"hel", b"hel"]),
            ("reset_peer,conn=1,after=2B", [b"he", b"hello"]),
        ):
            endpoint = clientFromString(reactor, f"fault:{fault}:tcp:127.0.0.1:{self.host.port}")
            self.assertEqual([await self.answer(endpoint) for _ in answers], answers)
        lines = [(each["log_system"], formatEvent(each)) for each in events if "fault" in each]
        self.assertEqual(lines[0], ("Says,client", "fault half_close at=2"))
        self.assertEqual(len(lines), 5)

    async def test_tls(self) -> None:
        """Above TLS."""
        await self.serve(ConversationFactory(Echo), self.tlsEndpoint())
        with open(localhostFile()) as file:
            trusted = trustRootFromCertificates([Certificate.loadPEM(file.read())])
        endpoint = FaultedClientEndpoint(
            reactor,
            wrapClientTLS(
                optionsForClientTLS("localhost", trusted),
                clientFromString(reactor, f"tcp:127.0.0.1:{self.host.port}"),
            ),
            "slicer,average_size=1,direction=both",
        )
        self.assertEqual(await self.answer(endpoint), b"hello")

    async def test_mistakes(self) -> None:
        """What only a listener has."""
        nothing: Any = None
        for fault in ("refuse", "hang", "stall@x", "nonsense"):
            self.assertRaises(FaultError, FaultedClientEndpoint, reactor, nothing, fault)
