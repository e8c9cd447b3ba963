"""Tests for `tcplab.client.address`."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.client.address import Address, AddressError, parse


def endpoint(text: str) -> Any:
    reactor: Any = MemoryReactorClock()
    return parse(text).endpoint(reactor, 5.0)


class ParsingTests(SynchronousTestCase):
    def test_hostsAndPorts(self) -> None:
        for text, label, host, port in (
            ("localhost", "localhost:50544", "localhost", 50544),
            ("example.org:80", "example.org:80", "example.org", 80),
            ("192.0.2.1", "192.0.2.1:50544", "192.0.2.1", 50544),
            ("192.0.2.1:7", "192.0.2.1:7", "192.0.2.1", 7),
            ("[::1]:80", "[::1]:80", "::1", 80),
            ("[::1]", "[::1]:50544", "::1", 50544),
            ("2001:db8::7", "[2001:db8::7]:50544", "2001:db8::7", 50544),
            ("tcp://localhost:80/", "localhost:80", "localhost", 80),
            ("tcp://[::1]", "[::1]:50544", "::1", 50544),
        ):
            self.assertEqual(parse(text), Address(label, host, port))
            self.assertIsInstance(endpoint(text), HostnameEndpoint)

    def test_endpointStrings(self) -> None:
        """The host is kept for the certificate; a string of tcp: may leave out the port."""
        for text, host, description, secure in (
            ("unix:/tmp/lab", None, "unix:/tmp/lab", False),
            ("tcp:h:80:bindAddress=127.0.0.1", "h", "tcp:h:80:bindAddress=127.0.0.1", False),
            ("tcp:host=h:port=1", "h", "tcp:host=h:port=1", False),
            (r"tcp:\:\:1:80", "::1", r"tcp:\:\:1:80", False),
            ("tcp:h", "h", "tcp:h:port=50544", False),
            ("tcp:host=h", "h", "tcp:host=h:port=50544", False),
            ("tcp:host=h:1", "h", "tcp:host=h:1", False),
            ("tcp:h:port=1", "h", "tcp:h:port=1", False),
            ("tls:h:1", None, "tls:h:1", True),
            ("ssl:h:1", None, "ssl:h:1", True),
        ):
            address = parse(text)
            self.assertEqual((address.host, address.port), (host, None))
            self.assertEqual((address.description, address.secure), (description, secure))
        self.assertIsInstance(endpoint("unix:/tmp/lab"), UNIXClientEndpoint)
        self.assertEqual(parse("unix:/a\nb").label, "unix:/a\\nb")
        parse("unix:/" + "x" * 106 + ":timeout=3")

    def test_refused(self) -> None:
        """The text or the endpoint is refused, with what is wrong."""
        for text, why in (
            *((text, "no ") for text in ("", ":80", "a b", "[]", "[::1", "[::1]80", "[h]:80")),
            *((text, "1 to 65535") for text in ("h:0", "h:65536", "[::1]:0")),
            ("/tmp/lab", "unix:/tmp/lab"),
            ("::1:80", "write [::1]:80, or [::1:80]"),
            ("::1:50544", "no address: write [::1]:50544"),
            ("1:2:3:4:5:6:7:8:9", "no address: write [1:2:3:4:5:6:7:8]:9"),
            ("fe80::1%lo:50544", "write [fe80::1%lo]:50544"),
            ("[::1]80", "write [::1]:80"),
            ("[::1]:", "write [::1]"),
            (":80", "write localhost:80"),
            ("localhost:", "write localhost"),
            ("me@h:80", "write h:80"),
            ("h,80", "write h:80"),
            ("localhost:ssh", "write localhost:22"),
            ("https://example.org/x", "write example.org:443 --tls"),
            ("tls://h:1", "write h:1 --tls"),
            ("redis://h:1/0", "write h:1"),
            ("foo://h", "write h:PORT"),
            ("unix:///tmp/lab", "write unix:/tmp/lab"),
            ("unix:", "1 to 107 bytes"),
            ("unix:/" + "x" * 107, "107 bytes"),
            ("unix:path=/" + "é" * 54, "107 bytes"),
        ):
            self.assertIn(why, str(self.assertRaises(AddressError, parse, text)))
        for text in (
            *("tcp:h:x", "tcp:a..b:1", "tcp:h:1:timeout=-1", "nothing:here", "localhost:no"),
            *("tcp:", "tls:h", "tcp:[::1]:80"),
        ):
            problem = self.assertRaises(AddressError, endpoint, text)
            self.assertIn(f"{text!r} is no address", str(problem))

    @settings(deadline=None, derandomize=True)
    @given(st.text(alphabet="ab:[]=/\\1 \n.é", max_size=12))
    def test_anyText(self, text: str) -> None:
        """Any text is an address, or refused in one line."""
        try:
            endpoint(text)
        except AddressError as problem:
            self.assertEqual(len(str(problem).splitlines()), 1, str(problem))
