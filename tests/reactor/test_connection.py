"""Tests for `tcplab.reactor.connection`."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase

from tcplab.observers import Observers
from tcplab.reactor.connection import Connection, Ending, Watcher

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
            [field.name for field in fields(Connection)],
            ["listener", "number", "prefix", "peer", "host"],
        )
        self.assertEqual(
            [field.name for field in fields(Ending)],
            ["by", "how", "why", "errno", "received", "sent", "seconds"],
        )

    def test_frozen(self) -> None:
        """No field can be set or deleted: an observer cannot change what the next is told."""
        for kind, values, others in self.kinds:
            value = kind(*values)
            for field, other in zip(fields(kind), others, strict=True):
                self.assertRaises(FrozenInstanceError, setattr, value, field.name, other)
                self.assertRaises(FrozenInstanceError, delattr, value, field.name)
            self.assertEqual(value, kind(*values))

    def test_nothingElseCanBeKeptOnThem(self) -> None:
        """They have no room for anything but their fields."""
        for kind, values, _ in self.kinds:
            value = kind(*values)
            self.assertFalse(hasattr(value, "__dict__"))
            self.assertRaises((AttributeError, TypeError), setattr, value, "note", 1)

    def test_endingsAreEqual(self) -> None:
        """If every field is."""
        value = Ending(*ENDING)
        self.assertEqual(value, Ending(*ENDING))
        self.assertEqual(hash(value), hash(Ending(*ENDING)))
        for field, other in zip(fields(Ending), OTHER_ENDING, strict=True):
            self.assertNotEqual(value, replace(value, **{field.name: other}), field.name)

    def test_connectionsAreEqual(self) -> None:
        """By their listener and number: there is only one of these, whatever else is told of it."""
        value = Connection(*CONNECTION)
        for field, other in zip(fields(Connection), OTHER_CONNECTION, strict=True):
            changed = replace(value, **{field.name: other})
            if field.name in ("listener", "number"):
                self.assertNotEqual(value, changed, field.name)
            else:
                self.assertEqual(value, changed, field.name)
                self.assertEqual(hash(value), hash(changed), field.name)

    def test_notEqualToTheirTuples(self) -> None:
        """They are no tuples."""
        for kind, values, _ in self.kinds:
            self.assertNotEqual(kind(*values), values)

    def test_usableAsKeys(self) -> None:
        """Who is told the end can look up what it noted at the beginning."""
        noted = {Connection(*CONNECTION): "noted"}
        self.assertEqual(noted.pop(Connection(*CONNECTION)), "noted")


class WatcherTests(SynchronousTestCase):
    """What a listener tells, a group of observers hears."""

    def test_aGroupIsOne(self) -> None:
        """Every method of a watcher is one of the group's."""
        names = [name for name in vars(Watcher) if not name.startswith("_")]
        self.assertEqual(sorted(names), ["connectionClosed", "connectionOpened", "messageReported"])
        for name in names:
            self.assertTrue(callable(getattr(Observers, name)), name)
