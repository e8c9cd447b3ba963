"""Tests for `tcplab.server.endpointlistener`."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.endpoints import AdoptedStreamServerEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tcplab.config.behaviourspec import parseSpec
from tcplab.config.errors import SettingsError
from tcplab.config.listenersettings import ListenerSettings
from tcplab.faults.listenerfaults import FAULT
from tcplab.observers import Observers
from tcplab.protocols import ConversationFactory, Echo
from tcplab.server import endpointlistener
from tcplab.server.endpointlistener import EndpointListener
from tcplab.server.endpoints import endpointOf
from tests.support.certificates import localhostFile
from tests.support.fake_listeners import FakeEndpoint
from tests.support.fault_ports import SYN_SENT
from tests.support.log_capture import Logged
from tests.support.socket_server import Serving


@implementer(IListeningPort)
class ForeignPort:
    """A port that Twisted does not know."""

    def __init__(self, closing: Deferred[Any] | None = None) -> None:
        self.closing = closing or succeed(None)

    def startListening(self) -> None: ...

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.1", 7)

    def stopListening(self) -> Deferred[Any]:
        return self.closing


def serving(result: Deferred[Any], factory: Any = None, spec: str = "echo") -> EndpointListener:
    settings = ListenerSettings("echo-2", parseSpec(spec), "fake:1", "--serve echo@fake:1")
    return EndpointListener(settings, factory or Factory(), FakeEndpoint(result), Observers())


class ListenTests(Logged, SynchronousTestCase):
    def test_late(self) -> None:
        """It listens when its endpoint does."""
        result: Deferred[Any] = Deferred()
        late = serving(result)
        listening = late.listen()
        self.assertNoResult(listening)
        result.callback(ForeignPort())
        self.successResultOf(listening)
        self.assertEqual(late.host, IPv4Address("TCP", "192.0.2.1", 7))

    def test_lines(self) -> None:
        """What is served where, for which networks; and a port whose connections are not seen."""
        serving(succeed(ForeignPort()), spec=r"echo,greeting=é\n").listen()
        self.assertEqual(
            self.lines(),
            [
                r"serving echo,greeting=\xe9\n on tcp 192.0.2.1:7"
                " (reachable by all that can reach 192.0.2.1)"
            ],
        )
        [line] = self.lines(LogLevel.warn)
        self.assertIn("connections of echo-2 are not logged", line)

    def test_refused(self) -> None:
        """A failure is one line; so is what does not listen."""
        for result, problem in (
            (fail(ValueError("no\nway")), "^--serve echo@fake:1: cannot listen on fake:1: no$"),
            (succeed(object()), "no place to listen"),
        ):
            failure = self.failureResultOf(serving(result).listen(), SettingsError)
            self.assertRegex(str(failure.value), problem)


class StopTests(Logged, SynchronousTestCase):
    def test_early(self) -> None:
        """Before it listens, and while it waits for its endpoint: that is cancelled."""
        starting = serving(Deferred())
        self.successResultOf(starting.stopListening())
        listening = starting.listen()
        self.successResultOf(starting.stopListening())
        self.failureResultOf(listening, CancelledError)

    def test_slowPort(self) -> None:
        """Each call fires when the port is closed, or is cancelled alone."""
        closing: Deferred[None] = Deferred()
        started = serving(succeed(ForeignPort(closing)))
        started.listen()
        asked = [started.stopListening() for _ in range(3)]
        asked[0].cancel()
        self.failureResultOf(asked[0], CancelledError)
        self.assertNoResult(asked[1])
        self.assertIsNone(started.port)
        closing.callback(None)
        for each in [*asked[1:], started.stopListening()]:
            self.successResultOf(each)

    def test_failure(self) -> None:
        """A path that cannot be removed is logged; so is a bug."""
        for error, lines in (
            (
                PermissionError(13, "Permission denied", b"/a/s"),
                ["/a/s cannot be removed: Permission"],
            ),
            (FileNotFoundError(2, "No such file", b"/a/s"), []),
            (ValueError("a bug"), []),
        ):
            self.events.clear()
            started = serving(succeed(ForeignPort(fail(error))))
            started.quiet = True
            started.listen()
            self.successResultOf(started.stopListening())
            found = [each for each in self.lines(LogLevel.warn) if "removed" in each]
            self.assertEqual([each[:28] for each in found], [each[:28] for each in lines])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class PortTests(Logged, Serving):
    def listening(self, endpoint: Any) -> EndpointListener:
        text = endpoint if isinstance(endpoint, str) else "fake:1"
        settings = ListenerSettings("echo", parseSpec("echo"), text)
        if endpoint is text:
            endpoint = endpointOf(reactor, settings)
        made = EndpointListener(settings, ConversationFactory(Echo), endpoint, Observers())
        self.successResultOf(made.listen())  # at once
        self.addCleanup(made.abort)
        self.addCleanup(made.stopListening)
        self.host: Any = made.host
        return made

    def tcp(self, backlog: int = 50) -> EndpointListener:
        return self.listening(f"tcp:0:interface=127.0.0.1:backlog={backlog}")

    async def test_kinds(self) -> None:
        for endpoint, place in (
            ("tcp:0:interface=127.0.0.1", "on tcp 127.0.0.1:"),
            (f"ssl:0:privateKey={localhostFile(self.folder())}", "on tls 0.0.0.0:"),
            ("tcp6:0:interface=\\:\\:1", "on tcp [::1]:"),
            (f"unix:{self.unixPath()}", "on unix /"),
        ):
            await self.listening(endpoint).stopListening()
            self.assertIn(place, self.lines(LogLevel.info)[-1])
        self.assertEqual(self.lines(LogLevel.warn), [])

    async def test_otherSocket(self) -> None:
        """A path or a lock that is another program's by now stays, a path that is gone is none."""
        for change in ("socket", "lock", "gone"):
            path = self.unixPath()
            made = self.listening(f"unix:{path}")
            second = EndpointListener(
                made.settings, Factory(), FakeEndpoint(Deferred()), Observers()
            )
            problem = self.failureResultOf(second.listen(), SettingsError)
            self.assertIn(f"another process serves on {path}", str(problem.value))
            os.remove(path + ".lock" if change == "lock" else path)
            if change == "socket":
                socket.socket(socket.AF_UNIX).bind(path)
            elif change == "lock":
                os.symlink("1", path + ".lock")
            await made.stopListening()
            self.assertEqual(os.path.lexists(path), change == "socket")
            self.assertEqual(os.path.lexists(path + ".lock"), change == "lock")

    async def test_listenQueue(self) -> None:
        """Its clients are accepted first."""
        made = self.tcp(backlog=1000)
        port: Any = made.port
        peers = [self.client() for _ in range(500)]  # many times what is accepted at once
        self.assertEqual(len(made.connections), 0)
        stopping = made.stopListening()
        self.assertEqual(len(made.connections), 500)
        await stopping
        self.assertRaises(ConnectionRefusedError, self.connect)
        self.assertFalse(port.connected)
        for peer in peers:
            peer.close()
        await made.whenEmpty()

    async def test_lastMoment(self) -> None:
        """A client that connects then is accepted, if its handshake has begun; no other one is."""
        made = self.tcp(backlog=9)
        self.patch(endpointlistener, "_LOCAL_HANDSHAKE", 0.1)
        address = made.port.socket.getsockname()  # type: ignore[union-attr]
        first = self.client()
        stopping = made.stopListening()
        with socket.socket() as late:
            late.setblocking(False)
            self.assertEqual(late.connect_ex(address), errno.EINPROGRESS)
            await stopping
            self.assertEqual(late.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0], SYN_SENT)
        self.assertEqual(len(made.connections), 1)
        first.sendall(b"hi")
        self.assertEqual(await self.talk(first.recv, 9), b"hi")

    async def test_flood(self) -> None:
        """It does not delay the end."""
        made = self.tcp()
        port: Any = made.port
        accepted: list[int] = []
        port.doRead = lambda: accepted.append(1)  # one more is there each time
        self.client()
        await made.stopListening()
        self.assertEqual(len(accepted), 2 * 128)  # at once, and once handshakes are complete

    async def test_suspended(self) -> None:
        """No client is accepted any more: those in the queue are reset, and counted."""
        for reason, unserved in (("test", 2), (FAULT, 0)):
            made = self.tcp()
            made.suspend(reason)
            peers = [self.client(), self.client()]
            await made.stopListening()
            self.assertEqual((len(made.connections), made.unserved), (0, unserved))
            for peer in peers:
                self.assertRaises(ConnectionResetError, peer.recv, 1)
        self.assertEqual(
            self.lines(LogLevel.warn), ["echo: 2 clients in the listen queue were reset"]
        )

    async def test_sharedSocket(self) -> None:
        """It goes on listening for the other process."""
        with socket.create_server(("127.0.0.1", 0)) as owned:
            owned.setblocking(False)
            lent = os.dup(owned.fileno())  # which the endpoint closes
            made = self.listening(AdoptedStreamServerEndpoint(reactor, lent, socket.AF_INET))
            await made.stopListening()
            self.client()

    async def test_unixSocket(self) -> None:
        path = self.unixPath()
        made = self.listening(f"unix:{path}")
        stopping = made.stopListening()
        with socket.socket(socket.AF_UNIX) as peer:
            self.assertRaises(ConnectionRefusedError, peer.connect, path)
        await stopping
        self.assertEqual(os.listdir(os.path.dirname(path)), [])

    async def test_lock(self) -> None:
        """Of a Unix socket that was bound by a process which has forked and exited."""
        lock = (path := self.unixPath()) + ".lock"
        made = self.listening(f"unix:{path}")
        before = os.lstat(lock).st_ino
        made.rewriteLock()  # it is this process's already
        self.assertEqual(os.lstat(lock).st_ino, before)
        os.remove(lock)
        os.symlink("1", lock)
        made.rewriteLock()
        self.assertEqual(os.readlink(lock), str(os.getpid()))
        await made.stopListening()
        self.assertEqual(os.listdir(os.path.dirname(path)), [])
        serving(succeed(ForeignPort())).rewriteLock()  # there is none
