"""
Clients and servers like those of textbooks: blocking sockets, one read, no newline, no half-close.

They are written anew here, with what makes them hard on a peer: they take one read for a whole
message, send something without a line end, and close without waiting for what may still come.
"""

from __future__ import annotations

import socket
import sys
from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols import Ack, ConversationFactory, Echo, Greeting, LabConversation
from tests.support.socket_server import Serving
from tests.support.subprocess_server import run
from tests.support.thread_servers import ThreadServer, echo, onceRead, urgent
from tests.support.tiers import processes

CONNECTED = b"You are connected!"
HELLO = b"Hello from server!"


def reader(sock: socket.socket, say: bytes = b"hi there") -> bytes:
    """Read once, send something without a newline, and close."""
    with sock:
        heard = sock.recv(127)
        if say:
            sock.sendall(say)
        return heard


def slide(sock: socket.socket) -> bytes:
    """Send 13 bytes, read once, and close."""
    with sock:
        sock.sendall(b"Hello, world!")
        return sock.recv(1024)


only = partial(reader, say=b"")


class TextbookClientsTests(Serving):
    async def test_oneReadAndClose(self) -> None:
        said = [b"hi there"]
        for behaviour, client, heard, messages, received, sent in (
            (Ack, reader, CONNECTED, said, 8, 18),
            (Greeting, reader, HELLO, said, 8, 18),
            # The echo finds a closed socket, which answers by a reset; it may come after the end.
            (LabConversation, reader, CONNECTED, said, 8, None),
            (Echo, slide, b"Hello, world!", [], 13, 13),
            (Ack, only, CONNECTED, [], 0, 18),
            (Greeting, only, HELLO, [], 0, 18),
            (LabConversation, only, CONNECTED, [], 0, 18),
        ):
            told = await self.serve(ConversationFactory(behaviour))
            self.assertEqual(await self.talk(client, self.connect()), heard, behaviour)
            ending = await told.ending()
            self.assertEqual((told.messages, ending.received), (messages, received), behaviour)
            if sent is None:
                self.assertEqual(ending.by, "peer")
            else:
                self.assertEqual((ending.how, ending.sent), ("fin", sent), behaviour)

    async def test_manyAreServedWhileOneIsSilent(self) -> None:
        told = await self.serve(ConversationFactory(Ack))
        with self.connect():
            for number in range(20):
                await self.talk(reader, self.connect(), b"%d" % number)
            await told.ending(20)
        self.assertEqual(sorted(told.messages, key=int), [b"%d" % each for each in range(20)])


@processes
class TextbookServersTests(SynchronousTestCase):
    def test_connect(self) -> None:
        words = "--expect 'Hello from server!' --send 'Hello from client!'"
        numbers = b"".join(b"%d\n" % number for number in range(100_000))
        for server, options, said, shown, heard in (
            (onceRead(CONNECTED), "", b"hi there", CONNECTED, b"hi there"),
            (onceRead(HELLO), "", b"one", HELLO, b"one"),
            (onceRead(HELLO), words, b"", HELLO, b"Hello from client!"),
            (echo, "", numbers, numbers, numbers),
            (urgent, "", b"hi there", b"abcXdef", b"hi there"),
        ):
            served = ThreadServer(self, server)
            command = f"{sys.executable} -m tcplab connect 127.0.0.1:{served.port} {options}"
            done = run(command, said)
            self.assertEqual((done.returncode, done.stderr[:3]), (0, b"OK "), done.stderr)
            self.assertTrue(done.stdout == shown, done.stdout[:100])
            self.assertTrue(served.ended() == heard, "not what was sent")
