"""One listener: listening, saying so, and stopping."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from socket import AF_INET
from typing import Any

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.endpoints import (
    AdoptedStreamServerEndpoint,
    TCP4ServerEndpoint,
    UNIXServerEndpoint,
)
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from tcplab.config.behaviourspec import parseSpec
from tcplab.config.errors import SettingsError
from tcplab.config.settings import ListenerSettings
from tcplab.observers import Observers
from tcplab.protocols import ConversationFactory, Echo
from tcplab.server.endpointlistener import EndpointListener
from tcplab.server.endpoints import endpointOf
from tests.support.certificates import localhostFile
from tests.support.log_capture import Logged


@implementer(IListeningPort)
class ForeignPort:
    """A port that Twisted does not know."""

    stopped = False

    def startListening(self) -> None: ...

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.1", 7)

    def stopListening(self) -> None:
        self.stopped = True


class FakeEndpoint:
    def __init__(self, result: Deferred[Any]) -> None:
        self.result = result

    def listen(self, factory: object) -> Deferred[Any]:
        return self.result


def serving(result: Deferred[Any], factory: Any = None, spec: str = "echo") -> EndpointListener:
    settings = ListenerSettings("echo-2", parseSpec(spec), "fake:1", "--serve echo@fake:1")
    return EndpointListener(settings, factory or Factory(), FakeEndpoint(result), Observers())


class Listening(Logged, SynchronousTestCase):
    def refused(self, result: Deferred[Any]) -> str:
        return str(self.failureResultOf(serving(result).listen(), SettingsError).value)

    def test_not_before_the_endpoint_does(self) -> None:
        result: Deferred[Any] = Deferred()
        late = serving(result)
        listening = late.listen()
        self.assertNoResult(listening)
        result.callback(ForeignPort())
        self.successResultOf(listening)
        self.assertEqual(late.host, IPv4Address("TCP", "192.0.2.1", 7))

    def test_says_what_where_and_who_can_reach_it(self) -> None:
        serving(succeed(ForeignPort()), spec=r"echo,greeting=é\n").listen()
        self.assertIn(
            r"serving echo,greeting=\xe9\n on tcp 192.0.2.1:7"
            " (reachable by whoever can reach 192.0.2.1)",
            self.lines(LogLevel.info),
        )

    def test_warns_if_connections_cannot_be_watched(self) -> None:
        serving(succeed(ForeignPort())).listen()
        [line] = self.lines(LogLevel.warn)
        self.assertIn("connections of echo-2 are not told of", line)

    def test_failure_is_one_line(self) -> None:
        problem = self.refused(fail(ValueError("no\nway")))
        self.assertEqual(problem, "--serve echo@fake:1: cannot listen on fake:1: no")

    def test_what_does_not_listen_is_refused(self) -> None:
        self.assertIn("no place to listen", self.refused(succeed(object())))


class Stopping(SynchronousTestCase):
    def test_stops_the_port(self) -> None:
        port = ForeignPort()
        started = serving(succeed(port))
        started.listen()
        self.successResultOf(started.stopListening())
        self.assertTrue(port.stopped)
        self.assertIsNone(started.port)

    def test_before_it_began(self) -> None:
        self.successResultOf(serving(Deferred()).stopListening())

    def test_while_it_begins_cancels_that(self) -> None:
        starting = serving(Deferred())
        listening = starting.listen()
        self.successResultOf(starting.stopListening())
        self.failureResultOf(listening, CancelledError)

    def test_port_that_takes_its_time(self) -> None:
        closing: Deferred[None] = Deferred()
        port: Any = ForeignPort()
        port.stopListening = lambda: closing
        started = serving(succeed(port))
        started.listen()
        asked = [started.stopListening() for _ in range(3)]
        asked[0].cancel()
        self.failureResultOf(asked[0], CancelledError)
        self.assertNoResult(asked[1])
        closing.callback(None)
        for each in [*asked[1:], started.stopListening()]:
            self.successResultOf(each)


class StoppingRealPorts(TestCase):
    def listening(self, endpoint: Any) -> EndpointListener:
        settings = ListenerSettings("echo", parseSpec("echo"), "fake:1")
        made = EndpointListener(settings, ConversationFactory(Echo), endpoint, Observers())
        self.successResultOf(made.listen())
        self.addCleanup(made.abort)
        self.addCleanup(made.stopListening)
        return made

    def tcp(self, backlog: int = 50) -> EndpointListener:
        return self.listening(TCP4ServerEndpoint(reactor, 0, backlog, "127.0.0.1"))

    def connect(self, place: Any) -> socket.socket:
        peer = socket.create_connection(place, timeout=30)
        self.addCleanup(peer.close)
        return peer

    async def test_who_has_connected_is_accepted_first(self) -> None:
        made = self.tcp(backlog=1000)
        port: Any = made.port
        place = "127.0.0.1", made.host.port
        peers = [self.connect(place) for _ in range(500)]  # many times what is accepted at once
        self.assertEqual(len(made.connections), 0)
        stopping = made.stopListening()
        self.assertEqual(len(made.connections), 500)
        self.assertRaises(ConnectionRefusedError, self.connect, place)
        await stopping
        self.assertFalse(port.connected)
        for peer in peers:
            peer.close()
        await made.whenEmpty()

    async def test_a_flood_does_not_hold_it_up(self) -> None:
        made = self.tcp()
        port: Any = made.port
        accepted = []
        port.doRead = lambda: accepted.append(1)  # one more is there each time
        self.connect(("127.0.0.1", made.host.port))
        await made.stopListening()
        self.assertEqual(len(accepted), 128)

    async def test_nobody_is_accepted_while_it_is_suspended(self) -> None:
        made = self.tcp()
        made.suspend("test")
        self.connect(("127.0.0.1", made.host.port))
        await made.stopListening()
        self.assertEqual(len(made.connections), 0)

    async def test_socket_of_others_goes_on(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as owned:
            owned.setblocking(False)
            lent = os.dup(owned.fileno())  # which the endpoint closes
            made = self.listening(AdoptedStreamServerEndpoint(reactor, lent, AF_INET))
            await made.stopListening()
            self.connect(owned.getsockname())  # waits for them

    async def test_unix_socket(self) -> None:
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        made = self.listening(UNIXServerEndpoint(reactor, f"{folder}/s"))
        stopping = made.stopListening()
        with socket.socket(socket.AF_UNIX) as peer:
            self.assertRaises(ConnectionRefusedError, peer.connect, f"{folder}/s")
        await stopping
        self.assertEqual(os.listdir(folder), [])


class TakingOver(TestCase):
    """A Unix socket that was bound by a process which has forked and gone."""

    def setUp(self) -> None:
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        self.lock = os.path.join(folder, "s.lock")
        settings = ListenerSettings("echo", parseSpec("echo"), f"unix:{folder}/s")
        self.bound = EndpointListener(
            settings, ConversationFactory(Echo), endpointOf(reactor, settings), Observers()
        )
        self.successResultOf(self.bound.listen())

    async def test_lock_becomes_this_processs(self) -> None:
        os.remove(self.lock)
        os.symlink("1", self.lock)
        self.bound.rewriteLock()
        self.assertEqual(os.readlink(self.lock), str(os.getpid()))
        await self.bound.stopListening()
        self.assertEqual(os.listdir(os.path.dirname(self.lock)), [])

    async def test_lock_of_this_process_is_left_alone(self) -> None:
        before = os.lstat(self.lock).st_ino
        self.bound.rewriteLock()
        self.assertEqual(os.lstat(self.lock).st_ino, before)
        await self.bound.stopListening()

    async def test_what_has_no_lock_needs_nothing(self) -> None:
        serving(succeed(ForeignPort())).rewriteLock()
        await self.bound.stopListening()


class RealSockets(Logged, TestCase):
    async def test_tcp_and_unix(self) -> None:
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        for endpoint, place in (
            ("tcp:0:interface=127.0.0.1", "on tcp 127.0.0.1:"),
            (f"ssl:0:privateKey={localhostFile(folder)}", "on tls 0.0.0.0:"),
            ("tcp6:0:interface=\\:\\:1", "on tcp [::1]:"),
            (f"unix:{folder}/s", "on unix /"),
        ):
            settings = ListenerSettings("echo", parseSpec("echo"), endpoint)
            started = EndpointListener(
                settings, ConversationFactory(Echo), endpointOf(reactor, settings), Observers()
            )
            listening = started.listen()
            self.successResultOf(listening)  # at once
            await started.stopListening()
            self.assertIn(place, self.lines(LogLevel.info)[-1])
        self.assertEqual(self.lines(LogLevel.warn), [])
