"""Tests for `tcplab.client.connect`."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet import reactor
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
from tests.support.pipes import Pipes
from tests.support.ports import refusing
from tests.support.socket_server import Serving

net: Any = reactor


@implementer(IHostnameResolver)
class NoNames:
    """Know no name, or never answer."""

    def __init__(self, answers: bool) -> None:
        self._answers = answers

    def resolveHostName(self, receiver: Any, hostName: str, *args: Any, **named: Any) -> Any:
        if self._answers:
            receiver.resolutionComplete()


@implementer(IReactorPluggableNameResolver)
class Unresolved(MemoryReactorClock):
    """A reactor whose resolver finds nothing."""

    def __init__(self, answers: bool = True) -> None:
        super().__init__()
        self.nameResolver = NoNames(answers)


class Holding(Serving):
    """Conversations on real sockets and pipes."""

    async def hold(self, *arguments: str, say: bytes = b"") -> tuple[Result, bytes]:
        """Hold a conversation; return how it ended and what was printed."""
        pipes = Pipes(self)
        printed = pipes.printed()
        typed = pipes.type(say)
        try:
            options = parseOptions(list(arguments))
            ending = await connect(net, options, stdin=pipes.stdin, stdout=pipes.stdout)
        finally:
            pipes.close("stdout", "stdin")
        await typed
        return ending, await printed


class Talks:
    """What holds however the server is reached; a subclass says how, as C{here}."""

    async def test_aPipeIsSentAndTheAnswerReadToTheEnd(self: Any) -> None:
        where = await self.here(ConversationFactory(LabConversation))
        ending, printed = await self.hold(*where, say=b"hello")
        self.assertEqual(printed, b"You are connected!hello")
        self.assertEqual(ending, Result(Outcome.OK, "sent 5 bytes, received 23"))

    async def test_aLongPipeLosesNothing(self: Any) -> None:
        data = os.urandom(3_000_000)
        where = await self.here(ConversationFactory(Echo))
        ending, printed = await self.hold(*where, say=data)
        self.assertIs(ending.outcome, Outcome.OK)
        self.assertTrue(printed == data, f"{len(printed)} bytes came back")

    async def test_aServerThatSpeaksFirstAndEnds(self: Any) -> None:
        where = await self.here(ConversationFactory(Ack))
        ending, printed = await self.hold(*where, say=b"hi\n")
        self.assertEqual((ending.outcome, printed), (Outcome.OK, b"You are connected!"))

    async def test_aScriptIsPerformed(self: Any) -> None:
        where = await self.here(ConversationFactory(LabConversation))
        script = "--expect", "connected!", "--send", r"hi\n", "--expect-re", "h.\n"
        ending, printed = await self.hold(*where, *script)
        self.assertIs(ending.outcome, Outcome.OK)
        self.assertEqual(printed, b"You are connected!hi\n")

    async def test_aHealthCheckPrintsNothing(self: Any) -> None:
        where = await self.here(ConversationFactory(LabConversation))
        ending, printed = await self.hold(*where, "--expect", "You are connected!", "--quiet")
        self.assertEqual((ending.outcome, printed), (Outcome.OK, b""))

    async def test_quietPrintsNothingOfAPipeEither(self: Any) -> None:
        where = await self.here(ConversationFactory(Echo))
        ending, printed = await self.hold(*where, "--quiet", say=b"hello")
        self.assertEqual(printed, b"")
        self.assertEqual(ending.why, "sent 5 bytes, received 5")

    async def test_hexIsADump(self: Any) -> None:
        where = await self.here(ConversationFactory(Echo))
        _, printed = await self.hold(*where, "--hex", say=b"\x00hello")
        self.assertRegex(printed, rb"\A00000000  00 68 65 6c 6c 6f +\|\.hello\|\n00000006\n\Z")


class PlainTests(Talks, Holding):
    async def here(self, factory: Any) -> tuple[str, ...]:
        await self.serve(factory)
        return (f"127.0.0.1:{self.host.port}",)


class UnixTests(Talks, Holding):
    async def here(self, factory: Any) -> tuple[str, ...]:
        path = self.unixPath()
        await self.serve(factory, f"unix:{path}")
        return (f"unix:{path}",)


class OverTLS(Holding):
    async def here(self, factory: Any) -> tuple[str, ...]:
        self.pem = localhostFile(self.folder())
        keys = f"privateKey={self.pem}:certKey={self.pem}"
        await self.serve(factory, f"ssl:0:{keys}:interface=127.0.0.1")
        return (f"127.0.0.1:{self.host.port}", "--tls", "--insecure")


class TLSTests(Talks, OverTLS):
    """Our own TLS."""


class StockTLSTests(Talks, OverTLS):
    """Twisted's own TLS of an endpoint string, which cannot half-close by itself."""

    async def here(self, factory: Any) -> tuple[str, ...]:
        await super().here(factory)
        folder = os.path.dirname(self.pem)
        return (f"tls:localhost:{self.host.port}:trustRoots={folder}",)


class HandshakeTests(OverTLS):
    async def test_aCertificateIsVerifiedUnlessToldOtherwise(self) -> None:
        where, *_ = await self.here(ConversationFactory(Echo))
        ending, _ = await self.hold(where, "--tls")
        self.assertIs(ending.outcome, Outcome.TLS)

    async def test_aServerThatDoesNotSpeakTLS(self) -> None:
        await self.serve(ConversationFactory(LabConversation))
        ending, _ = await self.hold(f"127.0.0.1:{self.host.port}", "--tls", "--insecure")
        self.assertIs(ending.outcome, Outcome.TLS)
        self.assertIn("does the server speak TLS?", ending.why)

    async def test_aServerThatDoesNotAnswerTheHandshake(self) -> None:
        await self.serve(ConversationFactory(Discard))
        where = f"127.0.0.1:{self.host.port}"
        ending, _ = await self.hold(where, "--tls", "--insecure", "--timeout", "1")
        self.assertIs(ending.outcome, Outcome.TIMEOUT)
        self.assertIn("TLS handshake", ending.why)


class DialingTests(Holding):
    async def test_anEndpointString(self) -> None:
        await self.serve(ConversationFactory(Echo))
        _, printed = await self.hold(f"tcp:127.0.0.1:{self.host.port}", say=b"hello")
        self.assertEqual(printed, b"hello")

    async def test_anIPv6Address(self) -> None:
        await self.serve(ConversationFactory(Echo), r"tcp6:0:interface=\:\:1")
        _, printed = await self.hold(f"[::1]:{self.host.port}", say=b"hello")
        self.assertEqual(printed, b"hello")

    async def test_nobodyListens(self) -> None:
        with refusing() as port:
            ending, _ = await self.hold(f"127.0.0.1:{port}")
        self.assertIs(ending.outcome, Outcome.REFUSED)

    async def test_aUnixSocketThatIsNotThere(self) -> None:
        ending, _ = await self.hold(f"unix:{self.unixPath()}")
        self.assertIs(ending.outcome, Outcome.REFUSED)

    async def test_aUnixSocketThatNobodyServes(self) -> None:
        path = self.unixPath()
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(path)
        ending, _ = await self.hold(f"unix:{path}")
        self.assertIs(ending.outcome, Outcome.REFUSED)

    async def test_anAddressThatCannotBeReached(self) -> None:
        ending, _ = await self.hold(f"unix:{__file__}/nothing")
        self.assertEqual(ending, Result(Outcome.OTHER, "Not a directory"))

    async def test_anEndpointStringThatIsNone(self) -> None:
        options = parseOptions(["nothing:here:x"])
        with self.assertRaises(AddressError):
            await connect(net, options)

    async def test_aNameThatIsNotKnown(self) -> None:
        unresolved = Unresolved()
        ending = await connect(unresolved, parseOptions(["nowhere.invalid"]))
        self.assertIs(ending.outcome, Outcome.DNS)

    async def test_aNameThatCanBeNone(self) -> None:
        ending, _ = await self.hold("a" * 64 + ".invalid")
        self.assertIs(ending.outcome, Outcome.DNS)


class TimeoutTests(SynchronousTestCase):
    def test_aServerThatDoesNotAnswerIsGivenUpAfterTheTimeout(self) -> None:
        clock = MemoryReactorClock()
        options = parseOptions(["192.0.2.1", "--timeout", "3"])
        dialled = Deferred.fromCoroutine(connect(clock, options))
        clock.advance(2.9)
        self.assertNoResult(dialled)
        clock.advance(0.1)
        self.assertIs(self.successResultOf(dialled).outcome, Outcome.TIMEOUT)

    def test_soIsANameServer(self) -> None:
        clock = Unresolved(answers=False)
        dialled = Deferred.fromCoroutine(connect(clock, parseOptions(["somewhere.invalid"])))
        self.assertNoResult(dialled)
        clock.advance(5)
        self.assertIs(self.successResultOf(dialled).outcome, Outcome.TIMEOUT)


class SwitchboardTests(SynchronousTestCase):
    def test_theCallIsGivenOnce(self) -> None:
        call = ClientProtocol(Clock())
        switchboard = SingleUseFactory(call)
        self.assertIs(switchboard.buildProtocol(None), call)
        self.assertIsNone(switchboard.buildProtocol(None))
