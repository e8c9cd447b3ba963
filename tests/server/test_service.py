"""The lab as a service: all its listeners, and its polite end."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterable
from threading import Thread
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, gatherResults
from twisted.internet.testing import MemoryReactorClock
from twisted.internet.threads import deferToThread
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.errors import SettingsError
from tcplab.config.settings import fromWords
from tcplab.observers import Observers
from tcplab.server import service as module
from tcplab.server.drain import Drained
from tcplab.server.endpointlistener import EndpointListener
from tcplab.server.service import LabService
from tests.support.certificates import localhostFile
from tests.support.fake_listeners import FakeListener
from tests.support.log_capture import Logged
from tests.support.socket_server import Serving, readAll


class FakeEndpoint:
    def __init__(self, result: Deferred[Any]) -> None:
        self.result = result

    def listen(self, factory: object) -> Deferred[Any]:
        return self.result


def lab(reactor: Any, *serve: str, **words: Any) -> LabService:
    return LabService(fromWords(serve=serve, **words), reactor, Observers())


class Making(SynchronousTestCase):
    def factories(self, *serve: str, **words: Any) -> list[Any]:
        service = lab(MemoryReactorClock(), *serve, **words)
        return [serving.factory.buildProtocol(None) for serving in service.listeners]

    def test_one_serving_a_listener(self) -> None:
        kinds = [type(each).__name__ for each in self.factories("echo@tcp:1", "lab@tcp:2")]
        self.assertEqual(kinds, ["Echo", "LabConversation"])

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
        service.listeners[1].endpoint = FakeEndpoint(result)
        return service, result

    def ports(self) -> list[int]:
        return [port for port, *_ in self.reactor.tcpServers]

    def test_listens_on_all_at_once(self) -> None:
        self.successResultOf(lab(self.reactor, "echo@tcp:1", "lab@tcp:2").listen())
        self.assertEqual(self.ports(), [1, 2])

    def test_endpoints_may_have_another_reactor(self) -> None:
        another = MemoryReactorClock()
        settings = fromWords(serve=["echo@tcp:1"])
        service = LabService(settings, self.reactor, Observers(), listening=another)
        self.successResultOf(service.listen())
        self.assertEqual((self.ports(), len(another.tcpServers)), ([], 1))
        self.successResultOf(service.whenServing())

    def test_quiet(self) -> None:
        for quiet in (True, False):
            settings = fromWords(serve=["echo@tcp:1"])
            service = LabService(settings, self.reactor, Observers(), quiet=quiet)
            self.successResultOf(service.listen())
            self.assertEqual(self.lines() == [], quiet)

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
        result.callback(self.reactor.listenTCP(2, service.listeners[1].factory))
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
        service.listeners[1].endpoint = FakeEndpoint(fail(ValueError("no")))
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


class FakePolicies:
    """Keeps which methods were called."""

    called: list[str]

    def __init__(self, settings: object, clock: object) -> None:
        FakePolicies.called = []

    def attach(self, listeners: Iterable[object]) -> None:
        self.called.append("attach")

    def portsBound(self, ports: Any) -> None:
        self.called.append("bound")

    def log(self) -> None:
        self.called.append("log")

    def detach(self) -> None:
        self.called.append("detach")


class FakeEndpointListener(FakeListener, EndpointListener):
    """One that listens; its connections are fakes."""

    stopListening = EndpointListener.stopListening

    def __init__(self, *args: Any) -> None:
        EndpointListener.__init__(self, *args)


class Faked(Logged, SynchronousTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(module, "ConnectionPolicies", FakePolicies)
        self.patch(module, "EndpointListener", FakeEndpointListener)

    def started(self, *polite: bool, **words: Any) -> LabService:
        self.reactor = MemoryReactorClock()
        service = lab(self.reactor, *(["echo@tcp:1"] * len(polite)), **words)
        self.listeners: Any = service.listeners
        for listener, each in zip(self.listeners, polite, strict=True):
            listener.fake(each)
        service.startService()
        return service

    def drained(self, service: LabService) -> Deferred[Drained]:
        """Begin to drain, and let the reactor turn once."""
        draining = service.drain()
        self.reactor.advance(0)
        return draining


class Pausing(Faked):
    def reasons(self) -> list[set[str]]:
        return [listener.reasons for listener in self.listeners]

    def test_allListeners(self) -> None:
        """Their other reasons for not accepting stay, and a drain ends the pause."""
        service = self.started(True, True)
        self.listeners[0].suspend("max-connections")
        for _ in range(2):
            service.suspend()
            self.assertEqual(self.reasons(), [{"max-connections", "suspend"}, {"suspend"}])
        for _ in range(2):
            service.resume()
            self.assertEqual(self.reasons(), [{"max-connections"}, set()])
        service.suspend()
        self.drained(service)
        self.assertEqual(self.reasons(), [{"max-connections"}, set()])

    def test_whenEmpty(self) -> None:
        service = self.started(True, True)
        waiting = service.whenEmpty()
        self.listeners[0].end()
        self.assertNoResult(waiting)
        self.listeners[1].end()
        self.successResultOf(waiting)
        self.successResultOf(service.whenEmpty())


class Ending(Faked):
    def test_settings(self) -> None:
        service = self.started(True, False, drainDelay="2", drainTimeout="7")
        self.assertIsNone(service.drained)
        draining = service.drain()
        for seconds in (2, 6.9):
            self.reactor.advance(seconds)
            self.assertNoResult(draining)
        self.reactor.advance(0.1)
        self.assertEqual(self.successResultOf(draining), (2, 2))
        self.assertEqual(service.drained, (2, 2))

    def test_once(self) -> None:
        service = self.started(False)
        asked = [self.drained(service), self.drained(service)]
        self.listeners[0].end()
        for drained in [*asked, service.drain()]:
            self.assertEqual(self.successResultOf(drained), (2, 0))
        self.assertEqual(self.listeners[0].told, ["drain", "abort"])
        self.assertEqual(sum("drained=" in line for line in self.lines()), 1)

    def test_beforeItListens(self) -> None:
        service = lab(MemoryReactorClock(), "echo@tcp:1", drainDelay="9")
        self.assertEqual(self.successResultOf(service.drain()), (0, 0))
        self.assertEqual(self.lines(), [])

    def test_stopService(self) -> None:
        """It drains, and after a drain it is nothing more."""
        service = self.started(False)
        stopping = service.stopService()
        self.reactor.advance(0)
        self.assertNoResult(stopping)
        self.assertFalse(service.running)
        self.assertEqual(self.listeners[0].told, ["drain"])
        self.listeners[0].end()
        self.assertIsNone(self.successResultOf(stopping))
        self.successResultOf(service.stopService())
        self.assertEqual(service.drained, (2, 0))

    def test_abort(self) -> None:
        """It ends a drain at once; without one the lab goes on listening."""
        for delay in ("0", "9"):
            service = self.started(False, False, drainDelay=delay)
            self.assertEqual(service.abort(), 4)
            self.assertEqual([each.told for each in self.listeners], [["abort"]] * 2)
            self.assertTrue(service.running)
            self.listeners[0].fake(False, 3)
            draining = service.drain()
            self.assertNoResult(draining)
            self.assertEqual(service.abort(), 3)
            self.assertEqual(self.successResultOf(draining), (0, 3))
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_startedAgain(self) -> None:
        """When the drain is over; the policies are attached for so long as it listens."""
        service = self.started(False)
        begun = ["attach", "bound", "log"]
        for number in (2, 3):
            self.drained(service)
            listening = service.listen()
            service.startService()
            self.assertNoResult(listening)
            self.assertEqual(len(self.reactor.tcpServers), number - 1)
            self.assertEqual(FakePolicies.called[-3:], begun)
            self.listeners[0].end()
            self.successResultOf(listening)
            self.assertEqual(len(self.reactor.tcpServers), number)
            self.assertEqual(FakePolicies.called[-4:], ["detach", *begun])
            self.listeners[0].fake(False)


class Limited(Logged, SynchronousTestCase):
    def test_limits_are_the_last_of_the_first_lines(self) -> None:
        service = lab(MemoryReactorClock(), "echo@tcp:1", maxConnections="7")
        self.successResultOf(service.listen())
        first, second = self.lines()
        self.assertIn("serving echo", first)
        self.assertIn("limits: max-connections=7 ", second)

    def test_more_connections_than_descriptors_are_refused(self) -> None:
        reactor = MemoryReactorClock()
        service = lab(reactor, "echo@tcp:1", maxConnections="100000000")
        problem = self.failureResultOf(service.listen(), SettingsError)
        self.assertIn("--max-connections 100000000: ", str(problem.value))
        self.assertEqual(reactor.tcpServers, [])


class RealSockets(Logged, Serving):
    timeout = 60

    def started(self, *serve: str, **words: Any) -> LabService:
        service = lab(reactor, *serve, **words)
        service.startService()
        self.addCleanup(service.stopService)
        self.host = service.listeners[0].host
        return service

    def lab(self, behaviour: str, **words: Any) -> LabService:
        """Serve on a port of the loopback interface."""
        return self.started(f"{behaviour}@tcp:0:interface=127.0.0.1", **words)

    def connect(self) -> socket.socket:
        peer = super().connect()
        self.addCleanup(peer.close)
        peer.settimeout(30)
        return peer

    def hear(self, peer: socket.socket, count: int) -> Deferred[bytes]:
        return deferToThread(_read, peer, count)

    # Draining

    async def test_answers_on_their_way_lose_nothing(self) -> None:
        service = self.lab("lab", lingerTimeout="30", drainTimeout="60")
        peers = [self.connect() for _ in range(50)]
        said = [bytes([number]) * 2**20 for number in range(50)]

        def begin() -> None:
            for peer, data in zip(peers, said, strict=True):
                self.assertEqual(peer.recv(18), b"You are connected!")
                peer.sendall(data[: 2**16])

        await deferToThread(begin)
        draining = service.drain()

        def go(peer: socket.socket, data: bytes) -> bytes:
            speaking = Thread(target=peer.sendall, args=[data[2**16 :]])
            speaking.start()
            heard = _read(peer, len(data))
            speaking.join()
            peer.shutdown(socket.SHUT_WR)
            return heard + peer.recv(1)

        heard = await gatherResults(map(deferToThread, [go] * 50, peers, said))
        self.assertEqual([len(data) for data in heard], [2**20] * 50)
        self.assertEqual(heard, said)
        self.assertEqual(await draining, (50, 0))
        self.assertEqual(self.lines(LogLevel.warn), [])

    async def test_clients_in_the_listen_queue_are_served_and_later_ones_refused(self) -> None:
        service = self.lab("lab", lingerTimeout="30")
        peers = [self.connect() for _ in range(40)]
        draining = service.drain()
        # The reactor has had no turn: there is no moment in between.
        self.assertRaises(ConnectionRefusedError, self.connect)
        for peer in peers:
            peer.sendall(b"hi")
            peer.shutdown(socket.SHUT_WR)
            self.assertEqual(await self.hear(peer, 21), b"You are connected!hi")  # and the end
            peer.close()
        self.assertEqual(await draining, (40, 0))

    async def test_what_has_arrived_is_answered(self) -> None:
        for behaviour in ("echo,framing=lines", "greeting"):
            service = self.lab(behaviour)
            peer = self.connect()
            peer.sendall(b"hi\n")
            draining = service.drain()
            answer = b"hi\n" if behaviour[0] == "e" else b"Hello from server!"
            self.assertEqual(await self.hear(peer, 30), answer)  # and the end
            peer.close()
            self.assertEqual(await draining, (1, 0))

    async def test_peer_that_reads_nothing_is_aborted(self) -> None:
        service = self.lab("chargen", drainTimeout="0.1")
        peer = self.connect()
        await self.hear(peer, 1)
        self.assertEqual(await service.drain(), (0, 1))
        with self.assertRaises(ConnectionResetError):
            await deferToThread(readAll, peer)

    async def test_handshake_that_is_under_way_goes_on(self) -> None:
        certificate = localhostFile(self.folder())
        service = self.started(f"lab@ssl:0:privateKey={certificate}:interface=127.0.0.1")
        peer = self.connect()
        draining = service.drain()

        def talk() -> bytes:
            context = ssl.create_default_context(cafile=certificate)
            with context.wrap_socket(peer, server_hostname="localhost") as secure:
                secure.sendall(b"hi")
                heard = _read(secure, 20)
                secure.unwrap().close()
                return heard

        self.assertEqual(await deferToThread(talk), b"You are connected!hi")
        self.assertEqual(await draining, (1, 0))

    async def test_limit_that_is_reached_when_it_drains(self) -> None:
        service = self.lab("lab", maxConnections="1")
        first = self.connect()
        await self.hear(first, 18)
        second = self.connect()
        draining = service.drain()
        first.close()
        self.assertEqual(await draining, (1, 0))
        self.assertRaises(ConnectionResetError, second.recv, 1)

    # Suspending

    async def test_suspended(self) -> None:
        """From the start on: a client waits until the lab resumes, and connections go on."""
        service = lab(reactor, "lab@tcp:0:interface=127.0.0.1")
        service.suspend()
        service.startService()
        self.addCleanup(service.stopService)
        [listener] = service.listeners
        self.host = listener.host
        self.assertNotIn(listener.port, reactor.getReaders())
        peer = self.connect()
        service.resume()
        self.assertEqual(await self.hear(peer, 18), b"You are connected!")
        service.suspend()
        later = self.connect()
        peer.sendall(b"hi")
        self.assertEqual(await self.hear(peer, 2), b"hi")
        peer.close()
        await service.whenEmpty()
        later.setblocking(False)
        self.assertRaises(BlockingIOError, later.recv, 1)
        self.assertEqual(await service.drain(), (0, 0))
        self.assertRaises(ConnectionResetError, later.recv, 1)
        await service.listen()
        self.host = listener.host
        self.assertEqual(await self.hear(self.connect(), 18), b"You are connected!")

    # The ports

    async def test_unix_socket_is_removed(self) -> None:
        path = self.unixPath()
        service = self.started(f"lab@unix:{path}")
        self.assertTrue(os.path.exists(path))
        await service.stopService()
        self.assertFalse(os.path.exists(path))

    async def test_when_one_cannot_listen_the_others_stop(self) -> None:
        taken = self.started("echo@tcp:0:interface=127.0.0.1").listeners[0].host
        path = self.unixPath()
        service = lab(reactor, f"lab@unix:{path}", f"lab@tcp:{taken.port}:interface=127.0.0.1")
        problem = self.failureResultOf(service.listen(), SettingsError)
        self.assertIn(f"port {taken.port} is in use on 127.0.0.1", str(problem.value))
        await service.stopService()
        self.assertFalse(os.path.exists(path))


def _read(peer: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (piece := peer.recv(count - len(data))):
        data += piece
    return data
