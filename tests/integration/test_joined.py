"""`Forward` and `Relay` on real sockets: half-closes, TLS, resets, circles and descriptors."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import threading
from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import clientFromString, connectProtocol

from tcplab.protocols import Conversation, ConversationFactory, Dialogue, Echo, Forward, Relay
from tcplab.protocols.upstream import LOOPS
from tests.support.certificates import localhostFile
from tests.support.ports import free, refusing
from tests.support.socket_server import Serving, Told, readAll
from tests.support.thread_servers import RESET, Handler, ThreadServer, echo, urgent

SIZES = (1, 7, 1000, 60_000)
LOOPBACK = ":interface=127.0.0.1"
TCP = f"tcp:0{LOOPBACK}"


def exchange(sock: Any, said: bytes) -> bytes:
    """Send, half-close right behind it, read to the end."""
    with sock:
        sock.sendall(said)
        sock.shutdown(socket.SHUT_WR)
        return readAll(sock)


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


class Forwarding(Serving):
    """An echo server, and what leads to it."""

    async def echo(self, endpoint: str = TCP) -> Told:
        return await self.serve(ConversationFactory(Echo), endpoint)

    async def forward(self, to: str = "", endpoint: str = TCP, **more: Any) -> Told:
        """Forward to an endpoint, or to what was served last."""
        to = to or f"tcp:127.0.0.1:{self.host.port}"
        return await self.serve(ConversationFactory(Forward, to=to, **more), endpoint)

    async def forwardTo(self, handle: Handler, kind: str = "tcp:127.0.0.1", **more: Any) -> Told:
        """Forward to a server with blocking sockets, ``self.blocking``."""
        self.blocking = ThreadServer(self, handle)
        return await self.forward(f"{kind}:{self.blocking.port}", **more)

    async def exchanges(self, each: int, *more: int) -> None:
        for size in (*SIZES * each, *more):
            said = os.urandom(size)
            self.assertTrue(await self.talk(exchange, self.connect(), said) == said, size)


class HalfCloseTests(Forwarding):
    async def test_noByteIsLost(self) -> None:
        await self.echo()
        for _ in ("through one", "through two"):
            await self.forward()
            await self.exchanges(25)

    async def test_onUnixSockets(self) -> None:
        echo, here = self.unixPath(), self.unixPath()
        await self.echo(f"unix:{echo}")
        await self.forward(f"unix:{echo}", f"unix:{here}")
        for size in SIZES * 25:
            said, sock = os.urandom(size), socket.socket(socket.AF_UNIX)
            sock.connect(here)
            self.assertTrue(await self.talk(exchange, sock, said) == said, size)

    async def test_twentyMegabytesWithALateReader(self) -> None:
        await self.echo()
        told = await self.forward()
        piece = os.urandom(2**20)
        begun = threading.Event()

        def write(sock: socket.socket) -> None:
            for number in range(20):
                sock.sendall(piece)
                if number == 2:
                    begun.set()
            sock.shutdown(socket.SHUT_WR)

        def late(sock: socket.socket) -> tuple[int, str]:
            digest, count = hashlib.sha256(), 0
            with sock:
                writer = threading.Thread(target=write, args=(sock,))
                writer.start()
                begun.wait(20)
                while data := sock.recv(1000 if count < 10_000 else 65536):
                    digest.update(data)
                    count += len(data)
                writer.join()
            return count, digest.hexdigest()

        expected = hashlib.sha256(piece * 20).hexdigest()
        self.assertEqual(await self.talk(late, self.connect()), (20 * 2**20, expected))
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how, ending.why), ("peer", "fin", None))
        self.assertEqual((ending.received, ending.sent), (20 * 2**20, 20 * 2**20))

    async def test_serverFinishesFirst(self) -> None:
        def server(sock: socket.socket) -> bytes:
            sock.sendall(b"I am done")
            sock.shutdown(socket.SHUT_WR)
            return readAll(sock)

        def client(sock: socket.socket) -> bytes:
            with sock:
                heard = readAll(sock)
                sock.sendall(b"but I")
                sock.sendall(b" am not")
                return heard

        await self.forwardTo(server)
        self.assertEqual(await self.talk(client, self.connect()), b"I am done")
        self.assertEqual(await self.talk(self.blocking.ended), b"but I am not")


class UrgentTests(Forwarding):
    async def test_staysInTheStream(self) -> None:
        """Over TCP and Unix sockets, through forward both ways, and for a client."""
        path = self.unixPath()
        for endpoint, to in ((TCP, ""), (f"unix:{path}", ""), (TCP, f"unix:{path}")):
            if to:
                await self.forward(to)
                told = await self.forward()
            else:
                told = await self.echo(endpoint)
            self.assertEqual(await self.talk(urgent, self.connect()), b"abcXdef")
            ending = await told.ending()
            self.assertEqual((ending.received, ending.sent), (7, 7))
        await self.forwardTo(urgent)
        self.assertEqual(await self.talk(exchange, self.connect(), b"hi"), b"abcXdef")
        self.assertEqual(await self.talk(self.blocking.ended), b"hi")

        class Listen(Dialogue):  # type: ignore[type-arg]
            async def converse(self) -> bytes:
                return await self.receiveExactly(7, timeout=20)

        endpoint = clientFromString(reactor, f"tcp:127.0.0.1:{self.blocking.port}")
        listen = await connectProtocol(endpoint, Listen())
        self.assertEqual(await listen.result(), b"abcXdef")
        await listen.whenFinished()


class SecureTests(Forwarding):
    def setUp(self) -> None:
        self.pem = localhostFile(self.folder())
        self.endpoint = f"ssl:0:privateKey={self.pem}{LOOPBACK}"

    def exchangeOverTLS(self, said: bytes) -> bytes:
        context = ssl.create_default_context(cafile=self.pem)
        with context.wrap_socket(self.connect(), server_hostname="localhost") as sock:
            sock.sendall(said)
            heard = b""
            while len(heard) < len(said) and (data := sock.recv(65536)):
                heard += data
            sock.unwrap()
            return heard

    async def test_inFrontAndOnBothSides(self) -> None:
        for behind, kind in ((TCP, "tcp:127.0.0.1"), (self.endpoint, "ssl:localhost")):
            await self.echo(behind)
            told = await self.forward(f"{kind}:{self.host.port}", self.endpoint)
            for size in (*SIZES * 5, 2_000_000):
                said = os.urandom(size)
                self.assertTrue(await self.talk(self.exchangeOverTLS, said) == said, size)
            ending = await told.ending(21)
            self.assertEqual((ending.how, ending.why), ("fin", None))

    async def test_behindWithHalfClose(self) -> None:
        for kind, more in (("ssl", ""), ("tls", f":trustRoots={os.path.dirname(self.pem)}")):
            await self.echo(self.endpoint)
            await self.forward(f"{kind}:localhost:{self.host.port}{more}")
            await self.exchanges(10, 2_000_000)

    async def test_untrustedCertificateResetsTheClient(self) -> None:
        await self.echo(self.endpoint)
        told = await self.forward(f"tls:localhost:{self.host.port}")
        with self.assertRaises(ConnectionResetError):
            await self.talk(self.connect().recv, 1)
        self.assertEqual((await told.ending()).why, "upstream")

    async def test_headerIsInClearBeforeTheHandshake(self) -> None:
        def server(sock: socket.socket) -> bytes:
            header = b""
            while not header.endswith(b"\r\n"):
                header += sock.recv(1)
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self.pem)
            with context.wrap_socket(sock, server_side=True) as secured:
                return header + secured.recv(100)

        await self.forwardTo(server, "ssl:localhost", proxyprotocol="v1")
        with self.connect() as sock:
            sock.sendall(b"hi")
            heard = await self.talk(self.blocking.ended)
        self.assertRegex(heard, rb"^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\nhi$")


class ResetTests(Forwarding):
    async def test_ofTheClient(self) -> None:
        await self.forwardTo(lambda sock: (sock.recv(2), sock.recv(1)))
        sock = self.connect()
        sock.sendall(b"hi")
        reset(sock)
        self.assertIsInstance(await self.talk(self.blocking.ended), ConnectionResetError)

    async def test_ofTheServerBehindItsLastBytes(self) -> None:
        def server(sock: socket.socket) -> None:
            sock.recv(1)
            sock.sendall(b"x" * 50_000)
            reset(sock)

        def client(sock: socket.socket) -> int:
            count = 0
            with sock:
                sock.sendall(b"?")
                while True:
                    try:
                        count += len(sock.recv(1000))
                    except ConnectionResetError:
                        return count

        told = await self.forwardTo(server)
        for number in range(1, 21):
            self.assertEqual(await self.talk(client, self.connect()), 50_000)
            ending = await told.ending(number)
            self.assertEqual((ending.by, ending.how, ending.why), ("server", "reset", "upstream"))

    async def test_refusedUpstreamIsAResetBeforeAByte(self) -> None:
        with refusing() as port:
            told = await self.forward(f"tcp:127.0.0.1:{port}")
            with self.connect() as sock:
                sock.sendall(b"hi")
                with self.assertRaises(ConnectionResetError):
                    await self.talk(sock.recv, 1)
            ending = await told.ending()
        self.assertEqual((ending.how, ending.why, ending.sent), ("reset", "upstream", 0))

    async def test_ofAClientThatIsNotRead(self) -> None:
        stop = threading.Event()

        def deaf(sock: socket.socket) -> Any:
            stop.wait(20)
            while sock.recv(65536):
                pass

        def flood(sock: socket.socket) -> None:
            sock.settimeout(0.5)
            try:
                while True:
                    sock.send(b"x" * 65536)
            except TimeoutError:
                reset(sock)

        told = await self.forwardTo(deaf)
        await self.talk(flood, self.connect())
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how), ("peer", "reset"))
        stop.set()
        self.assertIsInstance(await self.talk(self.blocking.ended), ConnectionResetError)


class CircleTests(Forwarding):
    async def circle(self, kind: type[Conversation], key: str, length: int, **more: Any) -> Told:
        """Serve nodes of which each leads to the next, and the last to the first."""
        first = to = free()
        for number in range(length):
            factory = ConversationFactory(kind, **{key: f"tcp:127.0.0.1:{to}", **more})
            port = first if number == length - 1 else 0
            told = await self.serve(factory, f"tcp:{port}{LOOPBACK}")
            to = self.host.port
        return told

    async def test_isCutAtOnceHoweverLong(self) -> None:
        for length in (1, 2, 5):
            told = await self.circle(Forward, "to", length)
            with self.connect() as sock, self.assertRaises(ConnectionResetError):
                await self.talk(sock.recv, 1)
            await told.ending(2)
            self.assertEqual(len(told.opened), 2)
            self.assertIn("loop", [ending.why for ending in told.endings])

    async def test_ofRelaysIsAnError(self) -> None:
        for length in (1, 3):
            told = await self.circle(Relay, "next", length, name="ann")
            said = await self.talk(exchange, self.connect(), b"hi\n")
            names = b" [|] ann" * length
            self.assertRegex(said, b"error hi%s: tcp:.* leads back to here\n" % names)
            self.assertLess(len(told.opened), 5)

    async def test_aChainIsNone(self) -> None:
        await self.echo()
        for _ in range(10):
            await self.forward()
        self.assertEqual(await self.talk(exchange, self.connect(), b"hi"), b"hi")


class ClassTests(Forwarding):
    """Thirty relays, as many as a class has students."""

    names = [f"s{number}" for number in range(1, 31)]

    async def chain(self, names: list[str], to: str) -> Told:
        """Serve a relay for each name, that leads to the next; return what the last is told."""
        last = None
        for name in reversed(names):
            greeting = b"You are connected!" if name == names[0] else b""
            factory = ConversationFactory(Relay, name=name, next=to, greeting=greeting)
            told = await self.serve(factory)
            last = last or told
            to = f"tcp:127.0.0.1:{self.host.port}"
        return last or told

    async def test_allAddTheirNames(self) -> None:
        """So too with a client that reads first, and a program behind the last node."""
        slides = ThreadServer(self, echo)
        for to, answer in (("", "ack {}"), (f"tcp:127.0.0.1:{slides.port}", "{}")):
            last = await self.chain(self.names, to)
            for said, read in ((b"a | b\n", "a | b"), (b"hi there", "hi there")):
                row = " | ".join([read, *self.names])
                heard = await self.talk(exchange, self.connect(), said)
                self.assertEqual(heard.decode(), f"You are connected!\n{answer.format(row)}\n")
            self.assertIn(" | ".join(["hi there", *self.names[:-1]]).encode(), last.messages)

    async def test_aMissingOneIsNamed(self) -> None:
        with refusing() as port:
            missing = f"tcp:127.0.0.1:{port}"
            await self.chain(self.names[:19], missing)
            said = await self.talk(exchange, self.connect(), b"hi\n")
        row = " | ".join(["hi", *self.names[:19]])
        self.assertEqual(said.decode(), f"You are connected!\nerror {row}: {missing} refused\n")


class ManyTests(Forwarding):
    async def test_nothingStaysBehind(self) -> None:
        room = f"tcp:0:backlog=500{LOOPBACK}"
        await self.echo(room)
        listeners = [self.listener]
        await self.forward(endpoint=room)
        listeners.append(self.listener)
        counts = []
        for _ in range(3):
            self.assertEqual(await self.talk(self.many), sum(range(100)))
            for listener in listeners:
                await listener.whenEmpty()
            counts.append(len(os.listdir("/proc/self/fd")))
        self.assertEqual(counts[1:], counts[:1] * 2)
        self.assertFalse(any(vars(LOOPS).values()))

    def many(self) -> int:
        socks = [self.connect() for _ in range(100)]
        for number, sock in enumerate(socks):
            sock.sendall(b"%d" % number)
        heard = [sock.recv(10) for sock in socks]
        for sock in socks:
            sock.close()
        return sum(int(each) for each in heard)
