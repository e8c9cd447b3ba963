"""A real HAProxy in front of two labs, with ``deploy/haproxy.cfg`` and with others."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.testing import EventLoggingObserver
from twisted.internet.threads import deferToThread
from twisted.logger import Logger, formatEvent
from twisted.trial.unittest import TestCase

from tcplab.config.options import fromWords
from tcplab.listener.policy import Policy
from tcplab.observers import Observers
from tcplab.policies import proxyprotocol
from tcplab.policies.proxyprotocol import ProxyProtocol
from tcplab.server.service import LabService
from tcplab.wire.proxyheader import InetAddress, ProxyHeader, writeHeader
from tests.support.certificates import localhostFile, overTLS
from tests.support.ports import free
from tests.support.socket_server import Told, readAll
from tests.support.subprocess_server import ROOT, Server, needed, scratch
from tests.support.tiers import slow

net: Any = reactor

ADA = InetAddress.of("203.0.113.9", 4711)
LAB = InetAddress.of("198.51.100.2", 443)

NAMES = ("blue", "green")

#: What the other configurations begin with.
COMMON = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m
"""


class Headers(Policy):
    """Keep the PROXY headers of connections."""

    def __init__(self, headers: list[ProxyHeader | None]) -> None:
        self._headers = headers

    def connectionAccepted(self, transport: Any) -> None:
        self._headers.append(getattr(transport, "announced", None))


class Proxies(ProxyProtocol):
    """
    Keep whose headers were awaited.

    :ivar asked: the addresses.
    """

    def __init__(self, *settings: Any) -> None:
        self.asked: list[object] = []
        super().__init__(*settings)

    def trusts(self, address: object) -> bool:
        self.asked.append(address)
        return super().trusts(address)


class Lab(Told):
    """One of the labs: a plain listener and one with TLS, and what was told of both."""

    def __init__(self, name: str, pem: str) -> None:
        super().__init__()
        self.plain, self.secure = free(), free()
        settings = fromWords(
            serve=[
                f"whoami,name={name}@tcp:{self.plain}:interface=127.0.0.1",
                f"whoami,name={name}@ssl:{self.secure}:interface=127.0.0.1"
                f":privateKey={pem}:certKey={pem}",
            ]
        )
        self.service = LabService(settings, reactor, Observers(self))
        self.policy = Proxies("any", ["127.0.0.1"])
        self.headers: list[ProxyHeader | None] = []
        for listener in self.service.listeners:
            self.policy.watch(listener)
            listener.addPolicy(Headers(self.headers))


@slow
class Balanced(TestCase):
    """Two labs behind HAProxy."""

    timeout = 60

    async def setUp(self) -> None:
        self.program = needed("haproxy")
        self.folder = scratch(self)
        self.patch(os, "environ", {**os.environ})  # of HAProxy
        self.logged = EventLoggingObserver()
        self.patch(proxyprotocol, "log", Logger(observer=self.logged))
        pem = localhostFile(str(self.folder))
        self.blue, self.green = self.labs = [Lab(name, pem) for name in NAMES]
        for lab in self.labs:
            await lab.service.listen()
            self.addCleanup(self._end, lab)

    async def _end(self, lab: Lab) -> None:
        await lab.service.drain()
        lab.policy.stop()

    async def balance(self, configuration: str | Path) -> None:
        """Start HAProxy, and wait until it listens on the ports of the test."""
        self.plain, self.secure = free(), free()
        file = self.folder / "haproxy.cfg"
        if isinstance(configuration, Path):
            file = configuration
        else:
            file.write_text(COMMON + configuration)
        for name, place in self._places().items():
            os.environ[name] = place
        self.haproxy = await deferToThread(
            Server,
            f"{self.program} -db -f {file}",
            self.folder,
            lambda _: str(self.plain) if listens(self.plain) else "",
        )
        self.addCleanup(deferToThread, self.haproxy.stop)

    def _places(self) -> dict[str, str]:
        here = "127.0.0.1"
        places = {"PLAIN": f"{here}:{self.plain}", "SECURE": f"{here}:{self.secure}"}
        places["PORT"] = str(self.plain)
        for name, lab in zip(NAMES, self.labs, strict=True):
            places[f"{name.upper()}_PLAIN"] = f"{here}:{lab.plain}"
            places[f"{name.upper()}_SECURE"] = f"{here}:{lab.secure}"
        return places

    def asked(self, port: int = 0, **more: Any) -> Deferred[tuple[dict[str, str], str]]:
        """Ask who is there through HAProxy, in a thread."""
        return deferToThread(asked, port or self.plain, **more)

    async def until(self, condition: Callable[[], Any]) -> None:
        while not condition():
            turn: Deferred[None] = Deferred()
            net.callLater(0.01, turn.callback, None)
            await turn

    @property
    def refusals(self) -> list[str]:
        return [formatEvent(event) for event in self.logged]


class DeployedTests(Balanced):
    """With the file that people are given."""

    async def setUp(self) -> None:
        await super().setUp()
        await self.balance(ROOT / "deploy" / "haproxy.cfg")

    async def test_theLabsKnowTheRealPeers(self) -> None:
        self.assertNotIn("WARNING", self.haproxy.output)
        for port, tls in ((self.plain, False), (self.secure, True)):
            names = Counter()
            for _ in range(8):
                told, me = await self.asked(port, tls=tls)
                self.assertEqual(told["peer"], me)
                self.assertRegex(told["via"], r"^127\.0\.0\.1:\d+$")
                names[told["name"]] += 1
            self.assertEqual(names, {"blue": 4, "green": 4})
        self.assertEqual(self.refusals, [])

    async def test_itsChecksComeFromItselfAndAreNoErrors(self) -> None:
        # Each has two listeners, and nobody else connects.
        await self.until(lambda: all(len(lab.headers) >= 4 for lab in self.labs))
        for lab in self.labs:
            self.assertEqual(set(lab.headers), {None})
        self.assertEqual(self.refusals, [])

    async def test_nobodyIsLostWhileALabRestarts(self) -> None:
        """Again and again, one after the other, while four clients connect all the time."""
        counts: Counter[tuple[str, bool]] = Counter()
        ended = threading.Event()
        clients = [
            deferToThread(_busily, self.secure if tls else self.plain, tls, ended, counts)
            for tls in (False, False, True, True)
        ]
        for number in range(10):
            name, lab = NAMES[number % 2], self.labs[number % 2]
            await self.served(counts, name)
            await lab.service.drain()
            await lab.service.listen()
            # The other one restarts when HAProxy has seen that this one is back.
            await self.served(counts, name)
        ended.set()
        for client in clients:
            self.assertEqual(await client, [])
        self.assertEqual(self.refusals, [])

    async def served(self, counts: Counter[tuple[str, bool]], name: str) -> None:
        """Wait until a lab has answered some more, without TLS and with it."""
        then = counts.copy()
        await self.until(
            lambda: all(counts[name, tls] > then[name, tls] + 4 for tls in (False, True))
        )


class SpokenTests(Balanced):
    """What HAProxy says and understands, in all ways it can be told to."""

    async def test_clientsOfIPv4OnASocketForBoth(self) -> None:
        """It writes them with dots, as IPv6."""
        for version, option in enumerate(("send-proxy", "send-proxy-v2"), 1):
            await self.balance(
                f'listen it\n bind ":::${{PORT}}" v4v6\n server s "${{BLUE_PLAIN}}" {option}\n'
            )
            told, me = await self.asked()
            self.assertEqual(told["peer"], me)
            self.assertEqual(self.blue.headers[-1].version, version)  # type: ignore[union-attr]
        self.assertEqual(self.refusals, [])

    async def test_whatElseItSays(self) -> None:
        """Its checksum is ours."""
        await self.balance(
            'listen it\n bind "${PLAIN}"\n unique-id-format id-%pid\n'
            ' server s "${BLUE_PLAIN}" send-proxy-v2 proxy-v2-options crc32c,unique-id\n'
        )
        told, me = await self.asked()
        self.assertEqual(told["peer"], me)
        header = self.blue.headers[0]
        assert header is not None
        self.assertRegex(header.uniqueID or b"", rb"^id-\d+$")

    async def test_whatItSaysOfTLS(self) -> None:
        pem = localhostFile(str(self.folder))
        await self.balance(
            f'listen it\n bind "${{PLAIN}}" ssl crt {pem} alpn h2\n'
            ' server s "${BLUE_PLAIN}" send-proxy-v2 proxy-v2-options'
            " ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority,crc32c\n"
        )
        told, me = await self.asked(tls=True)
        self.assertEqual(told["peer"], me)
        header = self.blue.headers[0]
        assert header is not None
        assert header.ssl is not None
        self.assertEqual((header.authority, header.ssl.version), ("localhost", "TLSv1.3"))
        self.assertEqual(header.ssl.client, 1)

    async def test_aBareCheck(self) -> None:
        """Without a header it is no error, and no connection."""
        # Others end with a reset before they are connected: nobody sees them.
        await self.balance(
            'listen it\n bind "${PLAIN}"\n option tcp-check\n'
            f" tcp-check connect port {self.blue.plain} linger\n"
            ' server s "${BLUE_PLAIN}" send-proxy-v2 check inter 20ms fall 1000\n'
        )
        await self.until(lambda: len(self.blue.policy.asked) > 5)
        self.assertEqual(self.blue.headers, [])
        told, me = await self.asked()
        self.assertEqual((told["peer"], len(self.blue.headers)), (me, 1))
        self.assertEqual(self.refusals, [])

    async def test_ourHeadersAreItsToo(self) -> None:
        """It believes what we write, and passes it on."""
        await self.balance(
            'listen it\n bind "${PLAIN}" accept-proxy\n server s "${BLUE_PLAIN}" send-proxy-v2\n'
        )
        six = InetAddress.of("2001:db8::1", 5)
        for header, peer in (
            (writeHeader(1, ADA, LAB), "203.0.113.9:4711"),
            (writeHeader(2, ADA, LAB), "203.0.113.9:4711"),
            (writeHeader(2, ADA, LAB, checksum=True), "203.0.113.9:4711"),
            (writeHeader(1, six, six), "[2001:db8::1]:5"),
            (writeHeader(2, six, six, checksum=True), "[2001:db8::1]:5"),
            (writeHeader(1, ADA, six), "203.0.113.9:4711"),
        ):
            told, _ = await self.asked(first=header)
            self.assertEqual(told["peer"], peer)
        for header in (b"PROXY UNKNOWN\r\n", writeHeader(2, local=True)):
            told, me = await self.asked(first=header)
            self.assertEqual(told["peer"], me)


def listens(port: int) -> bool:
    """Tell whether somebody listens there, without a connection that would be counted."""
    sockets = "".join(Path(f"/proc/net/{each}").read_text() for each in ("tcp", "tcp6"))
    return bool(re.search(rf":{port:04X} 0+:0000 0A ", sockets))


def asked(port: int, *, tls: bool = False, first: bytes = b"") -> tuple[dict[str, str], str]:
    """Connect, read to the end; return what was told, and our own address."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=20)
    me = "{}:{}".format(*sock.getsockname())
    sock.sendall(first)
    if tls:
        sock = overTLS(sock, "localhost")
    with sock:
        line = readAll(sock).decode("ascii")
    return dict(fact.split("=", 1) for fact in line.split()), me


def _busily(
    port: int, tls: bool, ended: threading.Event, counts: Counter[tuple[str, bool]]
) -> list[str]:
    """Connect again and again; return what was lost."""
    lost = []
    while not ended.is_set():
        try:
            told, me = asked(port, tls=tls)
            if told.get("peer") != me:
                lost.append(f"{me} was told {told}")
            counts[told.get("name", ""), tls] += 1
        except OSError as e:
            lost.append(repr(e))
    return lost
