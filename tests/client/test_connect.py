"""Tests for `tcplab.client.connect`."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHostnameResolver, IReactorPluggableNameResolver
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tcplab.client.address import AddressError
from tcplab.client.commandline import parseOptions
from tcplab.client.connect import SingleUseFactory, connect
from tcplab.client.protocol import ClientProtocol
from tcplab.client.result import Outcome, Result
from tcplab.protocols import Ack, ConversationFactory, Discard, Echo, LabConversation
from tests.support.certificates import localhostFile
from tests.support.pipes import session
from tests.support.socket_server import Serving


class Sessions:
    """What is the same over every transport; a subclass serves in C{here}."""

    async def test_pipes(self: Any) -> None:
        """The input is sent whole, the answer read to its end, and nothing is lost."""
        where = await self.here(ConversationFactory(LabConversation))
        result, printed = await session(self, *where, send=b"hello")
        self.assertEqual(printed, b"You are connected!hello")
        self.assertEqual(result, Result(Outcome.OK, "sent 5 bytes, received 23"))
        data = os.urandom(3_000_000)
        where = await self.here(ConversationFactory(Echo))
        result, printed = await session(self, *where, send=data)
        self.assertIs(result.outcome, Outcome.OK)
        self.assertTrue(printed == data, f"{len(printed)} bytes came back")

    async def test_serverEndsFirst(self: Any) -> None:
        where = await self.here(ConversationFactory(Ack))
        result, printed = await session(self, *where, send=b"hi\n")
        self.assertEqual((result.outcome, printed), (Outcome.OK, b"You are connected!"))

    async def test_scripts(self: Any) -> None:
        """A script prints what it receives; a quiet one, a health check, prints nothing."""
        where = await self.here(ConversationFactory(LabConversation))
        script = "--expect", "connected!", "--send", r"hi\n", "--expect-re", "h.\n"
        for quiet, output in ((), b"You are connected!hi\n"), (("--quiet",), b""):
            result, printed = await session(self, *where, *script, *quiet)
            self.assertEqual((result.outcome, printed), (Outcome.OK, output))


class PlainTests(Sessions, Serving):
    async def here(self, factory: Any) -> tuple[str, ...]:
        await self.serve(factory)
        return (f"127.0.0.1:{self.host.port}",)

    async def test_displays(self) -> None:
        """Quiet prints nothing, hex a dump."""
        dump = rb"00000000  00 68 65 6c 6c 6f +\|\.hello\|\n00000006\n"
        where = await self.here(ConversationFactory(Echo))
        for option, output in ("--quiet", b""), ("--hex", dump):
            result, printed = await session(self, *where, option, send=b"\x00hello")
            self.assertEqual(result.why, "sent 6 bytes, received 6")
            self.assertRegex(printed, rb"\A" + output + rb"\Z")


class UnixTests(Sessions, Serving):
    async def here(self, factory: Any) -> tuple[str, ...]:
        path = self.unixPath()
        await self.serve(factory, f"unix:{path}")
        return (f"unix:{path}",)


class OverTLS(Serving):
    async def here(self, factory: Any) -> tuple[str, ...]:
        self.pem = localhostFile(self.folder())
        keys = f"privateKey={self.pem}:certKey={self.pem}"
        await self.serve(factory, f"ssl:0:{keys}:interface=127.0.0.1")
        return (f"127.0.0.1:{self.host.port}", "--tls", "--insecure")


class HandshakeTests(OverTLS):
    async def test_untrusted(self) -> None:
        where, *_ = await self.here(ConversationFactory(Echo))
        result, _ = await session(self, where, "--tls")
        self.assertIs(result.outcome, Outcome.TLS)

    async def test_noTLS(self) -> None:
        """A server that answers otherwise, and one that does not answer."""
        for factory, outcome, why in (
            (ConversationFactory(LabConversation), Outcome.TLS, "does the server speak TLS?"),
            (ConversationFactory(Discard), Outcome.TIMEOUT, "TLS handshake"),
        ):
            await self.serve(factory)
            where = f"127.0.0.1:{self.host.port}"
            result, _ = await session(self, where, "--tls", "--insecure", "--timeout", "1")
            self.assertIs(result.outcome, outcome)
            self.assertIn(why, result.why)


class TLSTests(Sessions, OverTLS):
    """Our own TLS."""


class StockTLSTests(Sessions, OverTLS):
    """Twisted's own TLS of an endpoint string, which cannot half-close by itself."""

    async def here(self, factory: Any) -> tuple[str, ...]:
        await super().here(factory)
        return (f"tls:localhost:{self.host.port}:trustRoots={os.path.dirname(self.pem)}",)


@implementer(IHostnameResolver)
class NoNames:
    """A resolver that finds nothing, or never answers."""

    def __init__(self, answers: bool) -> None:
        self._answers = answers

    def resolveHostName(self, receiver: Any, hostName: str, *args: Any, **named: Any) -> Any:
        if self._answers:
            receiver.resolutionComplete()


@implementer(IReactorPluggableNameResolver)
class Unresolved(MemoryReactorClock):
    """A reactor with such a resolver."""

    def __init__(self, answers: bool) -> None:
        super().__init__()
        self.nameResolver = NoNames(answers)


class ConnectingTests(Serving):
    async def test_addresses(self) -> None:
        """An endpoint string, and an IPv6 address."""
        for endpoint, where in (
            ("tcp:0:interface=127.0.0.1", "tcp:127.0.0.1:{}"),
            (r"tcp6:0:interface=\:\:1", "[::1]:{}"),
        ):
            await self.serve(ConversationFactory(Echo), endpoint)
            _, printed = await session(self, where.format(self.host.port), send=b"hello")
            self.assertEqual(printed, b"hello")

    async def test_unreachable(self) -> None:
        """No listener, no socket, a socket that is left over, no folder, no possible name."""
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        path = self.unixPath()
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(path)
        for where, outcome in (
            (f"127.0.0.1:{port}", Outcome.REFUSED),
            (f"unix:{self.unixPath()}-none", Outcome.REFUSED),
            (f"unix:{path}", Outcome.REFUSED),
            (f"unix:{__file__}/nothing", Outcome.OTHER),
            ("a" * 64 + ".invalid", Outcome.DNS),
        ):
            result, _ = await session(self, where)
            self.assertIs(result.outcome, outcome, where)

    async def test_noEndpoint(self) -> None:
        with self.assertRaises(AddressError):
            await session(self, "nothing:here:x")


class TimeoutTests(SynchronousTestCase):
    def test_timeout(self) -> None:
        """A server and a name server that do not answer have the timeout's time."""
        reactor: Any
        for where, reactor in (
            ("192.0.2.1", MemoryReactorClock()),
            ("a.invalid", Unresolved(answers=False)),
        ):
            options = parseOptions([where, "--timeout", "3"])
            connecting = Deferred.fromCoroutine(connect(reactor, options))
            reactor.advance(2.9)
            self.assertNoResult(connecting)
            reactor.advance(0.1)
            self.assertIs(self.successResultOf(connecting).outcome, Outcome.TIMEOUT)

    def test_unknownName(self) -> None:
        reactor: Any = Unresolved(answers=True)
        connecting = Deferred.fromCoroutine(connect(reactor, parseOptions(["a.invalid"])))
        self.assertIs(self.successResultOf(connecting).outcome, Outcome.DNS)


class FactoryTests(SynchronousTestCase):
    def test_once(self) -> None:
        """Only the first connection has the protocol."""
        client = ClientProtocol(Clock())
        factory = SingleUseFactory(client)
        self.assertEqual([factory.buildProtocol(None) for _ in range(2)], [client, None])
