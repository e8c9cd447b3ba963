"""Tests for `tcplab.faults.faults`."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults import FaultError, Faults, FaultSpec, Stall
from tcplab.faults.faults import FaultRegistry
from tcplab.faults.spec import parseFault
from tcplab.listener.events import Connection
from tcplab.listener.listener import Listener
from tcplab.observers import LogObserver, Observers
from tcplab.protocols import ConversationFactory, Echo
from tcplab.testing import connected
from tests.support.fault_memory import broken
from tests.support.fault_server import Breaking, exchange
from tests.support.socket_server import Told
from tests.support.subprocess_server import needed
from tests.support.tiers import processes


def register(*texts: str, seed: int | None = 1) -> FaultRegistry:
    made = FaultRegistry(seed)
    for text in texts:
        made.add(parseFault(text))
    return made


class RegisterTests(SynchronousTestCase):
    """The faults that there are, and the connections that they act on."""

    def test_counts(self) -> None:
        """Each fault counts the connections of its own listeners, and from when it was added."""
        made = register("stall,conn=4", "stall@a")
        self.assertEqual(made.select("a", 1), ["stall-2"])
        self.assertEqual(made.add(parseFault("stall,conn=1@b")), "stall-3")
        self.assertEqual(made.select("b", 1), ["stall-3"])
        self.assertEqual(made.select("a", 2), ["stall-2"])
        # A connection of a proxy's own has no number.
        self.assertEqual(made.select("a", 3, counted=False), ["stall-2"])
        self.assertEqual(made.select("a", 4), ["stall", "stall-2"])

    def test_doors(self) -> None:
        """Those of a listener hit no connection."""
        self.assertEqual(register("refuse", "hang").select("a", 1), [])

    def test_dice(self) -> None:
        """The seed chooses the connections, whatever other faults and connections there are."""
        text = "reset_peer,probability=0.5"
        alone = [bool(register(text).select("a", number)) for number in range(30)]
        among = register("stall", text, "corrupt,every=1B")
        together = ["reset_peer" in among.select("a", number) for number in reversed(range(30))]
        other = [bool(register(text, seed=2).select("a", number)) for number in range(30)]
        self.assertEqual(alone, together[::-1])
        self.assertNotEqual(alone, other)
        self.assertEqual(set(alone), {True, False})

    def test_removed(self) -> None:
        made = register("stall", "hang")
        for name in ("stall", "hang"):
            made.remove(name)
        error = self.assertRaises(FaultError, made.remove, "hang")
        self.assertEqual(str(error), "there is no fault named 'hang'; none is set")

    def test_seed(self) -> None:
        """One is chosen as soon as dice are rolled, not before."""
        made = register("stall", seed=None)
        self.assertIsNone(made.seed)
        made.add(parseFault("stall,probability=0.5"))
        self.assertIsNotNone(made.seed)
        self.assertEqual(register(seed=7).seed, 7)


class ListTests(SynchronousTestCase):
    """Which faults there are."""

    def setUp(self) -> None:
        self.faults = Faults(clock=Clock())
        self.faults.watch(Listener("test", Observers()))

    def test_names(self) -> None:
        """Each has one, which is not given twice; it may be added as a value."""
        self.assertEqual(self.faults.list(), ())
        self.assertEqual(self.faults.add("stall"), "stall")
        self.assertEqual(self.faults.add("stall,after=1s"), "stall-2")
        self.faults.remove("stall-2")
        self.assertEqual(self.faults.add(FaultSpec(Stall())), "stall-3")
        self.assertEqual([name for name, _ in self.faults.list()], ["stall", "stall-3"])
        self.assertEqual(self.faults.list()[0].spec.text, "stall")
        self.faults.clear()
        self.assertEqual(self.faults.list(), ())

    def test_mistakes(self) -> None:
        """One line each."""
        self.faults.add("stall")
        for call, argument, text in (
            (self.faults.add, 5, "fault 5: give a text, or a FaultSpec"),
            (self.faults.add, "nonsense", "fault 'nonsense': there is no fault 'nonsense'; the f"),
            (self.faults.add, "stall@x", "fault 'stall@x': there is no listener 'x'; the listen"),
            (self.faults.remove, "x", "there is no fault named 'x'; the names are stall"),
        ):
            error = str(self.assertRaises(FaultError, call, argument))
            self.assertTrue(error.startswith(text), error)


class ClockTests(SynchronousTestCase):
    """Without a clock the reactor of the connection, or of the first port, keeps the time."""

    def test_connection(self) -> None:
        peer: Any = connected(Echo())
        faults = Faults()
        faults.watch(peer.listener)
        faults.add("latency,latency=100")
        peer.write(b"a")
        self.assertEqual(peer.value(), b"")
        peer.clock.advance(0.1)
        self.assertEqual(peer.value(), b"a")


class SelectionTests(Breaking):
    """The connections that they act on."""

    async def outcomes(self, count: int) -> list[str]:
        """Connect so often, one after the other; return how each ended."""
        found = []
        for _ in range(count):
            got, how = await self.talk(exchange, self.connect(), b"hello")
            found.append("ok" if (got, how) == (b"hello", "fin") else how)
        return found

    async def test_chosen(self) -> None:
        """Connections count from when the fault is added; a fault is of one listener of several."""
        for fault, outcomes in (
            ("reset_peer,conn=1-2", "reset reset ok"),
            ("reset_peer,conn=%2", "ok reset ok reset"),
            ("reset_peer,probability=0", "ok"),
            ("reset_peer@test", "reset"),
            ("reset_peer@other", "ok"),
        ):
            await self.serveBroken(ConversationFactory(Echo))
            self.faults.watch(Listener("other", Observers()))
            self.assertEqual(await self.outcomes(1), ["ok"])
            self.assertEqual(self.faults.add(fault), "reset_peer")
            expected = outcomes.split()
            self.assertEqual(await self.outcomes(len(expected)), expected, fault)

    async def test_firstByte(self) -> None:
        """With ``count=data`` a connection has its number and the fault from its first byte on."""
        await self.serveBroken(ConversationFactory(Echo))
        for fault, outcomes in (
            ("reset_peer,conn=1-2,count=data", "reset reset ok"),
            ("reset_peer,count=data", "reset"),
        ):
            self.faults.clear()
            self.faults.add(fault)
            for _ in range(2):
                self.connect().close()
            expected = outcomes.split()
            self.assertEqual(await self.outcomes(len(expected)), expected, fault)
        with self.connect() as waiting, self.connect() as other:
            await self.turns()
            self.faults.clear()  # before the first byte
            for text, expected in (("", b"hi"), ("limit_data,bytes=1,count=data", b"h")):
                if text:
                    self.faults.add(text)  # later than the connections
                waiting.sendall(b"hi")
                self.assertEqual(await self.heard(waiting), expected)
            other.sendall(b"hi")
            self.assertEqual(await self.heard(other), b"h")

    async def test_live(self) -> None:
        """They hit connections that are open already, but are not counted."""
        told = await self.serveBroken(ConversationFactory(Echo))
        with self.connect() as sock:
            for fault, answer in (
                ("", b"hello"),
                ("reset_peer,conn=1-9", b"hello"),
                ("limit_data,bytes=3", b"hel"),
            ):
                if fault:
                    self.faults.add(fault)
                sock.sendall(b"hello")
                self.assertEqual(await self.heard(sock), answer)
        self.assertEqual((await told.ending()).why, "fault")

    async def test_stopped(self) -> None:
        """A listener that is watched no more has no faults, nor have its live connections."""
        told = await self.serveBroken(ConversationFactory(Echo), "timeout")
        with self.connect() as sock:
            sock.sendall(b"x")
            await told.hit()
            self.faults.stop()
            self.assertEqual(await self.outcomes(1), ["ok"])
        self.assertEqual(len(self.faults.list()), 1)


# What a protocol, the reactor and the conversation of a transport call.
_CALLED = (
    *("write", "writeSequence", "loseConnection", "loseWriteConnection", "abortConnection"),
    *("registerProducer", "unregisterProducer", "pauseProducing", "resumeProducing"),
    *("doRead", "doWrite", "connectionLost", "readConnectionLost"),
)


def calls(transport: Any) -> dict[str, Any]:
    """Return what each call of a transport and its protocol is."""
    protocol = transport.protocol
    called = {name: getattr(transport, name).__func__ for name in _CALLED}
    spoken = {name: getattr(protocol, name).__func__ for name in ("dataReceived", "write")}
    own = [name for name, value in vars(transport).items() if callable(value)]
    return {**called, **spoken, "kind": (type(transport), type(protocol)), "own": own}


class NoneTests(SynchronousTestCase):
    """Without a fault nothing is in the way: not one call is another than without the policy."""

    def test_none(self) -> None:
        """Nor where there is one, for other connections; nor after one was removed."""
        without = calls(connected(Echo()).transport)
        for faults in (), ("latency,latency=1,conn=2",):
            peer, standing = broken(Echo(), *faults)
            self.assertEqual(calls(peer.transport), without)
            name = standing.add("latency,latency=1,direction=both")
            self.assertNotEqual(peer.transport.protocol, peer.protocol)
            standing.remove(name)
            self.assertEqual(calls(peer.transport), without)
            self.assertIsNone(peer.transport.filter)

    def test_policy(self) -> None:
        """The listener has no policy until there is a fault, and one for all of them."""
        peer, faults = broken(Echo())
        self.assertNotIn(faults, peer.listener.policies)
        for fault in ("limit_data,bytes=1B", "stall,conn=100"):
            faults.add(fault)
        self.assertEqual(peer.listener.policies.count(faults), 1)
        peer.write(b"hi")
        self.assertEqual((peer.value(), peer.ended), (b"h", True))
        peer.finish()
        self.assertEqual(faults._filters, {})


class ToldTests(SynchronousTestCase):
    """What is told of them."""

    def setUp(self) -> None:
        self.events: list[LogEvent] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def lines(self) -> list[str]:
        """Return what was logged by us, with its prefix."""
        return [
            f"[{event['log_system']}] {formatEvent(event)}"
            for event in self.events
            if event.get("log_namespace", "").startswith("tcplab")
        ]

    def test_log(self) -> None:
        """Each hit has a line, and the end its cause."""
        peer, faults = broken(Echo())
        peer.listener.observers = Observers(LogObserver(peer.clock), peer.listener.observers)
        faults.add("reset_peer,after=5B,direction=upstream")
        peer.write(b"hello")
        peer.clock.advance(0.05)
        said = self.lines()
        self.assertIn(
            f"[{peer.listener.name},1,127.0.0.1] fault reset_peer at=5 direction=upstream", said
        )
        self.assertTrue(any("how=reset why=fault" in line for line in said), said)

    def test_seed(self) -> None:
        """One that was chosen is said, once, and only if dice are rolled."""
        faults = Faults(clock=Clock())
        faults.add("latency,latency=1")
        self.assertEqual(self.lines(), [])
        faults.add("latency,latency=1,jitter=1")
        faults.add("corrupt,every=1KiB")
        (line,) = self.lines()
        self.assertRegex(line, r"\[tcplab\] some faults are random: --seed \d+ repeats them")


#: Each fault that holds what passes, for longer than a test waits.
_HOLDING = (
    "latency,latency=600000",
    "latency,latency=600000,jitter=1000",
    "bandwidth,rate=0",
    "bandwidth,rate=1",
    "slicer,average_size=1B,delay=600000000",
    "slicer,average_size=3B,size_variation=2B,delay=600000000",
    "slow_close,delay=600000",
    "stall",
)


class Acting:
    """An observer that does something at each hit of a fault, given how many there were."""

    def __init__(self, act: Callable[[int], object]) -> None:
        self.hits: list[str] = []
        self._act = act

    def faultHit(self, connection: Connection | None, text: str) -> None:
        self.hits.append(text)
        self._act(len(self.hits))


class ReentrantTests(SynchronousTestCase):
    """An observer may change the faults, and the connection, while a hit is reported to it."""

    data = bytes(range(256)) * 3

    def exchanges(self, act: Callable[[int], object]) -> Iterator[tuple[str, list[str]]]:
        """
        Send to an echo, and finish, through each fault that holds; act at each hit.

        :return: the fault and its hits; ``peer`` and ``faults`` are kept on the test.
        """
        for fault, direction, trigger in product(
            _HOLDING, ("upstream", "downstream", "both"), ("", ",after=100B", ",match=d")
        ):
            if trigger and fault.startswith("slow_close"):
                continue
            self.peer, self.faults = broken(Echo())
            acting = Acting(act)
            self.told = Told()
            self.peer.listener.observers = Observers(acting, self.told)
            self.faults.add(f"{fault},direction={direction}{trigger}")
            if self.peer.connected:
                self.peer.finish(self.data)
            yield f"{fault},direction={direction}{trigger}", acting.hits

    def assertAnswered(self, fault: str) -> None:
        for _ in range(100):
            self.peer.clock.advance(0)
        self.assertEqual((self.peer.value(), self.peer.ended), (self.data, True), fault)

    def test_removed(self) -> None:
        """A fault that is removed at its hit passes on every byte, in order, and the end."""
        for fault, hits in self.exchanges(lambda _: self.faults.clear()):
            self.assertAnswered(fault)
            self.assertTrue(hits, fault)

    def test_another(self) -> None:
        """A fault that takes the place of another at its hit gets what that one held."""

        def replace(hits: int) -> None:
            if hits == 1:
                [(first, _)] = self.faults.list()
                self.faults.add("slicer,average_size=50B,direction=both")
                self.faults.remove(first)

        for fault, hits in self.exchanges(replace):
            self.assertAnswered(fault)
            if not fault.startswith("slow_close"):  # which has let all bytes pass by then
                self.assertGreater(len(hits), 1, fault)

    def test_behind(self) -> None:
        """A fault that is added at a hit, and stays, holds what the first lets go."""

        def add(hits: int) -> None:
            if hits == 1:
                self.faults.add("latency,latency=600000")

        for fault, hits in self.exchanges(add):
            self.assertTrue(hits, fault)
            self.faults.clear()
            self.assertAnswered(fault)

    def test_aborted(self) -> None:
        """A connection that is aborted at a hit is reset, and ends once."""
        for fault, _ in self.exchanges(lambda _: self.peer.transport.abortConnection()):
            self.assertEqual((self.peer.wasReset, len(self.told.endings)), (True, 1), fault)
            self.assertEqual(self.faults._filters, {})
            self.assertEqual(self.peer.clock.getDelayedCalls(), [])

    def test_raising(self) -> None:
        """An observer that raises is removed, and nothing is lost by that."""

        def fail(hits: int) -> None:
            raise ValueError("observer")

        for fault, hits in self.exchanges(fail):
            self.assertTrue(hits, fault)
            self.faults.clear()
            self.assertAnswered(fault)
            self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1, fault)


@processes
class WindowTests(Breaking):
    """A stall is a window of zero."""

    async def test_stall(self) -> None:
        """As the kernel sees it; it opens again when the fault is removed, and all arrives."""
        needed("ss", "iproute2")
        told = await self.serveBroken(ConversationFactory(Echo), "stall,after=1KiB")
        with self.connect() as sock:
            await self.talk(sock.sendall, bytes(1024))
            while not told.hits:
                await told.hit()
            self.assertEqual(told.hits, [(1, "stall at=1024 direction=upstream")])
            sent = 1024 + await self.talk(self.untilClosed, sock)
            self.faults.clear()

            def rest() -> int:
                sock.setblocking(True)
                got = 0
                while got < sent:
                    got += len(sock.recv(65536))
                return got

            self.assertEqual(await self.talk(rest), sent)
        await told.ending()

    def untilClosed(self, sock: Any) -> int:
        """Say what the kernels take, until ours probes a window of zero; that is not for ever."""
        sock.setblocking(False)
        sent = 0
        while "timer:(persist" not in self.seen(sock):
            try:
                while sent < 2**27:
                    sent += sock.send(bytes(65536))
                raise AssertionError("it reads")
            except BlockingIOError:
                continue
        return sent

    def seen(self, sock: socket.socket) -> str:
        port = sock.getsockname()[1]
        return subprocess.run(
            [needed("ss"), "-tino", f"sport = :{port}"], capture_output=True, text=True, check=True
        ).stdout
