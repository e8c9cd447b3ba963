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
        self.patch(twistedinternals, "RELIED_ON", ((tcp.Connection, "_gone"),))
        self.patch(twistedinternals, "OF_A_REACTOR", ("_lost",))
        self.patch(twistedinternals, "OF_A_DESCRIPTOR", ("_missed",))
        self.assertEqual(
            twistedinternals.missing(),
            ["Connection._gone", "EPollReactor._lost", "FileDescriptor._missed"],
        )
