"""Tests for `tcplab.policies.faults.place`."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies.faults.place import Place


class Thing:
    """A transport, a protocol, or whatever stands between."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class PlaceTests(SynchronousTestCase):
    """Between a transport and its protocol."""

    def setUp(self) -> None:
        self.protocol = Thing()
        self.occupant: Any = Thing()

    def test_transport(self) -> None:
        transport = Thing(protocol=self.protocol)
        place = Place(transport, self.occupant)
        self.assertIs(transport.protocol, self.occupant)
        self.assertIs(self.occupant.wrappedProtocol, self.protocol)
        place.keep()
        place.leave()
        self.assertIs(transport.protocol, self.protocol)

    def test_wrapper(self) -> None:
        """TLS has its protocol under another name."""
        tls = Thing(wrappedProtocol=self.protocol)
        Place(tls, self.occupant).leave()
        self.assertIs(tls.wrappedProtocol, self.protocol)

    def test_kept(self) -> None:
        """Another protocol was put there: it is the one that we stand before now."""
        transport = Thing(protocol=self.protocol)
        place = Place(transport, self.occupant)
        other = transport.protocol = Thing()
        place.keep()
        self.assertIs(transport.protocol, self.occupant)
        self.assertIs(self.occupant.wrappedProtocol, other)

    def test_wrapped(self) -> None:
        """Twisted's own startTLS puts TLS below whatever stands there."""
        transport = Thing(protocol=self.protocol)
        place = Place(transport, self.occupant)
        tls = transport.protocol = Thing(wrappedProtocol=self.occupant)
        place.keep()
        self.assertIs(transport.protocol, tls)
        place.leave()
        self.assertIs(tls.wrappedProtocol, self.protocol)

    def test_gone(self) -> None:
        """The transport has let go of its protocol: the connection is lost."""
        transport = Thing(protocol=self.protocol)
        place = Place(transport, self.occupant)
        del transport.protocol
        place.keep()
        place.leave()
        self.assertFalse(hasattr(transport, "protocol"))
