"""Tests for `tcplab.listener.acceptor`."""

from __future__ import annotations

import errno
import os
import resource
import select
import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener import acceptor
from tcplab.listener.acceptor import ListenerAcceptor
from tcplab.listener.listener import Listener
from tcplab.observers import Observers
from tests.listener.test_listener import Meeting
from tests.support.socket_server import Serving

LACKING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
GONE = (errno.ECONNABORTED, errno.EPROTO, errno.EPERM)


class Nobody(Factory):
    """Build nothing, and count who came."""

    noisy = False
    came = 0

    def buildProtocol(self, address: Any) -> None:
        self.came += 1


class ListeningSocket:
    """
    What the test has wait in the backlog: errors, or peers (``None``).

    :ivar always: the error of every accept() while nothing else waits.
    """

    def __init__(self) -> None:
        self.waiting: list[int | None] = []
        self.always: int | None = None
        self.asked = 0

    def setsockopt(self, *args: object) -> None: ...

    @property
    def readable(self) -> bool:
        return bool(self.waiting or self.always)

    def _accept(self) -> tuple[int, tuple[str, int]]:
        if not self.readable:
            raise BlockingIOError
        self.asked += 1
        error = self.waiting.pop(0) if self.waiting else self.always
        if error:
            raise OSError(error, os.strerror(error))
        here, there = socket.socketpair()
        there.close()
        return here.detach(), ("127.0.0.1", 36702)


class FakePort:
    """A port whose kernel is the test."""

    addressFamily = socket.AF_INET
    socketType = socket.SOCK_STREAM
    disconnecting = False
    connected = True
    doRead: Any

    def doRead(self) -> None:
        """Accept in Twisted's own way."""

    def __init__(self) -> None:
        self.socket = ListeningSocket()
        self.reactor = Clock()
        self.factory = Nobody()
        self.reading = True

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 50544)

    def pauseProducing(self) -> None:
        self.reading = False

    stopReading = pauseProducing

    def resumeProducing(self) -> None:
        if self.connected and not self.disconnecting:  # as in FileDescriptor
            self.reading = True

    def turn(self) -> None:
        """Tell it as a level-triggered poller does, until there is nothing to tell."""
        for _ in range(1000):
            if not (self.reading and self.socket.readable):
                return
            self.doRead()
        raise AssertionError("it is told again and again: a busy loop")

    def wait(self, seconds: float, step: float = 0.001) -> None:
        """Let time pass."""
        until = self.reactor.seconds() + seconds
        while self.reactor.seconds() < until - step / 2:
            self.reactor.advance(step)
            self.turn()

    def stop(self) -> None:
        """Close it, as ``stopListening`` does."""
        self.disconnecting, self.reading, self.connected = True, False, False
        del self.socket


class BackOffTests(SynchronousTestCase):
    """When accept() fails it is tried again, after a while that grows."""

    def setUp(self) -> None:
        self.port = FakePort()
        self.listener = Listener("test", Observers())
        self.add(plain=True)
        self.logged: list[Any] = []
        self.patch(acceptor, "_logger", Logger(observer=self.logged.append))

    def add(self, plain: bool) -> None:
        """Have the listener accept for the port, as `Listener.addPort` does for Twisted's own."""
        self.listener._acceptors.append(ListenerAcceptor(self.port, self.listener, plain))

    def pauses(self) -> list[float]:
        return [each["seconds"] for each in self.logged]

    def test_lacking(self) -> None:
        """From 5 ms, doubled up to a second; the backlog is left alone meanwhile."""
        for error in LACKING:
            self.setUp()
            self.port.socket.always = error
            self.port.turn()
            self.assertFalse(self.port.reading)
            self.assertEqual(self.port.socket.asked, 1)
            self.port.wait(0.004)
            self.assertEqual(self.port.socket.asked, 1)
            self.port.wait(5)
            self.assertEqual(
                self.pauses()[:10], [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0]
            )
            self.assertEqual(set(self.pauses()[8:]), {1.0})

    def test_fewLines(self) -> None:
        """Ten lines in the first second, one in each after it."""
        self.port.socket.always = errno.EMFILE
        self.port.turn()
        self.port.wait(1)
        self.assertLessEqual(len(self.logged), 10)
        first = len(self.logged)
        self.port.wait(10, 0.005)
        self.assertLessEqual(len(self.logged), first + 10)
        self.assertEqual(self.port.socket.asked, len(self.logged))
        self.assertIn(os.strerror(errno.EMFILE), str(self.logged[0]["error"]))

    def test_recovery(self) -> None:
        """Within a second it accepts again, all who wait; the next failure starts from 5 ms."""
        self.port.socket.always = errno.ENFILE
        self.port.turn()
        self.port.wait(5, 0.005)
        self.port.socket.always = None
        self.port.socket.waiting = [None] * 100
        self.port.wait(1.001)
        self.assertEqual((self.port.factory.came, self.port.reading), (100, True))
        self.assertEqual(self.port.reactor.getDelayedCalls(), [])
        self.logged.clear()
        self.port.socket.waiting = [errno.ENFILE]
        self.port.turn()
        self.assertEqual(self.pauses(), [0.005])

    def test_scarce(self) -> None:
        """A descriptor that is free now and then lets one in, without a line for each."""
        self.port.socket.always = errno.EMFILE
        for _ in range(100):
            self.port.socket.waiting = [None]
            self.port.wait(0.01)
        self.assertGreater(self.port.factory.came, 50)
        self.assertLessEqual(len(self.logged), 10)

    def test_goneBeforeAccept(self) -> None:
        """A client that has gone before it was accepted costs no other client anything."""
        for error in GONE:
            self.setUp()
            self.port.socket.waiting = [error, None, error, None]
            self.port.turn()
            self.assertEqual((self.port.factory.came, self.port.reading), (2, True))
            self.assertEqual(self.logged, [])

    def test_shutDown(self) -> None:
        """A socket that listens no more, by the hand of another process, is left alone."""
        self.port.socket.always = errno.EINVAL
        self.port.turn()
        self.assertEqual((self.port.reading, self.port.socket.asked), (False, 1))
        self.assertEqual((self.logged, self.port.reactor.getDelayedCalls()), ([], []))

    def test_manyErrors(self) -> None:
        """Many in a row are survived without a busy loop; the next client is accepted."""
        for errors in (*([error] * 20 for error in GONE), [*LACKING, *GONE, *GONE]):
            self.setUp()
            self.port.socket.waiting = [*errors, None]
            self.port.wait(4)
            self.assertEqual((self.port.factory.came, self.port.reading), (1, True))
            self.assertLessEqual(len(self.logged), 9)
            self.assertEqual(self.port.reactor.getDelayedCalls(), [])

    def test_suspendedMeanwhile(self) -> None:
        """Neither ends the other: the end of a back-off, and that of a suspension."""
        for suspended in (True, False):
            self.setUp()
            self.port.socket.waiting = [errno.EMFILE, None]
            self.port.turn()
            self.listener.suspend("full")
            if suspended:
                self.port.wait(2)
            else:
                self.listener.resume("full")
            self.port.wait(0.004)
            self.assertEqual((self.port.factory.came, self.port.reading), (0, False))
            self.listener.resume("full")
            self.port.wait(0.002)
            self.port.turn()
            self.assertEqual((self.port.factory.came, self.port.reading), (1, True))

    def test_closedMeanwhile(self) -> None:
        """A port that is closed during a back-off stays closed."""
        self.port.socket.waiting = [errno.EMFILE, None]
        self.port.turn()
        self.port.stop()
        self.port.reactor.advance(2)
        self.assertFalse(self.port.reading)
        self.assertEqual(self.port.reactor.getDelayedCalls(), [])

    def test_batch(self) -> None:
        """So many at once and no more: other events are handled in between; fewer with TLS."""
        for plain, first in ((True, 64), (False, 8)):
            self.add(plain)
            self.port.factory.came = 0
            self.port.socket.waiting = [None] * 100
            self.port.doRead()
            self.assertEqual(self.port.factory.came, first)
            self.port.turn()
            self.assertEqual(self.port.factory.came, 100)

    def test_inMidBatch(self) -> None:
        """To suspend, or to close the port, holds at once."""
        port, suspend = self.port, self.listener.suspend

        class Ends(Nobody):
            def buildProtocol(self, address: Any) -> None:
                super().buildProtocol(address)
                if self.came == 3:
                    suspend("full")
                elif self.came == 5:
                    port.disconnecting = True

        port.factory = Ends()
        port.socket.waiting = [None] * 10
        port.turn()
        self.assertEqual((port.factory.came, port.reading), (3, False))
        self.listener.resume("full")
        port.doRead()
        self.assertEqual((port.factory.came, len(port.socket.waiting)), (5, 5))

    def test_factoryFails(self) -> None:
        """One who fails to be built is closed, told once, and the next is served."""

        class Fails(Nobody):
            def buildProtocol(self, address: Any) -> None:
                super().buildProtocol(address)
                raise ZeroDivisionError

        self.port.factory = Fails()
        self.port.socket.waiting = [None, None]
        self.port.turn()
        self.assertEqual(self.port.factory.came, 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)


class Talks(Protocol):
    """Echo, and hand itself to the test."""

    def connectionMade(self) -> None:
        self.transport.write(b"hello")  # type: ignore[union-attr]
        self.factory.queue.put(self)  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[union-attr]


class Hall(Factory):
    noisy = False
    protocol = Talks

    def __init__(self) -> None:
        self.queue: DeferredQueue[Any] = DeferredQueue()


class FailsToBegin(Talks):
    def connectionMade(self) -> None:
        super().connectionMade()
        raise ZeroDivisionError


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

    def logging(self) -> Deferred[Any]:
        """Return what fires with the first line."""
        first: Deferred[Any] = Deferred()

        def observe(event: Any) -> None:
            self.lines.append(event)
            if len(self.lines) == 1:
                first.callback(event)

        self.lines: list[Any] = []
        self.patch(acceptor, "_logger", Logger(observer=observe))
        return first

    def backingOff(self) -> bool:
        return any(each._retry is not None for each in self.listener._acceptors)

    async def test_exhausted(self) -> None:
        """Who connects waits; who is here is served; then those are served who waited."""
        told = await self.serve(hall := Hall())
        first = self.logging()
        here = self.connect()
        self.addCleanup(here.close)
        await hall.queue.get()
        self.assertEqual(await self.talk(here.recv, 5), b"hello")
        clients = [socket.socket() for _ in range(5)]
        taken = self.exhaust()
        try:
            for sock in clients:
                sock.settimeout(10)
                sock.connect(("127.0.0.1", self.host.port))
            event = await first
            here.sendall(b"still here?")
            self.assertEqual(await self.talk(here.recv, 100), b"still here?")
            self.assertEqual(select.select(clients, [], [], 0)[0], [])
            self.assertEqual(len(told.opened), 1)
        finally:
            self.giveBack(taken)
        self.assertEqual(event["error"].errno, errno.EMFILE)
        for _ in clients:
            await hall.queue.get()
        self.assertEqual([await self.talk(sock.recv, 5) for sock in clients], [b"hello"] * 5)
        self.assertLessEqual(len(self.lines), 10)
        self.assertFalse(self.backingOff())
        for sock in clients:
            sock.close()
        here.close()
        await told.ending(6)

    async def test_stopped(self) -> None:
        """A port that is closed then leaves nothing behind in the reactor."""
        await self.serve(Hall())
        await self.talk(len, b"")  # the reactor opens pipes when it begins to run
        first = self.logging()
        sock = socket.socket()
        self.addCleanup(sock.close)
        taken = self.exhaust()
        try:
            sock.connect(("127.0.0.1", self.host.port))
            await first
        finally:
            self.giveBack(taken)
        await self.port.stopListening()
        left = [each._retry for each in self.listener._acceptors if each._retry is not None]
        for again in left:
            again.cancel()  # or it fails another test
        self.assertEqual(left, [])


class WelcomeTests(Serving):
    """Who is accepted is greeted."""

    async def test_beginningFails(self) -> None:
        """A protocol that fails to begin is logged; the port serves on."""
        told = await self.serve(hall := Hall())
        hall.protocol = FailsToBegin
        with self.connect():
            await hall.queue.get()
        await told.ending()
        hall.protocol = Talks
        with self.connect() as sock:
            await hall.queue.get()
            self.assertEqual(await self.talk(sock.recv, 100), b"hello")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_greetingIsSentAtOnce(self) -> None:
        """What makeConnection wrote has left when the next is accepted."""
        await self.serve(hall := Hall())
        with self.connect() as sock:
            protocol = await hall.queue.get()
            self.assertEqual(await self.talk(sock.recv, 100), b"hello")
            self.assertEqual(protocol.transport.sent, 5)


class AddressTests(Serving):
    """The address of a peer is the one that people know."""

    async def test_families(self) -> None:
        """An IPv4 client of an IPv6 socket is IPv4, to the protocol too; an IPv6 client is not."""
        for host, kind in (("127.0.0.1", IPv4Address), ("::1", IPv6Address)):
            told = await self.serve(factory := Meeting(), r"tcp6:0:interface=\:\:")
            with socket.create_connection((host, self.host.port)) as sock:
                transport = (await factory.queue.get()).transport
                here = kind("TCP", *sock.getsockname()[:2])
                there = kind("TCP", *sock.getpeername()[:2])
                self.assertEqual((transport.getPeer(), transport.getHost()), (here, there))
                [opened] = told.opened
                self.assertEqual((opened.peer, opened.host), (here, there))
                self.assertEqual(opened.prefix, f"Met,1,{host}")

    async def test_hostileName(self) -> None:
        """A Unix client may have bound its socket to any name; none breaks out of its log line."""
        told = await self.serve(factory := Meeting(), f"unix:{self.unixPath()}")
        folder = self.folder()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(os.fsencode(folder) + b"/\n[Met,2,unix] closed\x1b[2J\xff")
            sock.connect(self.port.getHost().name)
            await factory.queue.get()
            [opened] = told.opened
            self.assertLessEqual(set(opened.prefix), set(map(chr, range(0x20, 0x7F))))
