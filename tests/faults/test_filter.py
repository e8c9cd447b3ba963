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
from tests.support.certificates import localhostFile, overTLS
from tests.support.fault_ports import HELLO
from tests.support.fault_server import Breaking, exchange, toTheEnd


class Thing:
    """A transport, a protocol, or a wrapper."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class Recorder(Thing):
    """A transport that notes what is called on it."""

    disconnected = False

    def __init__(self, **attributes: Any) -> None:
        super().__init__(calls=[], **attributes)

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
    """Between a transport and its protocol."""

    def setUp(self) -> None:
        self.protocol = Thing()
        self.filter: Any = Thing()
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
            splice.remove()
            self.assertEqual(vars(transport), before)
            splice.reassert()
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
        transport = Recorder(protocol=self.protocol, write=write)
        splice = self.insert(transport)
        splice.write(b"a")
        self.assertEqual(own, [b"a"])
        splice.remove()
        self.assertIs(transport.write, write)
        splice = self.insert(transport)
        transport.write = None
        splice.remove()
        self.assertIsNone(transport.write)

    def test_replaced(self) -> None:
        """Another protocol has taken over: the filter stands before that one now."""
        transport = Recorder(protocol=self.protocol)
        splice = self.insert(transport)
        other = transport.protocol = Thing()
        splice.reassert()
        self.assertIs(transport.protocol, self.filter)
        self.assertIs(self.filter.wrappedProtocol, other)

    def test_wrapped(self) -> None:
        """Twisted's own startTLS puts TLS below the filter."""
        transport = Recorder(protocol=self.protocol)
        splice = self.insert(transport)
        tls = transport.protocol = Wrapper(self.filter)
        splice.reassert()
        self.assertIs(transport.protocol, tls)
        splice.remove()
        self.assertIs(tls.wrappedProtocol, self.protocol)

    def test_gone(self) -> None:
        """The transport has no protocol any more: the connection is lost."""
        transport = Recorder(protocol=self.protocol)
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

    async def test_endless(self) -> None:
        """A producer that never ends is not asked for ever when nothing passes."""
        told = await self.serveBroken(ConversationFactory(Chargen), "timeout,after=1MB,timeout=50")
        got, how = await self.talk(exchange, self.connect(), b"", False)
        self.assertEqual((len(got), how), (10**6, "fin"))
        await told.ending()


def receive(sock: Any, size: int) -> bytes:
    """Read so many bytes, or some more."""
    got = b""
    while len(got) < size:
        got += sock.recv(65536)
    return got


class WholeTests(Breaking):
    """What a peer gets through faults that harm nothing: everything."""

    HARMLESS = (
        "latency,latency=5,jitter=5,direction=both",
        "slicer,average_size=20KB,size_variation=10KB,direction=both",
        "bandwidth,rate=20MB,direction=both",
        "stall,after=100KB,for=10ms,direction=both",
        "slow_close,delay=5,direction=both",
    )

    async def test_echo(self) -> None:
        """A conversation, and its end, on TCP and on a Unix socket."""
        path = self.unixPath()
        for endpoint in "tcp:0:interface=127.0.0.1", f"unix:{path}":
            told = await self.serveBroken(
                ConversationFactory(Echo), *self.HARMLESS, endpoint=endpoint
            )
            sock = socket.socket(socket.AF_UNIX) if "unix" in endpoint else self.connect()
            if "unix" in endpoint:
                sock.connect(path)
            self.assertEqual(await self.talk(self.both, sock, DATA), (DATA, "fin"))
            self.assertEqual((await told.ending()).why, None)

    async def test_plain(self) -> None:
        """Half-close is nothing that this protocol knows: the client asks for less, and stays."""
        told = await self.serveBroken(Factory.forProtocol(Plain), *self.HARMLESS)

        def client() -> bytes:
            with self.connect() as sock:
                sock.sendall(DATA)
                return receive(sock, len(DATA))

        self.assertEqual(await self.talk(client), DATA)
        await told.ending()

    async def test_pull(self) -> None:
        """A producer that wants to be asked is asked."""
        await self.serveBroken(ConversationFactory(Chargen), *self.HARMLESS)

        with self.connect() as sock:
            got = await self.talk(receive, sock, 300_000)
        self.assertEqual(got, chargen(0, len(got)))

    async def test_dialogue(self) -> None:
        class Asks(Dialogue):
            framing = Lines

            async def converse(self) -> None:
                self.send(b"name?")
                name = await self.receive()
                self.send(b"hello " + name)

        await self.serveBroken(ConversationFactory(Asks), *self.HARMLESS)
        got = await self.talk(exchange, self.connect(), b"ann\nmore", False)
        self.assertEqual(got, (b"name?\nhello ann\n", "fin"))

    def both(self, sock: Any, data: bytes) -> tuple[bytes, str]:
        """Send while reading, then finish."""

        def send() -> None:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)

        with sock:
            sender = threading.Thread(target=send)
            sender.start()
            got = toTheEnd(sock)
            sender.join()
            return got


class ComeAndGoTests(Breaking):
    """Faults are added and removed while a connection is busy."""

    async def test_messages(self) -> None:
        """65,535 numbered messages, in order, while faults come and go 100 times a second."""
        await self.serveBroken(ConversationFactory(Echo))
        changes = LoopingCall(self.change)
        self.names: list[str] = []
        self.turn = 0
        done = changes.start(0.01)
        total = 65_535

        def client() -> int:
            with self.connect() as sock:

                def send() -> None:
                    for first in range(0, total, 97):
                        numbers = range(first, min(first + 97, total))
                        sock.sendall(b"".join(b"%100d\n" % n for n in numbers))
                    sock.shutdown(socket.SHUT_WR)

                sender = threading.Thread(target=send)
                sender.start()
                expected = 0
                with sock.makefile("rb") as lines:
                    for line in lines:
                        if int(line) != expected:
                            break
                        expected += 1
                sender.join()
            return expected

        got = await self.talk(client)
        changes.stop()
        await done
        self.assertEqual(got, total)
        self.assertGreater(self.turn, 3)

    def change(self) -> None:
        """Add one, and remove another."""
        harmless = (
            "latency,latency=3,jitter=2,direction=both",
            "slicer,average_size=5KB,size_variation=4KB,direction=both",
            "bandwidth,rate=5MB,direction=upstream",
            "stall,direction=both",
            "latency,latency=1,after=10B",
            "slow_close,delay=3,direction=both",
            "bandwidth,rate=0",
        )
        self.names.append(self.faults.add(harmless[self.turn % len(harmless)]))
        if len(self.names) > 3:
            self.faults.remove(self.names.pop(self.turn % 3))
        if self.turn % 7 == 6:
            self.faults.clear()
            self.names.clear()
        self.turn += 1


class TLSTests(Breaking):
    """Above TLS faults act on what is said, not on how it is encrypted."""

    def endpoint(self) -> str:
        pem = localhostFile()
        return f"ssl:0:interface=127.0.0.1:privateKey={pem}:certKey={pem}"

    def secure(self) -> Any:
        return overTLS(self.connect())

    async def test_ends(self) -> None:
        """Exactly the bytes, then the end. (Python's TLS takes a reset for an end.)"""
        for fault, size, how in (
            ("limit_data,bytes=100KB", 100_000, "fin"),
            ("reset_peer,after=5B", 5, "reset"),
        ):
            told = await self.serveBroken(
                ConversationFactory(Echo), fault, endpoint=self.endpoint()
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
        """Greeting, echo and the end, whoever speaks first and whatever is delayed."""
        for factory in (
            ConversationFactory(Echo, greeting=b"hello"),
            Factory.forProtocol(type("P", (Plain,), {"connectionMade": Hello.connectionMade})),
        ):
            await self.serveBroken(factory, *WholeTests.HARMLESS, endpoint=self.endpoint())

            def client() -> bytes:
                with self.secure() as sock:
                    sock.sendall(DATA)
                    return receive(sock, len(DATA) + 5)

            self.assertEqual(await self.talk(client), b"hello" + DATA)

    async def test_live(self) -> None:
        """On a live connection too."""
        told = await self.serveBroken(ConversationFactory(Echo), endpoint=self.endpoint())

        def client(sock: Any) -> bytes:
            sock.sendall(b"hello")
            return bytes(sock.recv(100))

        with await self.talk(self.secure) as sock:
            self.assertEqual(await self.talk(client, sock), b"hello")
            for fault in WholeTests.HARMLESS:
                name = self.faults.add(fault)
                self.assertEqual(await self.talk(client, sock), b"hello")
                self.faults.remove(name)
                self.assertEqual(await self.talk(client, sock), b"hello")
            (transport,) = self.listener.connections
            self.assertIsInstance(transport.protocol.wrappedProtocol, Echo)
        await told.ending()


class Hello:
    """Something that is said first."""

    def connectionMade(self: Any) -> None:
        self.transport.write(b"hello")
