"""Tests for `tcplab.policies.descriptors`."""

from __future__ import annotations

import re
import resource

from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener.refusal import MAX_PENDING
from tcplab.policies import descriptors
from tcplab.policies.descriptors import RESERVE, DescriptorsError, ensureDescriptorLimit

INFINITE = resource.RLIM_INFINITY


class LimitTests(SynchronousTestCase):
    """With limits that the test sets; 100 descriptors are for everything else."""

    def allow(self, soft: int, hard: int, mayRaise: bool = True) -> None:
        def raise_(what: int, limits: tuple[int, int]) -> None:
            if not mayRaise:
                raise ValueError("current limit exceeds maximum limit")
            self.limits = limits

        self.limits = (soft, hard)
        self.patch(descriptors.resource, "getrlimit", lambda what: self.limits)
        self.patch(descriptors.resource, "setrlimit", raise_)

    def test_granted(self) -> None:
        """The soft limit is raised as far as necessary, and no further."""
        for soft, hard, wanted, each, granted, raised in (
            (1024, 4096, 924, 1, 924, 1024),
            (1024, 4096, 925, 1, 925, 1025),
            (1024, 4096, 3996, 1, 3996, 4096),
            (1024, 1024, 462, 2, 462, 1024),
            (1024, INFINITE, 100_000, 1, 100_000, 100_100),
            (101, 101, 1, 1, 1, 101),
            (1024, 4096, None, 1, 3996, 4096),
            (1024, 1024, None, 2, 462, 1024),
            (1024, INFINITE, None, 1, 2**20 - 100, 2**20),  # what Linux allows a process
            (1024, 2**30, None, 1, 2**20 - 100, 2**20),
        ):
            self.allow(soft, hard)
            self.assertEqual(ensureDescriptorLimit(wanted, each=each, reserve=100), granted)
            self.assertEqual(self.limits, (raised, hard))

    def test_refused(self) -> None:
        """The text says what is needed, what there is, and what helps."""
        few = "this process may have 100 file descriptors, and needs 100 besides those of its"
        for soft, hard, wanted, each, problem in (
            (
                *(1024, 4096, 3997, 1),
                "3997 connections need 4097 file descriptors, and this process may have 4096: allow"
                " 3996 connections, or raise the limit (ulimit -n 4097)",
            ),
            (1024, 4096, 2049, 2, "2049 connections need 4198"),
            (1024, INFINITE, 2_000_000, 1, "may have 1048576"),
            (100, 100, 1, 1, f"{few} connections: raise the limit (ulimit -n 1100)"),
            (100, 100, None, 1, f"{few} connections: raise the limit (ulimit -n 1100)"),
        ):
            self.allow(soft, hard)
            with self.assertRaisesRegex(DescriptorsError, rf"\A.*{re.escape(problem)}.*\Z"):
                ensureDescriptorLimit(wanted, each=each, reserve=100)

    def test_cannotBeRaised(self) -> None:
        """Some systems do not grant their hard limit."""
        self.allow(1024, 4096, mayRaise=False)
        for wanted in (924, None):
            self.assertEqual(ensureDescriptorLimit(wanted, reserve=100), 924)
        with self.assertRaisesRegex(DescriptorsError, "may have 1024: allow 924 connections"):
            ensureDescriptorLimit(925, reserve=100)


class SystemTests(SynchronousTestCase):
    """With the limits of this process."""

    def test_system(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (RESERVE + 100, hard))
        self.assertEqual(ensureDescriptorLimit(300), 300)
        self.assertEqual(resource.getrlimit(resource.RLIMIT_NOFILE), (RESERVE + 300, hard))
        room = ensureDescriptorLimit()
        self.assertEqual(resource.getrlimit(resource.RLIMIT_NOFILE), (room + RESERVE, hard))
        self.assertGreaterEqual(room, 300)

    def test_reserve(self) -> None:
        """Refused connections that linger take no descriptor of a connection."""
        self.assertGreater(RESERVE, MAX_PENDING + 20)
