"""Tests for `tcplab.faults.filter`."""

from __future__ import annotations

import contextlib
import socket
import threading
from functools import partial
from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import LoopingCall
from twisted.protocols.policies import ProtocolWrapper
from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults.filter import Splice
from tcplab.protocols import Conversation, ConversationFactory, Dialogue, Echo, Greeting, Lines
from tcplab.protocols.services import Chargen
from tcplab.wire.texts import chargen
from tests.support.certificates import overTLS
from tests.support.fault_ports import HELLO
from tests.support.fault_server import Breaking, exchange, toTheEnd


class Recorder:
    """A transport, or a wrapper of one, that notes what is called on it."""

    def __init__(self, **attributes: Any) -> None:
        self.calls: list[Any] = []
        self.disconnected = False
        vars(self).update(attributes)

    def write(self, data: bytes) -> None:
        self.calls.append(data)

    def loseConnection(self) -> None:
        self.calls.append("close")

    def __getattr__(self, name: str) -> Any:
        return partial(self.calls.append, name)


class Wrapper(ProtocolWrapper):
    """A layer between a transport and a protocol, as TLS is one."""

    def __init__(self, protocol: object, transport: object = None) -> None:
        self.wrappedProtocol: Any = protocol
        self.transport: Any = transport


class SpliceTests(SynchronousTestCase):
    """Between a transport and its protocol; `test_filter_models` has it replaced and wrapped."""

    def setUp(self) -> None:
        self.protocol = Protocol()
        self.filter: Any = Protocol()
        self.covered: list[bytes] = []

    def insert(self, transport: Any) -> Splice:
        splice = Splice(transport, self.filter)
        splice.insert({"write": self.covered.append, "loseWriteConnection": self.fail})
        return splice

    def test_place(self) -> None:
        """It is the protocol's, also under the name that a wrapper like TLS has for it."""
        places: dict[str, Any] = {
            "protocol": Recorder(protocol=self.protocol),
            "wrappedProtocol": Wrapper(self.protocol),
        }
        for name, transport in places.items():
            before = dict(vars(transport))
            splice = self.insert(transport)
            splice.reassert()
            self.assertIs(getattr(transport, name), self.filter)
            self.assertIs(self.filter.wrappedProtocol, self.protocol)
            self.assertIs(transport.filter, self.filter)
            for leave in (splice.remove, splice.reassert):
                leave()
                self.assertEqual(vars(transport), before)

    def test_methods(self) -> None:
        """The protocol calls the covers, and the splice the transport's own."""
        transport = Recorder(protocol=self.protocol)
        splice = self.insert(transport)
        transport.write(b"a")
        splice.write(b"b")
        splice.loseConnection()
        self.assertEqual((self.covered, transport.calls), ([b"a"], [b"b", "close"]))
        splice.remove()
        transport.write(b"c")
        self.assertEqual(transport.calls[2:], [b"c"])

    def test_borrowed(self) -> None:
        """A method that a wrapper has from what it wraps is looked up when it is called."""
        transport = Wrapper(self.protocol)
        splice = self.insert(transport)
        transport.transport = Recorder()  # it is connected only now
        splice.write(b"a")
        splice.resumeProducing()
        splice.loseWriteConnection()
        transport.write(b"b")
        calls = [b"a", "resumeProducing", "loseWriteConnection"]
        self.assertEqual((self.covered, transport.transport.calls), ([b"b"], calls))
        self.assertRaises(self.failureException, transport.loseWriteConnection)

    def test_ownMethod(self) -> None:
        """What was set on the instance before is set again; another cover is left alone."""
        own: list[bytes] = []
        write = own.append
        transport: Any = Recorder(protocol=self.protocol, write=write)
        splice = self.insert(transport)
        splice.write(b"a")
        self.assertEqual(own, [b"a"])
        splice.remove()
        self.assertIs(transport.write, write)
        splice = self.insert(transport)
        transport.write = None
        splice.remove()
        self.assertIsNone(transport.write)

    def test_wrapped(self) -> None:
        """Twisted's own startTLS puts TLS below the filter; a lost transport has no protocol."""
        transport: Any = Recorder(protocol=self.protocol)
        splice = self.insert(transport)
        tls = transport.protocol = Wrapper(self.filter)
        splice.reassert()
        self.assertIs(transport.protocol, tls)
        splice.remove()
        self.assertIs(tls.wrappedProtocol, self.protocol)
        splice = self.insert(transport)
        del transport.protocol
        transport.disconnected = True
        splice.reassert()
        splice.remove()
        self.assertNotIn("protocol", vars(transport))


DATA = bytes(n % 251 for n in range(300_000))


class Plain(Protocol):
    """A protocol that knows nothing of us, as Twisted's own Echo."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)


class Greets(Plain):
    def connectionMade(self) -> None:
        self.transport.write(b"hello")


_LIMITED = "limit_data,bytes=100KB"

#: A behaviour, its faults, what is sent, what arrives, how the connection ends, and the last hit.
ENDS: list[tuple[Any, tuple[str, ...], bytes, bytes, str, str]] = [
    *(
        (behaviour, (f"{fault},how={how}",), DATA, got, how, hit)
        for how in ("fin", "reset")
        for behaviour, fault, got, hit in (
            (Echo, "limit_data,bytes=0", b"", "limit_data at=0"),
            (Echo, "limit_data,bytes=1", DATA[:1], "limit_data at=1"),
            (Echo, _LIMITED, DATA[:100_000], "limit_data at=100000"),
            (Plain, _LIMITED, DATA[:100_000], "limit_data at=100000"),
            (
                Echo,
                "limit_data,bytes=1KiB,direction=upstream",
                DATA[:1024],
                "limit_data at=1024 direction=upstream",
            ),
        )
    ),
    *(
        (
            Echo,
            (
                f"limit_data,bytes=10KB,how={how}",
                "latency,latency=20,jitter=10",
                "slicer,average_size=1KB",
            ),
            *(DATA, DATA[:10_000], how, "slicer at=0"),
        )
        for how in ("fin", "reset")
    ),
    (Greeting, ("reset_peer",), b"", b"", "reset", "reset_peer at=0"),
    (Echo, ("timeout,after=9B,timeout=50",), DATA, DATA[:9], "fin", "timeout at=9"),
    # A producer that never ends is not asked for ever when nothing passes.
    (
        Chargen,
        ("timeout,after=1MB,timeout=50",),
        *(b"", chargen(0, 10**6), "fin", "timeout at=1000000"),
    ),
    (Greeting, ("slow_close,delay=10",), b"x", HELLO, "fin", f"slow_close at={len(HELLO)}"),
]


class EndsTests(Breaking):
    """What a peer sees of a fault that ends."""

    async def test_table(self) -> None:
        """Exactly the bytes, then exactly the end, which takes none of them; and the cause."""
        for behaviour, faults, sent, expected, how, hit in ENDS:
            ours = issubclass(behaviour, Conversation)
            make = ConversationFactory if ours else Factory.forProtocol
            told = await self.serveBroken(make(behaviour), *faults)
            got = await self.talk(exchange, self.connect(), sent, False)
            self.assertEqual(got, (expected, how), faults)
            self.assertEqual(told.hits[-1], (1, hit))
            ending = await told.ending()
            why = None if "slow_close" in hit else "fault"
            self.assertEqual((ending.by, ending.how, ending.why), ("server", how, why))

    async def test_halfClose(self) -> None:
        """One direction ends; the other one goes on, to its own end."""

        class Tells(Conversation):
            greeting = b"hello, "

            def connectionMade(self) -> None:
                told.append(b"made")

            def messageReceived(self, message: bytes) -> None:
                told.append(message)

            def readConnectionLost(self) -> None:
                told.append(b"finished")
                self.write(b"bye")
                self.hangUp()

        upstream = "direction=upstream"
        for keys, sent, heard, got in (
            ("match=hello", b"1234567", [b"made", b"1234567", b"finished"], b"hello"),
            (f"after=5B,{upstream}", b"1234567", [b"made", b"12345", b"finished"], b"hello, bye"),
            (upstream, b"", [b"made", b"finished"], b"hello, bye"),
            ("direction=both", b"", [b"made", b"finished"], b""),
        ):
            told: list[bytes] = []
            observed = await self.serveBroken(ConversationFactory(Tells), f"half_close,{keys}")
            answer = await self.talk(exchange, self.connect(), sent)
            self.assertEqual((await observed.ending()).why, "fault")
            self.assertEqual((told, answer), (heard, (got, "fin")), keys)


def receive(sock: Any, size: int) -> bytes:
    """Read so many bytes, or some more."""
    got = b""
    while len(got) < size:
        got += sock.recv(65536)
    return got


class Asks(Dialogue):
    framing = Lines

    async def converse(self) -> None:
        self.send(b"name?")
        name = await self.receive()
        self.send(b"hello " + name)


HARMLESS = (
    "latency,latency=5,jitter=5,direction=both",
    "slicer,average_size=20KB,size_variation=10KB,direction=both",
    "bandwidth,rate=20MB,direction=both",
    "stall,after=100KB,for=10ms,direction=both",
    "slow_close,delay=5,direction=both",
)


def both(sock: Any, data: bytes) -> tuple[bytes, str]:
    """Send while reading, then finish; return what arrived, and how it ended."""

    def send() -> None:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)

    with sock:
        sender = threading.Thread(target=send)
        sender.start()
        got = toTheEnd(sock)
        sender.join()
        return got


class WholeTests(Breaking):
    """What a peer gets through faults that harm nothing: everything."""

    async def test_toTheEnd(self) -> None:
        """A conversation, and its end, on TCP and on a Unix socket; a dialogue."""
        path, tcp = self.unixPath(), "tcp:0:interface=127.0.0.1"
        for behaviour, endpoint, sent, expected in (
            (Echo, tcp, DATA, DATA),
            (Echo, f"unix:{path}", DATA, DATA),
            (Asks, tcp, b"ann\nmore", b"name?\nhello ann\n"),
        ):
            factory = ConversationFactory(behaviour)
            told = await self.serveBroken(factory, *HARMLESS, endpoint=endpoint)
            sock = socket.socket(socket.AF_UNIX) if "unix" in endpoint else self.connect()
            if "unix" in endpoint:
                sock.connect(path)
            self.assertEqual(await self.talk(both, sock, sent), (expected, "fin"))
            self.assertEqual((await told.ending()).why, None)

    async def test_open(self) -> None:
        """A protocol without half-close, and a producer that wants to be asked."""
        for factory, sent, expected in (
            (Factory.forProtocol(Plain), DATA, DATA),
            (ConversationFactory(Chargen), b"", chargen(0, len(DATA))),
        ):
            await self.serveBroken(factory, *HARMLESS)
            with self.connect() as sock:
                sock.sendall(sent)
                got = await self.talk(receive, sock, len(DATA))
            self.assertEqual(got[: len(DATA)], expected)


#: Some of these hold everything until they are removed.
CHANGING = (*HARMLESS, "latency,latency=1,after=10B", "bandwidth,rate=0", "stall,direction=both")


class ComeAndGoTests(Breaking):
    """Faults are added and removed while a connection is busy."""

    async def test_messages(self) -> None:
        """65,535 numbered messages, in order, while faults come and go 100 times a second."""
        await self.serveBroken(ConversationFactory(Echo))
        self.names: list[str] = []
        self.turn = 0
        changes = LoopingCall(self.change)
        done = changes.start(0.01)
        data = b"".join(b"%100d\n" % number for number in range(65_535))
        got = await self.talk(both, self.connect(), data)
        changes.stop()
        await done
        self.assertTrue(got == (data, "fin"))
        self.assertGreater(self.turn, 3)

    def change(self) -> None:
        """Add one, and remove another."""
        self.names.append(self.faults.add(CHANGING[self.turn % len(CHANGING)]))
        if len(self.names) > 3:
            self.faults.remove(self.names.pop(self.turn % 3))
        if self.turn % 7 == 6:
            self.faults.clear()
            self.names.clear()
        self.turn += 1


class TLSTests(Breaking):
    """Above TLS faults act on what is said, not on how it is encrypted."""

    def secure(self) -> Any:
        return overTLS(self.connect())

    async def test_ends(self) -> None:
        """Exactly the bytes, then the end. (Python's TLS takes a reset for an end.)"""
        for fault, size, how in (
            ("limit_data,bytes=100KB", 100_000, "fin"),
            ("reset_peer,after=5B", 5, "reset"),
        ):
            told = await self.serveBroken(
                ConversationFactory(Echo), fault, endpoint=self.tlsEndpoint()
            )

            def client() -> bytes:
                with self.secure() as sock:
                    with contextlib.suppress(OSError):
                        sock.sendall(DATA)
                    return toTheEnd(sock)[0]

            self.assertEqual(await self.talk(client), DATA[:size])
            ending = await told.ending()
            self.assertEqual((ending.how, ending.why), (how, "fault"))

    async def test_whole(self) -> None:
        """Greeting and echo, whichever side sends first and whatever is delayed."""
        for factory in (
            ConversationFactory(Echo, greeting=b"hello"),
            Factory.forProtocol(Greets),
        ):
            await self.serveBroken(factory, *HARMLESS, endpoint=self.tlsEndpoint())

            def client() -> bytes:
                with self.secure() as sock:
                    sock.sendall(DATA)
                    return receive(sock, len(DATA) + 5)

            self.assertEqual(await self.talk(client), b"hello" + DATA)

    async def test_live(self) -> None:
        """On a live connection too."""
        told = await self.serveBroken(ConversationFactory(Echo), endpoint=self.tlsEndpoint())

        def client(sock: Any) -> bytes:
            sock.sendall(b"hello")
            return bytes(sock.recv(100))

        with await self.talk(self.secure) as sock:
            self.assertEqual(await self.talk(client, sock), b"hello")
            for fault in HARMLESS:
                name = self.faults.add(fault)
                self.assertEqual(await self.talk(client, sock), b"hello")
                self.faults.remove(name)
                self.assertEqual(await self.talk(client, sock), b"hello")
            (transport,) = self.listener.connections
            self.assertIsInstance(transport.protocol.wrappedProtocol, Echo)
        await told.ending()
