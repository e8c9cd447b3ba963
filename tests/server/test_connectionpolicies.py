"""What the settings' limits become."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from tcplab.config.errors import SettingsError
from tcplab.config.settings import BACKLOG, fromWords
from tcplab.policies.descriptors import RESERVE, DescriptorsError
from tcplab.policies.heaptrim import HeapTrim
from tcplab.policies.memory import MemoryPressure
from tcplab.server import connectionpolicies
from tcplab.server.connectionpolicies import ConnectionPolicies
from tests.support.log_capture import Logged


class Policy:
    """Keeps what it is made with, and what it is told."""

    most = 9

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.watched: list[Any] = []
        self.stopped = 0
        self.maxConnections = settings.get("maxConnections")

    def watch(self, listener: Any) -> None:
        self.watched.append(listener)

    def stop(self) -> None:
        self.stopped += 1


class FakeCgroup:
    """One with a limit."""

    limit = 160 * 2**20

    def used(self) -> int:
        return 0


class FakeListener(str):
    """Has guards, and nobody else."""

    def __init__(self, name: str = "") -> None:
        self.policies: list[object] = []
        self.connections: set[object] = set()

    def addPolicy(self, policy: Any) -> None:
        self.policies.append(policy)

    def removePolicy(self, policy: Any) -> None:
        self.policies.remove(policy)


class WithPolicies(Logged):
    def setUp(self) -> None:
        super().setUp()
        self.cgroup: FakeCgroup | None = None
        self.made: list[Policy] = []
        self.clock = Clock()
        for name in ("Admission", "Deadlines", "ProxyProtocol"):
            self.patch(connectionpolicies, name, self.make)
        self.wanted: list[int | None] = []
        self.patch(connectionpolicies, "ensureDescriptorLimit", self.makeRoom)
        self.patch(connectionpolicies, "memoryCgroup", lambda: self.cgroup)

    def make(self, *words: Any, **settings: Any) -> Policy:
        self.made.append(Policy(words=words, **settings) if words else Policy(**settings))
        return self.made[-1]

    def makeRoom(self, connections: int | None, reserve: int = RESERVE) -> int:
        self.reserve = reserve
        self.wanted.append(connections)
        return connections or 1000

    def begun(self, **words: Any) -> ConnectionPolicies:
        begun = ConnectionPolicies(fromWords(**words), self.clock)
        listeners: Any = (FakeListener("one"), FakeListener("two"))
        begun.attach(listeners)
        return begun


class Beginning(WithPolicies):
    def test_policies_are_made_of_the_settings(self) -> None:
        self.begun(
            **{"maxConnections": "9", "maxPerPeer": "8", "idleTimeout": "7"},
            **{"handshakeTimeout": "none", "writeTimeout": "6"},
        )
        admission, deadlines = (each.settings for each in self.made)
        self.assertEqual(
            admission,
            {"maxConnections": 9, "maxPerPeer": 8, "maxHandshakes": 4, "clock": self.clock},
        )
        self.assertEqual(
            deadlines, {"handshake": None, "idle": 7.0, "write": 6.0, "clock": self.clock}
        )

    def test_there_is_room_for_as_many_connections_as_the_descriptors_allow(self) -> None:
        self.begun()
        self.assertEqual(self.wanted, [None])
        self.assertEqual(self.made[0].settings["maxConnections"], 1000)

    def test_handshakes_have_half_of_the_room_and_workers_share_it(self) -> None:
        self.begun(maxConnections="1")
        self.begun(maxConnections="1000", workers="4")
        made = [each.settings.get("maxHandshakes") for each in self.made]
        self.assertEqual(made[::2], [1, 125])

    def test_where_memory_is_limited_handshakes_have_an_eighth_of_it_at_most(self) -> None:
        self.cgroup = FakeCgroup()
        self.begun()
        self.assertEqual(self.made[0].settings["maxHandshakes"], 160 * 1024 // 8 // 48)

    def test_memory_is_watched_where_it_is_limited(self) -> None:
        self.cgroup = FakeCgroup()
        listener = FakeListener()
        begun = ConnectionPolicies(fromWords(), self.clock)
        begun.attach([listener])  # type: ignore[list-item]
        self.assertEqual([type(each) for each in listener.policies], [MemoryPressure, HeapTrim])
        begun.detach()
        self.assertEqual(listener.policies, [])

    def test_workers_share_the_connections_but_not_to_the_last_one(self) -> None:
        self.begun(maxConnections="7", workers="2")
        self.assertEqual(self.wanted, [4, None])
        self.assertEqual(self.made[0].settings["maxConnections"], 7)

    def test_one_worker_is_like_none(self) -> None:
        self.begun(maxConnections="7", workers="1")
        self.assertEqual(self.wanted, [7])

    def test_too_few_descriptors_are_told_under_the_option(self) -> None:
        def makeRoom(connections: object, reserve: int) -> int:
            raise DescriptorsError("too few")

        self.patch(connectionpolicies, "ensureDescriptorLimit", makeRoom)
        for words, problem in (
            ({"maxConnections": "9"}, "--max-connections 9: too few"),
            ({}, "too few"),
        ):
            raised = self.assertRaises(SettingsError, self.begun, **words)
            self.assertEqual(str(raised), problem)
        self.assertEqual(self.made, [])

    def test_proxies_are_believed_and_have_descriptors_for_those_who_wait(self) -> None:
        begun = self.begun(proxyProtocol="v2", proxyFrom=["10.0.0.1"], handshakeTimeout="7")
        proxies, *others = self.made
        self.assertEqual(proxies.settings["words"], ("v2", ("10.0.0.1",)))
        self.assertEqual(proxies.settings["deadline"], 7.0)
        self.assertEqual(proxies.watched, ["one", "two"])
        self.assertEqual((len(others), self.reserve), (2, RESERVE + Policy.most))
        begun.detach()
        self.assertTrue(proxies.stopped)

    def test_all_listeners_are_watched_together(self) -> None:
        self.begun()
        self.assertEqual([each.watched for each in self.made], [["one", "two"]] * 2)

    def test_policies_are_the_same_when_it_begins_again(self) -> None:
        begun = self.begun()
        begun.detach()
        begun.attach([])
        self.assertEqual(len(self.made), 2)

    def test_end_stops_them(self) -> None:
        self.begun().detach()
        self.assertEqual([each.stopped for each in self.made], [1, 1])

    def test_end_of_what_never_began(self) -> None:
        ConnectionPolicies(fromWords(), self.clock).detach()


class Saying(WithPolicies):
    def said(self, allowed: str, **words: Any) -> str:
        path = self.mktemp()
        with open(path, "w") as file:
            file.write(allowed)
        self.patch(connectionpolicies, "SOMAXCONN", path)
        self.begun(**words).log()
        return self.lines()[-1]

    def test_one_line_by_the_names_of_the_options(self) -> None:
        self.assertEqual(
            self.said("65535\n", maxConnections="9", writeTimeout="0.5", drainTimeout="none"),
            "limits: max-connections=9 max-per-peer=none idle-timeout=none handshake-timeout=5"
            f" write-timeout=0.5 drain-timeout=none backlog={BACKLOG}",
        )

    def test_the_memory_that_there_is(self) -> None:
        self.cgroup = FakeCgroup()
        self.assertTrue(self.said("65535\n").endswith(f" backlog={BACKLOG} memory=160MiB"))

    def test_limit_of_workers_is_a_total(self) -> None:
        self.assertIn("max-connections=3000 ", self.said("65535\n", workers="3"))
        self.assertIn("max-connections=9 ", self.said("1\n", workers="3", maxConnections="9"))

    def test_what_the_kernel_allows_is_told_if_it_is_less(self) -> None:
        self.assertTrue(self.said("4096\n").endswith(" backlog=4096 (net.core.somaxconn)"))

    def test_where_the_kernel_does_not_tell(self) -> None:
        self.assertTrue(self.said("?").endswith(f" backlog={BACKLOG}"))
        self.patch(connectionpolicies, "SOMAXCONN", "/no/such/file")
        self.begun().log()
        self.assertTrue(self.lines()[-1].endswith(f" backlog={BACKLOG}"))

    def test_backlog_of_endpoints_is_their_own(self) -> None:
        self.assertNotIn("backlog", self.said("4096\n", serve=["lab@tcp:1"]))
        self.assertIn("backlog", self.said("4096\n", port="1", serve=["lab@tcp:1"]))
