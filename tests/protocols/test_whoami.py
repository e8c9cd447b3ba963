"""Tests for `tcplab.protocols.whoami`."""

from __future__ import annotations

import os
import socket

from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols.factory import ConversationFactory
from tcplab.protocols.whoami import WhoAmI, _formatted
from tcplab.testing import checkBehaviour, connected
from tests.support.proxy_clients import facts
from tests.support.socket_server import Serving, readAll

PID = os.getpid()


class Proxied(ProtocolWrapper):
    """The transport of a peer that a proxy has named."""

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "203.0.113.9", 4711)


class WhoAmITests(SynchronousTestCase):
    def test_conforms(self) -> None:
        """One line, with the name that was given."""
        factory = ConversationFactory(WhoAmI, name="blue")
        line = f"name=blue host=127.0.0.1:50544 peer=127.0.0.1:36702 via= pid={PID}\n"
        checkBehaviour(factory, b"whatever", line.encode())

    def test_behindAProxy(self) -> None:
        """The peer is the real one, and via the proxy; without a name the machine's is sent."""
        self.patch(socket, "gethostname", lambda: "machine.example")
        factory = WrappingFactory(ConversationFactory(WhoAmI))
        factory.noisy = False
        factory.protocol = Proxied
        told = facts(connected(factory).value())
        self.assertEqual((told["peer"], told["via"]), ("203.0.113.9:4711", "127.0.0.1:36702"))
        self.assertEqual(told["name"], "machine.example")

    def test_words(self) -> None:
        """No value holds a space or a character that cannot be printed; none is cut."""
        odd = ("two words", "pid=1\nname=forged", "grün", "\x1b[2J", "a\tb", "back\\slash")
        for name in (*odd, "x" * 300):
            line = connected(ConversationFactory(WhoAmI, name=name)).value()
            self.assertRegex(line, rb"\A[\x20-\x7e]{60,}\n\Z")
            self.assertEqual(
                [field.split(b"=")[0] for field in line.split(b" ")],
                [b"name", b"host", b"peer", b"via", b"pid"],
            )
        self.assertEqual(facts(line)["name"], "x" * 300)


class AddressTests(SynchronousTestCase):
    def test_formatted(self) -> None:
        """An address of any kind is one word."""
        for address, expected in [
            (IPv4Address("TCP", "192.0.2.1", 80), "192.0.2.1:80"),
            (IPv6Address("TCP", "2001:db8::1", 80), "[2001:db8::1]:80"),
            (UNIXAddress(b"/run/lab socket"), r"/run/lab\x20socket"),
            (UNIXAddress(b"\0abstract"), r"\x00abstract"),
            (UNIXAddress(b""), "unix"),
            (UNIXAddress(None), "unix"),
        ]:
            self.assertEqual(_formatted(address), expected)
        self.assertNotIn(" ", _formatted(HostnameAddress(b"lab.example", 80)))


class WhoAmIOnSocketsTests(Serving):
    async def test_addresses(self) -> None:
        """An IPv4 peer of an IPv6 port is shown as IPv4; the host of a Unix socket is its path."""
        path = self.unixPath()
        for endpoint, family in (
            ("tcp:0:interface=127.0.0.1", socket.AF_INET),
            (r"tcp6:0:interface=\:\:ffff\:127.0.0.1", socket.AF_INET),
            (f"unix:{path}", socket.AF_UNIX),
        ):
            await self.serve(ConversationFactory(WhoAmI), endpoint)
            client = socket.socket(family)
            self.addCleanup(client.close)
            client.connect(("127.0.0.1", self.host.port) if family == socket.AF_INET else path)
            told = facts(await self.talk(readAll, client))
            here, there = client.getsockname(), client.getpeername()
            expected = (path, "unix")
            if family == socket.AF_INET:
                expected = ("{}:{}".format(*there), "{}:{}".format(*here))
            self.assertEqual((told["host"], told["peer"]), expected)
            self.assertEqual((told["via"], told["pid"]), ("", str(PID)))
