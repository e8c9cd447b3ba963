"""A lab as a service: its listeners, its pauses and its end."""

from __future__ import annotations

import socket
import ssl
from threading import Thread
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, gatherResults
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.errors import SettingsError
from tcplab.config.options import fromWords
from tcplab.config.sources import Sources
from tcplab.observers import Observers
from tcplab.server import service as module
from tcplab.server.connectionpolicies import ConnectionPolicies
from tcplab.server.drain import Drained
from tcplab.server.endpointlistener import EndpointListener
from tcplab.server.service import LabService
from tests.support.certificates import localhostFile
from tests.support.fake_listeners import FakeEndpoint, FakeListener
from tests.support.log_capture import Logged
from tests.support.socket_server import Serving


def lab(reactor: Any, *serve: str, observer: Any = None, **words: Any) -> LabService:
    return LabService(fromWords(serve=serve, **words), reactor, observer or Observers())


class MakingTests(SynchronousTestCase):
    def protocols(self, *serve: str, **words: Any) -> list[Any]:
        service = lab(MemoryReactorClock(), *serve, **words)
        return [listener.factory.buildProtocol(None) for listener in service.listeners]

    def test_protocols(self) -> None:
        """Each listener has its behaviour; what a SPEC says comes before the lab's settings."""
        serve = "lab@tcp:1", "echo,lingerTimeout=3@tcp:2", "ack,greeting=x@tcp:3"
        made = self.protocols(*serve, greeting="hi", lingerTimeout="9")
        self.assertEqual(
            [(type(each).__name__, each.greeting, each.lingerTimeout) for each in made],
            [("LabConversation", b"hi", 9.0), ("Echo", b"", 3.0), ("Ack", b"x", 9.0)],
        )
        self.protocols("twisted.protocols.wire.Echo@tcp:1", lingerTimeout="9")  # has none

    def test_refused(self) -> None:
        """What is wrong is said before anything is bound."""
        reactor = MemoryReactorClock()
        for serve in ("ecko@tcp:2", "echo@tpc:2", "echo,a=b@tcp:2"):
            self.assertRaises(SettingsError, lab, reactor, "lab@tcp:1", serve)
        problem = self.assertRaises(SettingsError, lab, reactor, "echo@tcp:1", greeting="hi")
        self.assertIn("--greeting changes nothing", str(problem))
        self.assertEqual(reactor.tcpServers, [])

    def test_placed(self) -> None:
        """A mistake in a SPEC is found where it was given."""
        with open("b.toml", "w") as file:
            file.write("port = 0\nbehaviour = 'ecko'")
        unknown, number = "ecko: there is no behaviour ecko", "echo,maxUnsent=x: 'x' is no"
        for typed, variables, text in (
            ({"behaviour": "ecko"}, {}, f"--behaviour {unknown}"),
            ({"behaviour": "echo,maxUnsent=x"}, {}, f"--behaviour {number}"),
            ({"serve": ["ecko@tcp:0"]}, {}, "--serve ecko@tcp:0: there is no behaviour"),
            ({}, {"TCPLAB_BEHAVIOUR": "ecko"}, f"TCPLAB_BEHAVIOUR {unknown}"),
            ({}, {"TCPLAB_SERVE": "ecko@tcp:0"}, "TCPLAB_SERVE ecko@tcp:0: there is no"),
            ({"config": "b.toml"}, {}, f"b.toml, line 2: behaviour {unknown}"),
        ):
            words: dict[str, Any] = typed
            found = Sources(words, variables).read().settings
            making = MemoryReactorClock(), Observers()
            problem = self.assertRaises(SettingsError, LabService, found, *making)
            self.assertEqual(str(problem)[: len(text)], text)


class StartTests(Logged, SynchronousTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.reactor = MemoryReactorClock()

    def late(self) -> tuple[LabService, Deferred[Any]]:
        """Make a lab whose second endpoint listens later."""
        service, result = lab(self.reactor, "echo@tcp:1", "lab@tcp:2"), Deferred[Any]()
        service.listeners[1].endpoint = FakeEndpoint(result)
        return service, result

    def ports(self) -> list[int]:
        return [port for port, *_ in self.reactor.tcpServers]

    def test_listen(self) -> None:
        """Once, on all endpoints."""
        service = lab(self.reactor, "echo@tcp:1", "lab@tcp:2")
        for _ in range(3):
            self.successResultOf(service.listen())
        self.assertEqual(self.ports(), [1, 2])

    def test_otherReactor(self) -> None:
        """Endpoints may have another reactor."""
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

    def test_startService(self) -> None:
        """It listens, unless the lab listens already."""
        for begin in ("listen", "privilegedStartService", "startService"):
            reactor = MemoryReactorClock()
            service = lab(reactor, "echo@tcp:1")
            getattr(service, begin)()
            service.privilegedStartService()
            service.startService()
            self.assertEqual(len(reactor.tcpServers), 1)
            self.assertTrue(service.running)

    def test_late(self) -> None:
        """Each call of listen() fires when the last endpoint listens, or fails."""
        service, result = self.late()
        asked = [service.listen(), service.listen()]
        self.assertNoResult(asked[0])
        result.callback(self.reactor.listenTCP(2, service.listeners[1].factory))
        for each in [*asked, service.listen()]:
            self.successResultOf(each)
        service, result = self.late()
        asked = [service.listen(), service.listen()]
        result.errback(ValueError("no"))
        for each in [*asked, service.listen()]:
            self.failureResultOf(each, SettingsError)
        self.assertIsNone(service.listeners[0].port)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_startFails(self) -> None:
        """At once it is raised, later it is logged."""
        service, result = self.late()
        service.startService()
        result.errback(ValueError("no way"))
        [line] = self.lines(LogLevel.critical)
        self.assertIn("no way", line)
        service, _ = self.late()
        service.listeners[1].endpoint = FakeEndpoint(fail(ValueError("no")))
        self.assertRaises(SettingsError, service.startService)

    def test_stoppedWhileStarting(self) -> None:
        service, _ = self.late()
        service.privilegedStartService()
        self.successResultOf(service.stopService())

    def test_limits(self) -> None:
        """They are logged last; more connections than descriptors are refused."""
        self.successResultOf(lab(self.reactor, "echo@tcp:1", maxConnections="7").listen())
        first, second = self.lines()
        self.assertIn("serving echo", first)
        self.assertIn("limits: max-connections=7 ", second)
        service = lab(self.reactor, "echo@tcp:2", maxConnections="100000000")
        problem = self.failureResultOf(service.listen(), SettingsError)
        self.assertIn("--max-connections 100000000: ", str(problem.value))
        self.assertEqual(self.ports(), [1])


class FakeEndpointListener(FakeListener, EndpointListener):
    """One that listens; its connections are fakes."""

    stopListening = EndpointListener.stopListening

    def __init__(self, *args: Any) -> None:
        EndpointListener.__init__(self, *args)


class Faked(Logged, SynchronousTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.policies: Any = create_autospec(ConnectionPolicies)
        self.patch(module, "ConnectionPolicies", self.policies)
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


class PauseTests(Faked):
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


class EndTests(Faked):
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

    def test_beforeItListens(self) -> None:
        service = lab(MemoryReactorClock(), "echo@tcp:1", drainDelay="9")
        self.assertEqual(self.successResultOf(service.drain()), (0, 0))
        self.assertEqual(self.lines(), [])

    def test_stopService(self) -> None:
        """It drains, once, and after a drain it is nothing more."""
        service = self.started(False)
        stopping, draining = service.stopService(), self.drained(service)
        self.assertNoResult(stopping)
        self.assertFalse(service.running)
        self.assertEqual(self.listeners[0].told, ["drain"])
        self.listeners[0].end()
        self.assertIsNone(self.successResultOf(stopping))
        for drained in (draining, service.drain()):
            self.assertEqual(self.successResultOf(drained), (2, 0))
        self.successResultOf(service.stopService())
        self.assertEqual(self.listeners[0].told, ["drain", "abort"])
        self.assertEqual(sum("drained=" in line for line in self.lines()), 1)

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

    def called(self) -> list[str]:
        return [name for name, *_ in self.policies.return_value.method_calls]

    def test_startedAgain(self) -> None:
        """When the drain is over; the policies are attached for so long as it listens."""
        service = self.started(False)
        begun = ["attach", "portsBound", "log"]
        for number in (2, 3):
            self.drained(service)
            listening = service.listen()
            service.startService()
            self.assertNoResult(listening)
            self.assertEqual(len(self.reactor.tcpServers), number - 1)
            self.assertEqual(self.called()[-3:], begun)
            self.listeners[0].end()
            self.successResultOf(listening)
            self.assertEqual(len(self.reactor.tcpServers), number)
            self.assertEqual(self.called()[-4:], ["detach", *begun])
            self.listeners[0].fake(False)


class SocketTests(Logged, Serving):
    timeout = 60

    def started(self, *serve: str, **words: Any) -> LabService:
        return self.start(lab(reactor, *serve, **words))

    def start(self, service: LabService) -> LabService:
        service.startService()
        self.addCleanup(service.stopService)
        self.host = service.listeners[0].host
        return service

    def lab(self, behaviour: str, **words: Any) -> LabService:
        """Serve on a port of the loopback interface."""
        return self.started(f"{behaviour}@tcp:0:interface=127.0.0.1", **words)

    def received(self, peer: socket.socket, count: int = 18) -> Deferred[bytes]:
        return self.talk(_read, peer, count)

    async def test_anyObserver(self) -> None:
        """No hook is required, and no base class."""
        messages: list[bytes] = []
        observer = SimpleNamespace(messageReported=lambda _, message: messages.append(message))
        self.lab("lab", observer=observer)
        client = self.client()
        client.sendall(b"hi")
        self.assertEqual(await self.received(client, 20), b"You are connected!hi")
        self.assertEqual(messages, [b"hi"])

    # Draining

    async def test_answersUnderWay(self) -> None:
        """A drain loses nothing of them."""
        service = self.lab("lab", lingerTimeout="30", drainTimeout="60")
        peers = [self.client() for _ in range(50)]
        said = [bytes([number]) * 2**20 for number in range(50)]

        def begin() -> None:
            for peer, data in zip(peers, said, strict=True):
                self.assertEqual(peer.recv(18), b"You are connected!")
                peer.sendall(data[: 2**16])

        await self.talk(begin)
        draining = service.drain()

        def go(peer: socket.socket, data: bytes) -> bytes:
            speaking = Thread(target=peer.sendall, args=[data[2**16 :]])
            speaking.start()
            heard = _read(peer, len(data))
            speaking.join()
            peer.shutdown(socket.SHUT_WR)
            return heard + peer.recv(1)

        heard = await gatherResults(map(self.talk, [go] * 50, peers, said))
        self.assertEqual([len(data) for data in heard], [2**20] * 50)
        self.assertEqual(heard, said)
        self.assertEqual(await draining, (50, 0))
        self.assertEqual(self.lines(LogLevel.warn), [])

    async def test_receivedBefore(self) -> None:
        """What has arrived is answered."""
        for behaviour in ("echo,framing=lines", "greeting"):
            service = self.lab(behaviour)
            peer = self.client()
            peer.sendall(b"hi\n")
            draining = service.drain()
            answer = b"hi\n" if behaviour[0] == "e" else b"Hello from server!"
            self.assertEqual(await self.received(peer, 30), answer)  # and the end
            peer.close()
            self.assertEqual(await draining, (1, 0))

    async def test_handshakeUnderWay(self) -> None:
        certificate = localhostFile(self.folder())
        service = self.started(f"lab@ssl:0:privateKey={certificate}:interface=127.0.0.1")
        peer = self.client()
        draining = service.drain()

        def talk() -> bytes:
            context = ssl.create_default_context(cafile=certificate)
            with context.wrap_socket(peer, server_hostname="localhost") as secure:
                secure.sendall(b"hi")
                heard = _read(secure, 20)
                secure.unwrap().close()
                return heard

        self.assertEqual(await self.talk(talk), b"You are connected!hi")
        self.assertEqual(await draining, (1, 0))

    # Suspending

    async def test_suspended(self) -> None:
        """From the start on: a client waits until the lab resumes, and connections go on."""
        service = lab(reactor, "lab@tcp:0:interface=127.0.0.1")
        service.suspend()
        self.start(service)
        [listener] = service.listeners
        self.assertNotIn(listener.port, reactor.getReaders())
        peer = self.client()
        service.resume()
        self.assertEqual(await self.received(peer), b"You are connected!")
        service.suspend()
        later = self.client()
        peer.sendall(b"hi")
        self.assertEqual(await self.received(peer, 2), b"hi")
        peer.close()
        await service.whenEmpty()
        later.setblocking(False)
        self.assertRaises(BlockingIOError, later.recv, 1)
        self.assertEqual(await service.drain(), (0, 1))
        self.assertRaises(ConnectionResetError, later.recv, 1)
        await service.listen()
        self.host = listener.host
        self.assertEqual(await self.received(self.client()), b"You are connected!")


def _read(peer: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (piece := peer.recv(count - len(data))):
        data += piece
    return data
