"""Tests for `tcplab.listener.events`."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener.events import Connection, Ending

PEER = IPv4Address("TCP", "127.0.0.1", 36702)
HOST = IPv4Address("TCP", "127.0.0.1", 50544)
CONNECTION = ("ack", 1, "Ack,1,127.0.0.1", PEER, HOST)
OTHER_CONNECTION = ("lab", 2, "Lab,1,127.0.0.1", HOST, PEER)
ENDING = ("peer", "reset", "unread", 104, 2, 18, 0.012)
OTHER_ENDING = ("server", "fin", None, None, 3, 19, 0.013)


class ValueTests(SynchronousTestCase):
    """What is told of a connection are values: observers may keep them and compare them."""

    kinds: tuple[tuple[Any, Any, Any], ...] = (
        (Connection, CONNECTION, OTHER_CONNECTION),
        (Ending, ENDING, OTHER_ENDING),
    )

    def test_fields(self) -> None:
        """The fields are those that the log and JSON name."""
        self.assertEqual(
            list(Connection._fields),
            ["listener", "number", "prefix", "peer", "host"],
        )
        self.assertEqual(
            list(Ending._fields),
            ["by", "how", "why", "errno", "received", "sent", "seconds"],
        )

    def test_frozen(self) -> None:
        """No field can be set or deleted: an observer cannot change what the next is told."""
        for kind, values, others in self.kinds:
            value = kind(*values)
            for name, other in zip(kind._fields, others, strict=True):
                self.assertRaises(AttributeError, setattr, value, name, other)
                self.assertRaises(AttributeError, delattr, value, name)
            self.assertEqual(value, kind(*values))

    def test_endingsAreEqual(self) -> None:
        """If every field is."""
        value = Ending(*ENDING)
        self.assertEqual(value, Ending(*ENDING))
        self.assertEqual(hash(value), hash(Ending(*ENDING)))
        for name, other in zip(Ending._fields, OTHER_ENDING, strict=True):
            self.assertNotEqual(value, value._replace(**{name: other}), name)

    def test_connectionsAreEqual(self) -> None:
        """By their listener and number: there is only one of these, whatever else is told of it."""
        value = Connection(*CONNECTION)
        for name, other in zip(Connection._fields, OTHER_CONNECTION, strict=True):
            changed = value._replace(**{name: other})
            if name in ("listener", "number"):
                self.assertNotEqual(value, changed, name)
            else:
                self.assertEqual(value, changed, name)
                self.assertEqual(hash(value), hash(changed), name)

    def test_notEqualToTheirTuples(self) -> None:
        """A connection is known by its listener and number alone, and only to another one."""
        self.assertNotEqual(Connection(*CONNECTION), CONNECTION)
        self.assertNotEqual(CONNECTION, Connection(*CONNECTION))

    def test_usableAsKeys(self) -> None:
        """Who is told the end can look up what it noted at the beginning."""
        noted = {Connection(*CONNECTION): "noted"}
        self.assertEqual(noted.pop(Connection(*CONNECTION)), "noted")
