"""Forward and relay on real sockets: half-closes, resets, TLS, circles; nothing is lost."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from typing import Any

from tcplab.protocols import Conversation, ConversationFactory, Echo, Forward, Relay
from tcplab.protocols.upstream import LOOPS
from tests.support.certificates import localhostFile
from tests.support.ports import free, refusing
from tests.support.socket_server import Serving, Told, readAll

SIZES = (1, 7, 1000, 60_000)
LOOPBACK = ":interface=127.0.0.1"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: close() resets


def exchange(sock: Any, said: bytes) -> bytes:
    """Send, half-close right behind it, read to the end."""
    with sock:
        sock.sendall(said)
        sock.shutdown(socket.SHUT_WR)
        return readAll(sock)


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


class Blocking:
    """
    A server with a blocking socket, for one client.

    :ivar port: where it listens.
    :ivar outcome: what ``hold`` returned, or raised.
    """

    def __init__(self, hold: Callable[[socket.socket], Any]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(20)
        self.port = self._listener.getsockname()[1]
        self.outcome: Any = None
        self._hold = hold
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with self._listener:
            sock, _ = self._listener.accept()
        sock.settimeout(20)
        try:
            self.outcome = self._hold(sock)
        except OSError as error:
            self.outcome = error
        finally:
            sock.close()

    def ended(self) -> Any:
        """Wait for its end."""
        self._thread.join(20)
        return self.outcome


class Forwarding(Serving):
    """An echo server, and what leads to it."""

    async def echo(self, endpoint: str = f"tcp:0{LOOPBACK}") -> Told:
        return await self.serve(ConversationFactory(Echo), endpoint)

    async def forward(self, to: str, endpoint: str = f"tcp:0{LOOPBACK}", **more: Any) -> Told:
        return await self.serve(ConversationFactory(Forward, to=to, **more), endpoint)

    async def both(self) -> Told:
        await self.echo()
        return await self.forward(f"tcp:127.0.0.1:{self.host.port}")


class HalfCloseTests(Forwarding):
    async def exchanges(self, connect: Callable[[], Any], each: int = 25) -> None:
        for size in SIZES * each:
            said = os.urandom(size)
            self.assertTrue(await self.talk(exchange, connect(), said) == said, size)

    async def test_noByteIsLost(self) -> None:
        await self.both()
        await self.exchanges(self.connect)

    async def test_throughTwo(self) -> None:
        await self.both()
        await self.forward(f"tcp:127.0.0.1:{self.host.port}")
        await self.exchanges(self.connect)

    async def test_onUnixSockets(self) -> None:
        echo, here = self.unixPath(), self.unixPath()
        await self.echo(f"unix:{echo}")
        await self.forward(f"unix:{echo}", f"unix:{here}")

        def connect() -> socket.socket:
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(here)
            return sock

        await self.exchanges(connect)

    async def test_twentyMegabytesWithALateReader(self) -> None:
        told = await self.both()
        piece = os.urandom(2**20)

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

        def write(sock: socket.socket) -> None:
            for number in range(20):
                sock.sendall(piece)
                if number == 2:
                    begun.set()
            sock.shutdown(socket.SHUT_WR)

        begun = threading.Event()
        expected = hashlib.sha256(piece * 20).hexdigest()
        self.assertEqual(await self.talk(late, self.connect()), (20 * 2**20, expected))
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how, ending.why), ("peer", "fin", None))
        self.assertEqual((ending.received, ending.sent), (20 * 2**20, 20 * 2**20))

    async def test_theServersEndIsToldWhileTheClientGoesOn(self) -> None:
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

        blocking = Blocking(server)
        await self.forward(f"tcp:127.0.0.1:{blocking.port}")
        self.assertEqual(await self.talk(client, self.connect()), b"I am done")
        self.assertEqual(await self.talk(blocking.ended), b"but I am not")


class SecureTests(Forwarding):
    def setUp(self) -> None:
        self.pem = localhostFile(self.folder())

    def secure(self) -> Any:
        context = ssl.create_default_context(cafile=self.pem)
        return context.wrap_socket(self.connect(), server_hostname="localhost")

    def exchange(self, said: bytes) -> bytes:
        with self.secure() as sock:
            sock.sendall(said)
            heard = b""
            while len(heard) < len(said) and (data := sock.recv(65536)):
                heard += data
            sock.unwrap()
            return heard

    async def exchanges(self) -> None:
        for size in SIZES * 5 + (2_000_000,):
            said = os.urandom(size)
            self.assertTrue(await self.talk(self.exchange, said) == said, size)

    async def test_inFront(self) -> None:
        await self.echo()
        told = await self.forward(
            f"tcp:127.0.0.1:{self.host.port}", f"ssl:0:privateKey={self.pem}{LOOPBACK}"
        )
        await self.exchanges()
        ending = await told.ending(21)
        self.assertEqual((ending.how, ending.why), ("fin", None))

    async def test_behindWithHalfClose(self) -> None:
        for kind, more in (("ssl", ""), ("tls", f":trustRoots={os.path.dirname(self.pem)}")):
            await self.echo(f"ssl:0:privateKey={self.pem}{LOOPBACK}")
            await self.forward(f"{kind}:localhost:{self.host.port}{more}")
            for size in (*SIZES * 10, 2_000_000):
                said = os.urandom(size)
                self.assertTrue(await self.talk(exchange, self.connect(), said) == said, size)

    async def test_onBothSides(self) -> None:
        await self.echo(f"ssl:0:privateKey={self.pem}{LOOPBACK}")
        await self.forward(
            f"ssl:localhost:{self.host.port}", f"ssl:0:privateKey={self.pem}{LOOPBACK}"
        )
        await self.exchanges()

    async def test_aCertificateThatIsNotTrustedRefusesTheClient(self) -> None:
        await self.echo(f"ssl:0:privateKey={self.pem}{LOOPBACK}")
        told = await self.forward(f"tls:localhost:{self.host.port}")
        with self.assertRaises(ConnectionResetError):
            await self.talk(self.connect().recv, 1)
        self.assertEqual((await told.ending()).why, "upstream")

    async def test_theHeaderIsInClearBeforeTheHandshake(self) -> None:
        def server(sock: socket.socket) -> bytes:
            header = b""
            while not header.endswith(b"\r\n"):
                header += sock.recv(1)
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self.pem)
            with context.wrap_socket(sock, server_side=True) as secured:
                return header + secured.recv(100)

        blocking = Blocking(server)
        await self.forward(f"ssl:localhost:{blocking.port}", proxyprotocol="v1")
        with self.connect() as sock:
            sock.sendall(b"hi")
            heard = await self.talk(blocking.ended)
        self.assertRegex(heard, rb"^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\nhi$")


class ResetTests(Forwarding):
    async def test_theClientsReachesTheServer(self) -> None:
        blocking = Blocking(lambda sock: (sock.recv(2), sock.recv(1)))
        await self.forward(f"tcp:127.0.0.1:{blocking.port}")
        sock = self.connect()
        sock.sendall(b"hi")
        reset(sock)
        self.assertIsInstance(await self.talk(blocking.ended), ConnectionResetError)

    async def test_theServersReachesTheClientBehindItsLastWords(self) -> None:
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

        for _ in range(20):
            blocking = Blocking(server)
            told = await self.forward(f"tcp:127.0.0.1:{blocking.port}")
            self.assertEqual(await self.talk(client, self.connect()), 50_000)
            ending = await told.ending()
            self.assertEqual((ending.by, ending.how, ending.why), ("server", "reset", "upstream"))

    async def test_aRefusedUpstreamIsAResetBeforeAByte(self) -> None:
        with refusing() as port:
            told = await self.forward(f"tcp:127.0.0.1:{port}")
            with self.connect() as sock:
                sock.sendall(b"hi")
                with self.assertRaises(ConnectionResetError):
                    await self.talk(sock.recv, 1)
            ending = await told.ending()
        self.assertEqual((ending.how, ending.why, ending.sent), ("reset", "upstream", 0))

    async def test_itIsNoticedWhileNothingIsReadFromWhoResets(self) -> None:
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

        blocking = Blocking(deaf)
        told = await self.forward(f"tcp:127.0.0.1:{blocking.port}")
        await self.talk(flood, self.connect())
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how), ("peer", "reset"))
        stop.set()
        self.assertIsInstance(await self.talk(blocking.ended), ConnectionResetError)


class CircleTests(Forwarding):
    async def circle(self, kind: type[Conversation], key: str, length: int, **more: Any) -> Told:
        """Serve nodes of which each leads to the next, and the last to the first."""
        first = to = free()
        for _ in range(length - 1):
            factory = ConversationFactory(kind, **{key: f"tcp:127.0.0.1:{to}", **more})
            await self.serve(factory)
            to = self.host.port
        factory = ConversationFactory(kind, **{key: f"tcp:127.0.0.1:{to}", **more})
        return await self.serve(factory, f"tcp:{first}{LOOPBACK}")

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
            names = b" | ann" * length
            self.assertRegex(
                said, b"error hi%s: tcp:.* leads back to here\n" % names.replace(b"|", b"[|]")
            )
            self.assertLess(len(told.opened), 5)

    async def test_aChainIsNone(self) -> None:
        await self.echo()
        for _ in range(10):
            await self.forward(f"tcp:127.0.0.1:{self.host.port}")
        self.assertEqual(await self.talk(exchange, self.connect(), b"hi"), b"hi")


class ManyTests(Forwarding):
    async def test_nothingStaysBehind(self) -> None:
        room = f"tcp:0:backlog=500{LOOPBACK}"
        await self.echo(room)
        listeners = [self.listener]
        await self.forward(f"tcp:127.0.0.1:{self.host.port}", room)
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
