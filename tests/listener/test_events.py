"""Tests for `tcplab.listener.events`."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener.events import Connection, Ending
from tcplab.wire.proxytlvs import TLV

PEER = IPv4Address("TCP", "127.0.0.1", 36702)
HOST = IPv4Address("TCP", "127.0.0.1", 50544)
CONNECTION = ("ack", 1, "ack,1,127.0.0.1", PEER, HOST, False, ())
OTHER_CONNECTION = ("lab", 2, "lab,1,127.0.0.1", HOST, PEER, True, (TLV(2, b"a"),))
ENDING = ("peer", "reset", "unread", 104, 2, 18, 0.012, "")
OTHER_ENDING = ("server", "fin", None, None, 3, 19, 0.013, "more")


class ValueTests(SynchronousTestCase):
    """What is reported of a connection are values, which observers may keep and compare."""

    kinds: tuple[tuple[Any, Any, Any], ...] = (
        (Connection, CONNECTION, OTHER_CONNECTION),
        (Ending, ENDING, OTHER_ENDING),
    )

    def test_fields(self) -> None:
        """The fields are those that the log and JSON name."""
        for kind, names in (
            (Connection, "listener number prefix peer host local tlvs"),
            (Ending, "by how why errno received sent seconds detail"),
        ):
            self.assertEqual(list(kind._fields), names.split())

    def test_frozen(self) -> None:
        """No field can be set or deleted: each observer receives the same."""
        for kind, values, others in self.kinds:
            value = kind(*values)
            for name, other in zip(kind._fields, others, strict=True):
                self.assertRaises(AttributeError, setattr, value, name, other)
                self.assertRaises(AttributeError, delattr, value, name)
            self.assertEqual(value, kind(*values))

    def test_equal(self) -> None:
        """Endings if every field is; connections by listener and number alone, also as keys."""
        for kind, values, others in self.kinds:
            value = kind(*values)
            for name, other in zip(kind._fields, others, strict=True):
                changed = value._replace(**{name: other})
                if kind is Ending or name in ("listener", "number"):
                    self.assertNotEqual(value, changed, name)
                else:
                    self.assertEqual({value: "noted"}.get(changed), "noted", name)
            self.assertEqual({value: "noted"}.get(kind(*values)), "noted")

    def test_notEqualToItsTuple(self) -> None:
        """A connection equals only another connection."""
        self.assertNotEqual(Connection(*CONNECTION), CONNECTION)
        self.assertNotEqual(CONNECTION, Connection(*CONNECTION))
