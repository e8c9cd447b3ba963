"""Tests for `tcplab.reactor.twistedinternals`."""

from __future__ import annotations

from twisted.internet import tcp
from twisted.trial.unittest import SynchronousTestCase

from tcplab.reactor import twistedinternals


class MissingTests(SynchronousTestCase):
    """A Twisted that changed what we rely on is told by name."""

    def test_thisTwisted(self) -> None:
        """The Twisted that is installed has all of it."""
        self.assertEqual(twistedinternals.missing(), [])

    def test_anotherTwisted(self) -> None:
        """What is gone is named, on classes and on what they make."""
        self.patch(twistedinternals, "REQUIRED", ((tcp.Connection, "_gone"),))
        self.patch(twistedinternals, "REACTOR_ATTRIBUTES", ("_lost",))
        self.patch(twistedinternals, "DESCRIPTOR_ATTRIBUTES", ("_missed",))
        self.assertEqual(
            twistedinternals.missing(),
            ["Connection._gone", "EPollReactor._lost", "FileDescriptor._missed"],
        )
