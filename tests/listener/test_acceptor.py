"""Tests for `tcplab.listener.acceptor`."""

from __future__ import annotations

import errno
import os
import resource
import select
import socket
from typing import Any

from twisted.internet import tcp
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener import acceptor
from tcplab.listener.acceptor import ListenerAcceptor
from tcplab.listener.listener import Listener
from tcplab.observers import Observers
from tcplab.reactor import batchaccept
from tcplab.testing.memorytransport import MemoryReactor
from tests.support.meeting import Meeting, Met, Refusing
from tests.support.socket_server import Serving

LACKING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
GONE = (errno.ECONNABORTED, errno.EPROTO, errno.EPERM)


class PortCase(SynchronousTestCase):
    """
    A port on loopback in a time of the test's.

    :ivar errors: of the next calls of accept(); with ``None`` the kernel answers.
    :ivar always: the error of every further call.
    :ivar failed: how many calls have failed.
    """

    def setUp(self) -> None:
        self.start(Refusing())

    def start(self, factory: Any) -> None:
        self.reactor = MemoryReactor(lambda: None)
        self.factory = factory
        self.port: Any = tcp.Port(0, factory, 200, "127.0.0.1", self.reactor)
        self.port.startListening()
        self.addCleanup(self.stop, self.port, self.reactor)
        self.listener = Listener("test", Observers())
        self.assertTrue(self.listener.addPort(self.port))
        self.errors: list[int | None] = []
        self.always: int | None = None
        self.failed = 0
        self.logged: list[Any] = []
        self.patch(acceptor, "_logger", Logger(observer=self.logged.append))
        self.patch(batchaccept, "_accept", self.accept)

    def stop(self, port: Any, reactor: MemoryReactor) -> None:
        self.listener.abort()
        if not port.disconnecting:  # Twisted would close it twice
            port.stopListening()
        reactor.advance(0)
        self.assertEqual(reactor.getDelayedCalls(), [])

    def accept(self, port: Any) -> tuple[socket.socket, Any]:
        error = self.errors.pop(0) if self.errors else self.always
        if error is None:
            client, address = port.socket.accept()
            return client, address
        self.failed += 1
        raise OSError(error, os.strerror(error))

    def connect(self, number: int = 1) -> socket.socket:
        """Connect clients, and return the last one."""
        for _ in range(number):
            sock = socket.create_connection(("127.0.0.1", self.port.getHost().port), 10)
            self.addCleanup(sock.close)
        return sock

    @property
    def reading(self) -> bool:
        return self.port in self.reactor.readers

    def turn(self) -> None:
        """Call the port as a level-triggered poller does, until nothing is ready."""
        for _ in range(1000):
            ready = self.errors or self.always or select.select([self.port], [], [], 0)[0]
            if not (self.reading and ready):
                return
            self.port.doRead()
        raise AssertionError("it is called again and again: a busy loop")

    def wait(self, seconds: float, step: float = 0.001) -> None:
        """Let time pass."""
        until = self.reactor.seconds() + seconds
        while self.reactor.seconds() < until - step / 2:
            self.reactor.advance(step)
            if self.reading:
                self.turn()

    def pauses(self) -> list[float]:
        return [each["seconds"] for each in self.logged]


class BackOffTests(PortCase):
    """When accept() fails it is tried again, after a while that grows."""

    def test_lacking(self) -> None:
        """From 5 ms, doubled up to a second, with a line each; clients wait in the queue."""
        for error in LACKING:
            self.setUp()
            self.always = error
            self.turn()
            self.assertFalse(self.reading)
            self.wait(0.004)
            self.assertEqual(self.failed, 1)
            self.wait(5)
            growing = [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64]
            self.assertEqual(self.pauses(), [*growing, 1.0, 1.0, 1.0, 1.0])
            self.assertEqual(self.failed, 12)
            self.assertIn(os.strerror(error), str(self.logged[0]["error"]))

    def test_recovery(self) -> None:
        """Within a second all waiting clients are accepted; the next failure starts from 5 ms."""
        self.always = errno.ENFILE
        self.turn()
        self.wait(5, 0.005)
        self.always = None
        self.connect(100)
        self.wait(1.001)
        self.assertEqual((self.factory.asked, self.reading), (100, True))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.logged.clear()
        self.errors = [errno.ENFILE]
        self.turn()
        self.assertEqual(self.pauses(), [0.005])

    def test_scarce(self) -> None:
        """A descriptor that is free now and then lets a client in, without a line for each."""
        self.always = errno.EMFILE
        self.connect(100)
        for _ in range(100):
            self.errors = [None]
            self.wait(0.01)
        self.assertGreater(self.factory.asked, 50)
        self.assertLessEqual(len(self.logged), 10)

    def test_errors(self) -> None:
        """A client that has gone costs no other one anything; many errors make no busy loop."""
        for errors, lines in (
            *(([error, None, error], 0) for error in GONE),
            *(([error] * 20, 9) for error in GONE),
            ([*LACKING, *GONE, *GONE], 9),
        ):
            self.setUp()
            self.errors = errors
            self.connect(2)
            self.wait(4 if lines else 0.001)
            self.assertEqual((self.factory.asked, self.reading), (2, True), errors)
            self.assertLessEqual(len(self.logged), lines, errors)
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_shutDown(self) -> None:
        """A socket that another process has shut down is left alone."""
        self.always = errno.EINVAL
        self.turn()
        self.assertEqual((self.reading, self.failed), (False, 1))
        self.assertEqual((self.logged, self.reactor.getDelayedCalls()), ([], []))

    def test_suspended(self) -> None:
        """Neither ends the other: the end of a back-off, and that of a suspension."""
        for suspended in (True, False):
            self.setUp()
            self.connect()
            self.errors = [errno.EMFILE]
            self.turn()
            self.listener.suspend("full")
            if suspended:
                self.wait(2)
            else:
                self.listener.resume("full")
            self.wait(0.004)
            self.assertEqual((self.factory.asked, self.reading), (0, False))
            self.listener.resume("full")
            self.wait(0.002)
            self.turn()
            self.assertEqual((self.factory.asked, self.reading), (1, True))

    def test_closed(self) -> None:
        """A port that is closed during a back-off stays closed, and leaves no timer."""
        self.errors = [errno.EMFILE]
        self.turn()
        self.port.stopListening()
        self.reactor.advance(2)
        self.assertEqual((self.reading, self.reactor.getDelayedCalls()), (False, []))


class BatchTests(PortCase):
    """Connections are accepted many at a time."""

    def test_size(self) -> None:
        """So many and no more: other events are handled in between; fewer with TLS."""
        for plain, first in ((True, 64), (False, 8)):
            if not plain:
                self.listener._acceptors.append(ListenerAcceptor(self.port, self.listener, plain))
            self.factory.asked = 0
            sock = self.connect(100)
            self.port.doRead()
            self.assertEqual(self.factory.asked, first)
            self.turn()
            self.assertEqual(self.factory.asked, 100)
            # The factory refused them.
            self.assertEqual((sock.recv(1), self.listener.connections), (b"", set()))

    def test_stopsWithin(self) -> None:
        """To suspend, or to close the port, holds at once."""
        test = self

        class Ends(Refusing):
            def buildProtocol(self, address: object) -> None:
                super().buildProtocol(address)
                if self.asked == 3:
                    test.listener.suspend("full")
                elif self.asked == 5:
                    test.port.stopListening()

        self.start(Ends())
        self.connect(10)
        self.turn()
        self.assertEqual((self.factory.asked, self.reading), (3, False))
        self.listener.resume("full")
        self.turn()
        self.assertEqual((self.factory.asked, self.reading), (5, False))

    def test_fails(self) -> None:
        """A factory or a protocol that fails is logged, and the next client is served."""

        class Fails(Refusing):
            def buildProtocol(self, address: object) -> None:
                super().buildProtocol(address)
                raise ZeroDivisionError

        class FailsToBegin(Met):
            def connectionMade(self) -> None:
                raise ZeroDivisionError

        self.start(Fails())
        self.connect(2)
        self.turn()
        self.assertEqual(self.factory.asked, 2)
        self.start(Meeting(FailsToBegin, b"hello"))
        self.connect()
        self.turn()
        self.factory.kind = Met
        sock = self.connect()
        self.turn()
        self.assertEqual(sock.recv(100), b"hello")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)

    def test_greeting(self) -> None:
        """The bytes that ``makeConnection`` writes leave before the next client is accepted."""
        self.start(Meeting(greeting=b"hello"))
        sock = self.connect()
        self.port.doRead()
        self.assertEqual(sock.recv(100), b"hello")
        self.assertEqual(self.successResultOf(self.factory.queue.get()).transport.sent, 5)


class DescriptorTests(Serving):
    """The process has no descriptor left."""

    def exhaust(self) -> list[int]:
        """Take all descriptors that are left, of a number that is made small."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        highest = max(map(int, os.listdir("/proc/self/fd")))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        self.limits = soft, hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 5, hard))
        taken: list[int] = []
        while True:
            try:
                taken.append(os.dup(0))
            except OSError as error:
                self.assertEqual(error.errno, errno.EMFILE)
                return taken

    def giveBack(self, taken: list[int]) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, self.limits)
        for descriptor in taken:
            os.close(descriptor)

    async def test_exhausted(self) -> None:
        """New clients wait while open connections are served; then they are accepted."""
        told = await self.serve(factory := Meeting(greeting=b"hello"))
        lines: list[Any] = []
        first: Deferred[None] = Deferred()

        def observe(event: Any) -> None:
            lines.append(event)
            if len(lines) == 1:
                first.callback(None)

        self.patch(acceptor, "_logger", Logger(observer=observe))
        here = self.client()
        await factory.queue.get()
        self.assertEqual(await self.heard(here), b"hello")
        clients = [socket.socket() for _ in range(5)]
        taken = self.exhaust()
        try:
            for sock in clients:
                sock.settimeout(10)
                sock.connect(("127.0.0.1", self.host.port))
            await first
            here.sendall(b"still here?")
            self.assertEqual(await self.heard(here), b"still here?")
            self.assertEqual(select.select(clients, [], [], 0)[0], [])
            self.assertEqual(len(told.opened), 1)
        finally:
            self.giveBack(taken)
        for _ in clients:
            await factory.queue.get()
        self.assertEqual([await self.heard(sock) for sock in clients], [b"hello"] * 5)
        self.assertEqual(lines[0]["error"].errno, errno.EMFILE)
        self.assertLessEqual(len(lines), 10)
        for sock in (*clients, here):
            sock.close()
        await told.ending(6)


class AddressTests(Serving):
    """The address of a peer is the one that people know."""

    async def test_families(self) -> None:
        """An IPv4 client of an IPv6 socket is IPv4, to the protocol too; an IPv6 client is not."""
        for endpoint, host, kind in (
            ("tcp:0:interface=127.0.0.1", "127.0.0.1", IPv4Address),
            (r"tcp6:0:interface=\:\:", "127.0.0.1", IPv4Address),
            (r"tcp6:0:interface=\:\:", "::1", IPv6Address),
        ):
            told = await self.serve(factory := Meeting(), endpoint)
            with socket.create_connection((host, self.host.port)) as sock:
                transport = (await factory.queue.get()).transport
                here = kind("TCP", *sock.getsockname()[:2])
                there = kind("TCP", *sock.getpeername()[:2])
                self.assertEqual((transport.getPeer(), transport.getHost()), (here, there))
                [opened] = told.opened
                self.assertEqual(opened[:3], ("test", 1, f"test,1,{host}"))
                self.assertEqual((opened.peer, opened.host), (here, there))

    async def test_unix(self) -> None:
        """A Unix client has no name, or has chosen any; none breaks out of its log line."""
        for name in (b"", os.fsencode(self.folder()) + b"/\n[test,2,unix] closed\x1b[2J\xff"):
            told = await self.serve(factory := Meeting(), f"unix:{self.unixPath()}")
            with socket.socket(socket.AF_UNIX) as sock:
                if name:
                    sock.bind(name)
                sock.connect(self.host.name)
                await factory.queue.get()
                [opened] = told.opened
                self.assertLessEqual(set(opened.prefix), set(map(chr, range(0x20, 0x7F))))
                self.assertEqual(opened.prefix == "test,1,unix", not name)
