"""Tests for `tcplab.server.connectionpolicies`."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from tcplab.config.errors import SettingsError
from tcplab.config.listenersettings import BACKLOG
from tcplab.config.options import fromWords
from tcplab.listener.listener import Listener
from tcplab.listener.policy import Policy
from tcplab.observers import Observers
from tcplab.policies.descriptors import RESERVE, DescriptorsError
from tcplab.policies.memory import HeapTrim, MemoryPressure
from tcplab.server import connectionpolicies
from tcplab.server.connectionpolicies import ConnectionPolicies
from tests.support.log_capture import Logged


class FakePolicy(Policy):
    """Keeps what it is made with, and how often it is stopped."""

    maxPending = 9

    def __init__(self, *words: Any, **settings: Any) -> None:
        super().__init__()
        self.words, self.settings = words, settings
        self.stops = 0

    def stopped(self) -> None:
        self.stops += 1


class FakeCgroup:
    """One with a limit."""

    limit = 160 * 2**20

    def used(self) -> int:
        return 0


class WithPolicies(Logged):
    def setUp(self) -> None:
        super().setUp()
        self.cgroup: FakeCgroup | None = None
        self.made: list[FakePolicy] = []
        self.clock = Clock()
        for name in ("Admission", "Deadlines", "ProxyProtocol"):
            self.patch(connectionpolicies, name, self.make)
        self.wanted: list[int | None] = []
        self.patch(connectionpolicies, "ensureDescriptorLimit", self.makeRoom)
        self.patch(connectionpolicies, "memoryCgroup", lambda: self.cgroup)

    def make(self, *words: Any, **settings: Any) -> FakePolicy:
        self.made.append(FakePolicy(*words, **settings))
        return self.made[-1]

    def makeRoom(self, connections: int | None, each: int = 1, reserve: int = RESERVE) -> int:
        self.each, self.reserve = each, reserve
        self.wanted.append(connections)
        return connections or 1000

    def begun(self, **words: Any) -> ConnectionPolicies:
        begun = ConnectionPolicies(fromWords(**words), self.clock)
        self.listeners = [Listener(name, Observers()) for name in ("one", "two")]
        self.listeners[1].descriptors = 2
        begun.attach(self.listeners)
        return begun


class PoliciesTests(WithPolicies):
    def test_settings(self) -> None:
        self.begun(
            **{"maxConnections": "9", "maxPerPeer": "8", "idleTimeout": "7"},
            **{"handshakeTimeout": "none", "writeTimeout": "6"},
        )
        self.assertEqual(
            [each.settings for each in self.made],
            [
                {"maxConnections": 9, "maxPerPeer": 8, "maxHandshakes": 4, "clock": self.clock},
                {"handshake": None, "idle": 7.0, "write": 6.0, "clock": self.clock},
            ],
        )

    def test_limits(self) -> None:
        """The descriptors that are asked for, the limit of connections, and that of handshakes."""
        for words, wanted, connections, handshakes in (
            ({}, [None], 1000, 500),
            ({"maxConnections": "1"}, [1], 1, 1),
            ({"maxConnections": "7", "workers": "1"}, [7], 7, 3),
            # Workers share them, but not to the last connection.
            ({"maxConnections": "7", "workers": "2"}, [4, None], 7, 1),
            ({"maxConnections": "1000", "workers": "4"}, [250, None], 1000, 125),
        ):
            self.wanted.clear()
            self.made.clear()
            self.begun(**words)
            self.assertEqual((self.wanted, self.each), (wanted, 2))
            found = [self.made[0].settings[key] for key in ("maxConnections", "maxHandshakes")]
            self.assertEqual(found, [connections, handshakes])

    def test_memory(self) -> None:
        """Where it is limited it is watched, and handshakes have an eighth of it at most."""
        self.cgroup = FakeCgroup()
        begun = self.begun()
        kinds = [type(each) for each in self.listeners[0].policies]
        self.assertEqual(kinds, [FakePolicy, FakePolicy, MemoryPressure, HeapTrim])
        self.assertEqual(self.made[0].settings["maxHandshakes"], 160 * 1024 // 8 // 48)
        begun.log()
        self.assertRegex(self.lines()[-1], " backlog=.* memory=160MiB$")
        begun.detach()
        self.assertEqual([each.policies for each in self.listeners], [(), ()])

    def test_tooFewDescriptors(self) -> None:
        def makeRoom(connections: object, each: int, reserve: int) -> int:
            raise DescriptorsError("too few")

        self.patch(connectionpolicies, "ensureDescriptorLimit", makeRoom)
        for words, problem in (
            ({"maxConnections": "9"}, "--max-connections 9: too few"),
            ({}, "too few"),
        ):
            raised = self.assertRaises(SettingsError, self.begun, **words)
            self.assertEqual(str(raised), problem)
        self.assertEqual(self.made, [])

    def test_proxyProtocol(self) -> None:
        """Pending connections have descriptors of their own."""
        begun = self.begun(proxyProtocol="v2", proxyFrom=["10.0.0.1"], handshakeTimeout="7")
        proxies, *others = self.made
        self.assertEqual(proxies.words, ("v2", ("10.0.0.1",)))
        self.assertEqual(proxies.settings["deadline"], 7.0)
        self.assertEqual((len(others), self.reserve), (2, RESERVE + FakePolicy.maxPending))
        begun.detach()
        self.assertEqual(proxies.stops, 1)

    def test_again(self) -> None:
        """The same policies watch all listeners, until they are detached."""
        ConnectionPolicies(fromWords(), self.clock).detach()
        begun = self.begun()
        policies = [each.policies for each in self.listeners]
        self.assertEqual(policies[0], policies[1])
        begun.detach()
        self.assertEqual([each.stops for each in self.made], [1, 1])
        begun.attach([])
        self.assertEqual(len(self.made), 2)


class LogTests(WithPolicies):
    def test_line(self) -> None:
        """The options by their names; the limit of workers is a total."""
        for allowed, words, pattern in (
            (
                "65535\n",
                {"maxConnections": "9", "writeTimeout": "0.5", "drainTimeout": "none"},
                "^limits: max-connections=9 max-per-peer=none idle-timeout=none"
                f" handshake-timeout=5 write-timeout=0.5 drain-timeout=none backlog={BACKLOG}$",
            ),
            ("65535\n", {"workers": "3"}, "max-connections=3000 "),
            ("65535\n", {"workers": "3", "maxConnections": "9"}, "max-connections=9 "),
            ("4096\n", {}, r" backlog=4096 \(net.core.somaxconn\)$"),
            ("?", {}, f" backlog={BACKLOG}$"),
            (None, {}, f" backlog={BACKLOG}$"),
            ("4096\n", {"port": "1", "serve": ["lab@tcp:1"]}, " backlog=4096"),
            # An endpoint has a backlog of its own.
            ("4096\n", {"serve": ["lab@tcp:1"]}, "drain-timeout=15$"),
        ):
            path = self.mktemp()
            if allowed is not None:
                with open(path, "w") as file:
                    file.write(allowed)
            self.patch(connectionpolicies, "SOMAXCONN", path)
            self.begun(**words).log()
            self.assertRegex(self.lines()[-1], pattern)
