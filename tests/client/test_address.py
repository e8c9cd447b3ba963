"""Tests for `tcplab.client.address`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.client.address import Address, AddressError, parse


class ParsingTests(SynchronousTestCase):
    def assertParsed(self, text: str, label: str, host: str, port: int) -> None:
        self.assertEqual(parse(text), Address(label, host, port))

    def test_aNameAlone(self) -> None:
        self.assertParsed("localhost", "localhost:50544", "localhost", 50544)

    def test_aNameAndAPort(self) -> None:
        self.assertParsed("example.org:80", "example.org:80", "example.org", 80)

    def test_anIPv4Address(self) -> None:
        self.assertParsed("192.0.2.1", "192.0.2.1:50544", "192.0.2.1", 50544)
        self.assertParsed("192.0.2.1:7", "192.0.2.1:7", "192.0.2.1", 7)

    def test_anIPv6Address(self) -> None:
        self.assertParsed("[::1]:80", "[::1]:80", "::1", 80)
        self.assertParsed("[::1]", "[::1]:50544", "::1", 50544)
        self.assertParsed("2001:db8::7", "[2001:db8::7]:50544", "2001:db8::7", 50544)

    def test_aUnixSocket(self) -> None:
        self.assertEqual(
            parse("unix:/tmp/lab"), Address("unix:/tmp/lab", description="unix:/tmp/lab")
        )

    def test_anEndpointString(self) -> None:
        address = parse("tcp:example.org:80:bindAddress=127.0.0.1")
        self.assertEqual((address.host, address.port), ("example.org", None))
        self.assertEqual(parse("tcp:host=h:port=1").host, "h")
        self.assertEqual(parse(r"tcp:\:\:1:80").host, "::1")
        self.assertIsNone(parse("unix:/s").host)

    def test_anEndpointStringMayLeaveOutThePort(self) -> None:
        self.assertEqual(parse("tcp:h").description, "tcp:h:port=50544")
        self.assertEqual(parse("tcp:host=h").description, "tcp:host=h:port=50544")
        for whole in "tcp:h:1", "tcp:host=h:1", "tcp:h:port=1":
            self.assertEqual(parse(whole).description, whole)

    def test_onlySomeSpeakTLSByThemselves(self) -> None:
        self.assertTrue(parse("tls:h:1").secure)
        self.assertTrue(parse("ssl:h:1").secure)
        self.assertFalse(parse("tcp:h:1").secure)
        self.assertFalse(parse("h:1").secure)

    def test_aLabelFitsInALine(self) -> None:
        self.assertEqual(parse("unix:/a\nb").label, "unix:/a\\nb")


class RefusingTests(SynchronousTestCase):
    def assertRefused(self, text: str, because: str) -> None:
        self.assertIn(because, str(self.assertRaises(AddressError, parse, text)))

    def test_nothing(self) -> None:
        for text in "", ":80", "a b", "[]", "[::1", "[::1]80", "[localhost]:80", "[::1]:x":
            self.assertRefused(text, "no ")

    def test_aPortOutOfRange(self) -> None:
        for text in "h:0", "h:65536", "[::1]:0":
            self.assertRefused(text, "1 to 65535")

    def test_aPathIsToldHowToBeWritten(self) -> None:
        self.assertRefused("/tmp/lab", "unix:/tmp/lab")

    def test_aPathThatIsTooLong(self) -> None:
        self.assertRefused("unix:/" + "x" * 107, "107 bytes")
        self.assertRefused("unix:", "1 to 107 bytes")
        self.assertRefused("unix:path=/" + "é" * 54, "107 bytes")
        parse("unix:/" + "x" * 106 + ":timeout=3")

    @settings(deadline=None, derandomize=True)
    @given(st.text(alphabet="ab:[]=/\\1 \n.é", max_size=12))
    def test_anythingIsUnderstoodOrRefusedInOneLine(self, text: str) -> None:
        try:
            parse(text).endpoint(MemoryReactorClock(), 5.0)
        except AddressError as problem:
            self.assertEqual(len(str(problem).splitlines()), 1, str(problem))


class EndpointTests(SynchronousTestCase):
    def test_aNameIsLookedUp(self) -> None:
        for text in "localhost", "example.org:80", "[::1]:7":
            endpoint = parse(text).endpoint(MemoryReactorClock(), 5.0)
            self.assertIsInstance(endpoint, HostnameEndpoint)

    def test_anEndpointStringIsTwisteds(self) -> None:
        endpoint = parse("unix:/tmp/lab").endpoint(MemoryReactorClock(), 5.0)
        self.assertIsInstance(endpoint, UNIXClientEndpoint)

    def test_aBadEndpointStringIsOneLine(self) -> None:
        for text in (
            "tcp:h:x",
            "tcp:a..b:1",
            "tcp:h:1:timeout=-1",
            "nothing:here",
            "localhost:http",
            "tcp:",
            "tls:h",
        ):
            address = parse(text)
            problem = self.assertRaises(AddressError, address.endpoint, MemoryReactorClock(), 5.0)
            self.assertIn(f"{text!r} is no address", str(problem))
