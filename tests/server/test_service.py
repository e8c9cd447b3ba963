"""The lab as a service: all its listeners, and its polite end."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.testing import MemoryReactorClock
from twisted.internet.threads import deferToThread
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tcplab.observers import Observers
from tcplab.server.service import LabService
from tcplab.server.settings import SettingsError, fromWords
from tests.server.logged import Logged


class FakeEndpoint:
    def __init__(self, result: Deferred[Any]) -> None:
        self.result = result

    def listen(self, factory: object) -> Deferred[Any]:
        return self.result


class FakeListener:
    """A listener with connections that end when they are told to, or only when aborted."""

    def __init__(self, polite: bool) -> None:
        self.polite = polite
        self.connections: set[Any] = {"one", "two"}
        self.drained = False
        self.waiting: list[Deferred[None]] = []

    def watch(self, port: object) -> bool:
        return True

    def drain(self) -> None:
        self.drained = True
        if self.polite:
            self.end()

    def abort(self) -> int:
        count = len(self.connections)
        self.end()
        return count

    def end(self) -> None:
        self.connections.clear()
        waiting, self.waiting = self.waiting, []
        for deferred in waiting:
            deferred.callback(None)

    def whenEmpty(self) -> Deferred[None]:
        deferred: Deferred[None] = Deferred(self.waiting.remove)
        self.waiting.append(deferred)
        if not self.connections:
            self.end()
        return deferred


def lab(reactor: Any, *serve: str, **words: Any) -> LabService:
    return LabService(fromWords(serve=serve, **words), reactor, Observers())


class Making(SynchronousTestCase):
    def factories(self, *serve: str, **words: Any) -> list[Any]:
        service = lab(MemoryReactorClock(), *serve, **words)
        return [serving.factory.buildProtocol(None) for serving in service.servings]

    def test_one_serving_a_listener(self) -> None:
        kinds = [type(each).__name__ for each in self.factories("echo@tcp:1", "lab@tcp:2")]
        self.assertEqual(kinds, ["Echo", "Lab"])

    def test_greeting_is_for_those_who_speak_first(self) -> None:
        made = self.factories("lab@tcp:1", "echo@tcp:2", "ack,greeting=x@tcp:3", greeting="hi")
        self.assertEqual([each.greeting for each in made], [b"hi", b"", b"x"])

    def test_greeting_that_nobody_says_is_refused(self) -> None:
        problem = self.assertRaises(SettingsError, self.factories, "echo@tcp:1", greeting="hi")
        self.assertIn("--greeting changes nothing", str(problem))

    def test_linger_timeout_is_for_all_but_those_who_have_their_own(self) -> None:
        made = self.factories("lab@tcp:1", "echo,lingerTimeout=3@tcp:2", lingerTimeout="9")
        self.assertEqual([each.lingerTimeout for each in made], [9.0, 3.0])

    def test_plain_protocols_are_served_too(self) -> None:
        self.factories("twisted.protocols.wire.Echo@tcp:1", lingerTimeout="9")

    def test_what_is_wrong_is_said_before_anything_is_bound(self) -> None:
        reactor = MemoryReactorClock()
        for serve in ("ecko@tcp:2", "echo@tpc:2", "echo,a=b@tcp:2"):
            self.assertRaises(SettingsError, lab, reactor, "lab@tcp:1", serve)
        self.assertEqual(reactor.tcpServers, [])


class Starting(Logged, SynchronousTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.reactor = MemoryReactorClock()

    def late(self) -> tuple[LabService, Deferred[Any]]:
        service, result = lab(self.reactor, "echo@tcp:1", "lab@tcp:2"), Deferred[Any]()
        service.servings[1].endpoint = FakeEndpoint(result)
        return service, result

    def ports(self) -> list[int]:
        return [port for port, *_ in self.reactor.tcpServers]

    def test_listens_on_all_at_once(self) -> None:
        self.successResultOf(lab(self.reactor, "echo@tcp:1", "lab@tcp:2").listen())
        self.assertEqual(self.ports(), [1, 2])

    def test_to_listen_again_is_the_same_as_once(self) -> None:
        service = lab(self.reactor, "echo@tcp:1")
        for _ in range(3):
            self.successResultOf(service.listen())
        self.assertEqual(self.ports(), [1])

    def test_starting_the_service_listens_unless_it_did(self) -> None:
        for begin in ("listen", "privilegedStartService", "startService"):
            reactor = MemoryReactorClock()
            service = lab(reactor, "echo@tcp:1")
            getattr(service, begin)()
            service.privilegedStartService()
            service.startService()
            self.assertEqual(len(reactor.tcpServers), 1)
            self.assertTrue(service.running)

    def test_not_before_the_last_listens(self) -> None:
        service, result = self.late()
        first, second = service.listen(), service.listen()
        self.assertNoResult(first)
        result.callback(self.reactor.listenTCP(2, service.servings[1].factory))
        self.successResultOf(first)
        self.successResultOf(second)

    def test_failure_is_told_to_each_who_asks(self) -> None:
        service, result = self.late()
        asked = [service.listen(), service.listen()]
        result.errback(ValueError("no"))
        for deferred in [*asked, service.listen()]:
            self.failureResultOf(deferred, SettingsError)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_service_that_cannot_listen_does_not_start(self) -> None:
        service, _ = self.late()
        service.servings[1].endpoint = FakeEndpoint(fail(ValueError("no")))
        self.assertRaises(SettingsError, service.startService)

    def test_service_that_cannot_listen_after_its_start_says_so(self) -> None:
        service, result = self.late()
        service.startService()
        result.errback(ValueError("no way"))
        [line] = self.lines(LogLevel.critical)
        self.assertIn("no way", line)

    def test_stopped_while_it_starts(self) -> None:
        service, _ = self.late()
        service.privilegedStartService()
        self.successResultOf(service.stopService())


class Ending(Logged, SynchronousTestCase):
    def started(self, *polite: bool) -> LabService:
        self.reactor = MemoryReactorClock()
        service = lab(self.reactor, *(["echo,lingerTimeout=3@tcp:1"] * len(polite)))
        for serving, each in zip(service.servings, polite, strict=True):
            serving.listener = FakeListener(each)  # type: ignore[assignment]
        service.startService()
        return service

    def test_polite_peers_are_drained_and_waited_for(self) -> None:
        service = self.started(True, True)
        self.successResultOf(service.stopService())
        self.assertFalse(service.running)
        self.assertEqual([port for port, *_ in self.reactor.tcpServers if port], [1, 1])

    def test_time_to_finish_is_twice_the_longest_linger_and_a_second(self) -> None:
        service = self.started(True, False)
        self.assertEqual(service.patience, 7.0)
        stopping = service.stopService()
        self.reactor.advance(6.9)
        self.assertNoResult(stopping)
        self.reactor.advance(0.1)
        self.successResultOf(stopping)
        self.assertIn("2 connections had not ended after 7 s", self.lines(LogLevel.warn)[-1])

    def test_who_cannot_even_be_aborted_is_waited_for_a_second(self) -> None:
        service = self.started(False)
        stuck: Any = service.servings[0].listener
        stuck.end = lambda: None
        stopping = service.stopService()
        self.reactor.advance(7)
        self.assertNoResult(stopping)
        self.reactor.advance(1)
        self.successResultOf(stopping)

    def test_abort_ends_it_at_once(self) -> None:
        service = self.started(False, False)
        stopping = service.stopService()
        self.assertNoResult(stopping)
        self.assertEqual(service.abort(), 4)
        self.successResultOf(stopping)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_can_be_started_again(self) -> None:
        service = self.started(True)
        self.successResultOf(service.stopService())
        service.startService()
        self.assertEqual(len(self.reactor.tcpServers), 2)


class RealSockets(Logged, TestCase):
    timeout = 60

    def started(self, *serve: str, **words: Any) -> LabService:
        service = lab(reactor, *serve, **words)
        service.startService()
        self.addCleanup(service.stopService)
        return service

    def socketPath(self) -> str:
        # Not mktemp: a Unix socket's path is limited to 107 bytes.
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        return os.path.join(folder, "s")

    def connect(self, port: int) -> socket.socket:
        peer = socket.create_connection(("127.0.0.1", port))
        self.addCleanup(peer.close)
        peer.settimeout(30)
        return peer

    async def test_end_refuses_the_new_and_answers_the_rest(self) -> None:
        service = self.started("lab@tcp:0:interface=127.0.0.1", lingerTimeout="0.1")
        port = service.servings[0].host.port
        peer = self.connect(port)

        def say() -> bytes:
            peer.sendall(b"x" * 1_000_000)
            peer.shutdown(socket.SHUT_WR)
            return peer.recv(18)

        self.assertEqual(await deferToThread(say), b"You are connected!")

        def read() -> int:
            return sum(len(data) for data in iter(lambda: peer.recv(65536), b""))

        reading = deferToThread(read)
        await service.stopService()
        self.assertEqual(await reading, 1_000_000)
        self.assertRaises(ConnectionRefusedError, self.connect, port)
        self.assertEqual(self.lines(LogLevel.warn), [])

    async def test_unix_socket_is_removed(self) -> None:
        path = self.socketPath()
        service = self.started(f"lab@unix:{path}")
        self.assertTrue(os.path.exists(path))
        await service.stopService()
        self.assertFalse(os.path.exists(path))

    async def test_when_one_cannot_listen_the_others_stop(self) -> None:
        taken = self.started("echo@tcp:0:interface=127.0.0.1").servings[0].host
        path = self.socketPath()
        service = lab(reactor, f"lab@unix:{path}", f"lab@tcp:{taken.port}:interface=127.0.0.1")
        problem = self.failureResultOf(service.listen(), SettingsError)
        self.assertIn(f"port {taken.port} is in use on 127.0.0.1", str(problem.value))
        await service.stopService()
        self.assertFalse(os.path.exists(path))
