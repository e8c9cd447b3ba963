"""Tests for `tcplab.policies.descriptors`."""

from __future__ import annotations

import resource

from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener.refusal import MAX_PENDING
from tcplab.policies import descriptors
from tcplab.policies.descriptors import RESERVE, DescriptorsError, ensureDescriptorLimit


class Limited(SynchronousTestCase):
    """Have the system say that there are so many descriptors."""

    mayRaise = True

    def allow(self, soft: int, hard: int) -> None:
        self.limits = (soft, hard)
        self.patch(descriptors.resource, "getrlimit", lambda what: self.limits)
        self.patch(descriptors.resource, "setrlimit", self.set)

    def set(self, what: int, limits: tuple[int, int]) -> None:
        self.assertEqual(what, resource.RLIMIT_NOFILE)
        if not self.mayRaise:
            raise ValueError("current limit exceeds maximum limit")
        self.limits = limits

    def refused(self, connections: int | None = None, each: int = 1, reserve: int = 100) -> str:
        error = self.assertRaises(
            DescriptorsError, ensureDescriptorLimit, connections, each=each, reserve=reserve
        )
        self.assertNotIn("\n", str(error))
        return str(error)


class AskedTests(Limited):
    """So many connections are wanted."""

    def test_enough(self) -> None:
        """What is enough is left as it is."""
        self.allow(1024, 4096)
        self.assertEqual(ensureDescriptorLimit(924, reserve=100), 924)
        self.assertEqual(self.limits, (1024, 4096))

    def test_raised(self) -> None:
        """The soft limit is raised as far as that takes, and no further."""
        self.allow(1024, 4096)
        self.assertEqual(ensureDescriptorLimit(925, reserve=100), 925)
        self.assertEqual(self.limits, (1025, 4096))
        self.assertEqual(ensureDescriptorLimit(3996, reserve=100), 3996)
        self.assertEqual(self.limits, (4096, 4096))

    def test_tooMany(self) -> None:
        """What the hard limit forbids is refused, and it is said what would do."""
        self.allow(1024, 4096)
        self.assertEqual(
            self.refused(3997),
            "3997 connections need 4097 file descriptors, and this process may have 4096: allow"
            " 3996 connections, or raise the limit (ulimit -n 4097)",
        )

    def test_twoForEach(self) -> None:
        """A connection for which another is made takes two."""
        self.allow(1024, 1024)
        self.assertEqual(ensureDescriptorLimit(462, each=2, reserve=100), 462)
        self.assertIn("463 connections need 1026", self.refused(463, each=2))

    def test_cannotBeRaised(self) -> None:
        """There are systems whose hard limit is a promise they don't keep."""
        self.mayRaise = False
        self.allow(1024, 4096)
        self.assertEqual(ensureDescriptorLimit(924, reserve=100), 924)
        self.assertIn("may have 1024: allow 924 connections", self.refused(925))

    def test_noHardLimit(self) -> None:
        """Then there is enough for all that Linux allows, and no more."""
        self.allow(1024, resource.RLIM_INFINITY)
        self.assertEqual(ensureDescriptorLimit(100_000, reserve=100), 100_000)
        self.assertEqual(self.limits, (100_100, resource.RLIM_INFINITY))
        self.assertIn("may have 1048576", self.refused(2_000_000))

    def test_noRoomAtAll(self) -> None:
        """There must be one more than is needed besides."""
        self.allow(100, 100)
        self.assertEqual(
            self.refused(1),
            "this process may have 100 file descriptors, and needs 100 besides those of its"
            " connections: raise the limit (ulimit -n 1100)",
        )
        self.allow(101, 101)
        self.assertEqual(ensureDescriptorLimit(1, reserve=100), 1)


class DefaultTests(Limited):
    """As many as can be."""

    def test_theHardLimit(self) -> None:
        """The soft limit is raised to it."""
        self.allow(1024, 4096)
        self.assertEqual(ensureDescriptorLimit(reserve=100), 3996)
        self.assertEqual(self.limits, (4096, 4096))

    def test_twoForEach(self) -> None:
        self.allow(1024, 1024)
        self.assertEqual(ensureDescriptorLimit(each=2, reserve=100), 462)

    def test_noLimits(self) -> None:
        """No more than Linux allows a process, though some systems speak of a thousand times it."""
        for hard in (resource.RLIM_INFINITY, 2**30):
            self.allow(1024, hard)
            self.assertEqual(ensureDescriptorLimit(reserve=100), 2**20 - 100)
            self.assertEqual(self.limits, (2**20, hard))

    def test_cannotBeRaised(self) -> None:
        """What the soft limit allows, then."""
        self.mayRaise = False
        self.allow(1024, 4096)
        self.assertEqual(ensureDescriptorLimit(reserve=100), 924)

    def test_noRoomAtAll(self) -> None:
        self.allow(64, 64)
        self.assertIn("may have 64 file descriptors, and needs 100", self.refused())


class ReserveTests(SynchronousTestCase):
    """What is needed besides."""

    def test_thoseWhoAreRefused(self) -> None:
        """They linger, and must not take the place of a connection."""
        self.assertGreater(RESERVE, MAX_PENDING + 20)


class SystemTests(SynchronousTestCase):
    """With the limits of this very process."""

    def setUp(self) -> None:
        soft, self.hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, self.hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (RESERVE + 100, self.hard))

    def test_raised(self) -> None:
        self.assertEqual(ensureDescriptorLimit(300), 300)
        self.assertEqual(resource.getrlimit(resource.RLIMIT_NOFILE), (RESERVE + 300, self.hard))

    def test_default(self) -> None:
        room = ensureDescriptorLimit()
        self.assertEqual(resource.getrlimit(resource.RLIMIT_NOFILE), (room + RESERVE, self.hard))
        self.assertGreaterEqual(room, 300)
