"""
Clients and servers like those of textbooks: blocking sockets, one read, no newline, no half-close.

They are written anew here, with what makes them hard on a peer: they take one read for a whole
message, say something without a line end, and close without waiting for what may still come.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols import Ack, Conversation, ConversationFactory, Echo, Greeting, LabConversation
from tests.support.socket_server import Serving
from tests.support.subprocess_server import run
from tests.support.tiers import processes

CONNECTED = b"You are connected!"
HELLO = b"Hello from server!"


def reader(sock: socket.socket, say: bytes) -> bytes:
    """Read once, say something without a newline, and close."""
    with sock:
        heard = sock.recv(127)
        sock.sendall(say)
        return heard


def slide(sock: socket.socket) -> bytes:
    """Say 13 bytes, read once, and close."""
    with sock:
        sock.sendall(b"Hello, world!")
        return sock.recv(1024)


class TextbookClientsTests(Serving):
    async def _heardBy(self, behaviour: type[Conversation], greeting: bytes) -> None:
        told = await self.serve(ConversationFactory(behaviour))
        self.assertEqual(await self.talk(reader, self.connect(), b"hi there"), greeting)
        ending = await told.ending()
        self.assertEqual(told.messages, [b"hi there"])
        self.assertEqual((ending.how, ending.received, ending.sent), ("fin", 8, 18))

    async def test_theRecipesClientIsAcknowledgedAndHeard(self) -> None:
        await self._heardBy(Ack, CONNECTED)

    async def test_theHelloClientIsGreetedAndHeard(self) -> None:
        await self._heardBy(Greeting, HELLO)

    async def test_theLabHearsAClientThatDoesNotWaitForItsEcho(self) -> None:
        told = await self.serve(ConversationFactory(LabConversation))
        self.assertEqual(await self.talk(reader, self.connect(), b"hi there"), CONNECTED)
        ending = await told.ending()
        self.assertEqual(told.messages, [b"hi there"])
        # The echo finds a closed socket, which answers by a reset; it may come after the end.
        self.assertEqual((ending.by, ending.received), ("peer", 8))

    async def test_aClientThatOnlyLooksIsServedToo(self) -> None:
        for number, behaviour in enumerate((Ack, Greeting, LabConversation), 1):
            told = await self.serve(ConversationFactory(behaviour))
            with self.connect() as sock:
                self.assertEqual(len(await self.talk(sock.recv, 127)), 18, number)
            ending = await told.ending()
            self.assertEqual((told.messages, ending.by, ending.how), ([], "peer", "fin"))

    async def test_theSlidesClientGetsItsBytesBackInOneRead(self) -> None:
        told = await self.serve(ConversationFactory(Echo))
        self.assertEqual(await self.talk(slide, self.connect()), b"Hello, world!")
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how), ("peer", "fin"))
        self.assertEqual((ending.received, ending.sent), (13, 13))

    async def test_manyClientsAtOnceAreServedWhileOneSaysNothing(self) -> None:
        told = await self.serve(ConversationFactory(Ack))
        with self.connect():
            for number in range(20):
                await self.talk(reader, self.connect(), b"%d" % number)
            await told.ending(20)
        self.assertEqual(sorted(told.messages, key=int), [b"%d" % each for each in range(20)])


Hold = Callable[[socket.socket], bytes]


class TextbookServer:
    """
    A server with blocking sockets, and a thread for each client.

    :ivar port: where it listens.
    :ivar heard: what each client has said, in the order they ended.
    """

    def __init__(self, hold: Hold, clients: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(30)
        self._threads: list[threading.Thread] = []
        self.port = self._listener.getsockname()[1]
        self.heard: list[bytes] = []
        self._start(self._acceptAll, hold, clients)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _acceptAll(self, hold: Hold, clients: int) -> None:
        with self._listener:
            for _ in range(clients):
                self._start(self._serve, self._listener.accept()[0], hold)

    def _serve(self, sock: socket.socket, hold: Hold) -> None:
        with sock:
            self.heard.append(hold(sock))

    def ended(self) -> list[bytes]:
        """Wait until all clients have gone, and return what they have said."""
        for thread in self._threads:  # grows while the first accepts
            thread.join(30)
        return self.heard


def acknowledge(sock: socket.socket) -> bytes:
    """Greet, read once, close."""
    sock.sendall(CONNECTED)
    return sock.recv(127)


def greet(sock: socket.socket) -> bytes:
    """Do the same in other words."""
    sock.sendall(HELLO)
    return sock.recv(1024)


def echo(sock: socket.socket) -> bytes:
    """Return what comes, read by read, until the client finishes."""
    heard = b""
    while piece := sock.recv(1024):
        heard += piece
        sock.sendall(piece)
    return heard


@processes
class ConnectToTextbookServersTests(SynchronousTestCase):
    def _connect(self, server: TextbookServer, words: str = "", say: bytes = b"") -> bytes:
        command = f"{sys.executable} -m tcplab connect 127.0.0.1:{server.port} {words}"
        done = run(command, say)
        self.assertEqual((done.returncode, done.stderr[:3]), (0, b"OK "), done)
        return done.stdout

    def test_theRecipesServerHearsWhatIsPiped(self) -> None:
        server = TextbookServer(acknowledge, 1)
        self.assertEqual(self._connect(server, say=b"hi there"), CONNECTED)
        self.assertEqual(server.ended(), [b"hi there"])

    def test_theHelloServerHearsOneAfterTheOther(self) -> None:
        server = TextbookServer(greet, 3)
        for say in (b"one", b"two", b"three"):
            self.assertEqual(self._connect(server, say=say), HELLO)
        self.assertEqual(server.ended(), [b"one", b"two", b"three"])

    def test_aScriptChecksTheHelloServer(self) -> None:
        server = TextbookServer(greet, 1)
        words = "--expect 'Hello from server!' --send 'Hello from client!'"
        self.assertEqual(self._connect(server, words), HELLO)
        self.assertEqual(server.ended(), [b"Hello from client!"])

    def test_theSlidesServerReturnsAllThatWasPiped(self) -> None:
        server = TextbookServer(echo, 1)
        said = b"".join(b"%d\n" % number for number in range(100_000))
        self.assertTrue(self._connect(server, say=said) == said, "not what was said")
        self.assertTrue(server.ended() == [said], "not what was said")
