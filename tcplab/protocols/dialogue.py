"""Conversations that read from top to bottom, on either side, and block nobody."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from tcplab.protocols.conversation import Conversation
from tcplab.reactor.stack import reactorOf
from tcplab.reactor.tls import startTLS
from tcplab.wire.framing import Delimited, FixedLength, FramingError, IncompleteMessage
from tcplab.wire.reasons import Reason


class DialogueOver(Exception):
    """There is no more to converse about; leaving ``converse`` by it is an ordinary polite end."""


class PeerFinished(DialogueOver):
    """The peer has finished: what was awaited will never come."""


class PeerSilent(DialogueOver):
    """The peer said nothing, or not enough, in time."""


class Draining(DialogueOver):
    """The server wants to end, and no whole message is here."""


class Dialogue(Conversation):
    """
    Say ``converse`` as a coroutine: receive, send, return.

    Returning hangs up politely, and so does leaving by a `DialogueOver`. Any other exception is
    logged once and aborts. If the connection is lost meanwhile, the coroutine is cancelled
    (``twisted.internet.defer.CancelledError``), so that its ``finally`` blocks run.

    While nothing is awaited nothing is read: the peer waits, and memory does not grow.
    """

    @abstractmethod
    async def converse(self) -> Any:
        """Hold the conversation; what it returns is the result of `whenFinished`."""
        raise NotImplementedError(f"{type(self).__name__} has no converse()")

    # What the peer says

    async def receive(self, *, timeout: float | None = None) -> bytes:
        """
        Await the next whole message.

        :param timeout: seconds; ``None`` waits as long as the connection lasts.
        :raises PeerFinished: it will say nothing more.
        :raises PeerSilent: none came in time.
        :raises Draining: the server wants to end, and no whole message is here.
        :raises FramingError: what came is no message.
        """
        if self._asking is not None:
            raise RuntimeError("one receive() at a time: another is still waiting")
        message = self._next()
        if message is None:
            message = await self._ask(timeout)
        return message

    async def receiveExactly(self, n: int, *, timeout: float | None = None) -> bytes:
        """Await ``n`` bytes, whatever the framing; raises as `receive`."""
        return await self._receiveThrough(FixedLength(n), timeout)

    async def receiveUntil(
        self, delimiter: bytes, *, limit: int = 65536, timeout: float | None = None
    ) -> bytes:
        """
        Await all before a delimiter, and drop the delimiter; raises as `receive`.

        :raises FramingError: it did not come within ``limit`` bytes.
        """
        return await self._receiveThrough(Delimited(delimiter, limit), timeout)

    def messages(self, *, timeout: float | None = None) -> AsyncIterator[bytes]:
        """Iterate over the messages until the peer finishes: ``async for message in …``."""
        return _Messages(self, timeout)

    def sleep(self, seconds: float) -> Deferred[None]:
        """Await that much time."""
        return deferLater(self._time(), seconds)

    async def startTLS(self, contextFactory: Any, *, timeout: float | None = 5.0) -> None:
        """
        Speak TLS from here on; await the handshake.

        What the peer said in clear before it is discarded, as if it had been said inside it could
        be an attacker's (RFC 3207, 4.2; CVE-2011-0411). What is sent meanwhile waits.

        :param contextFactory: as for ``ITLSTransport.startTLS``; a server's, or for a client what
            ``twisted.internet.ssl.optionsForClientTLS`` returns.
        :raises PeerSilent: the handshake took longer than ``timeout`` seconds.
        """
        self.framing.unread()
        plain, self._shaken = self.raw, Deferred()
        self.flow.stop()
        tls = startTLS(plain, self, contextFactory)
        self._speakThrough(tls)
        tls.makeConnection(plain)
        plain.resumeProducing()
        try:
            await self._within(self._shaken, timeout)
        except PeerSilent:
            self.abort(Reason.HANDSHAKE_TIMEOUT)  # there is no polite end before the handshake's
            raise

    # The end

    def whenFinished(self) -> Deferred[Any]:
        """
        Fire with what ``converse`` returned once the connection is over, and nothing can be lost.

        It fails with what ``converse`` raised, a `DialogueOver` too, or with the reason for which
        the connection was lost in the middle of it.
        """
        deferred: Deferred[Any] = Deferred(self._forgetAsker)
        self._askers = [*self._askers, deferred]
        if self._isOver:
            self._tellAskers()
        return deferred

    # The machinery

    _asking: Deferred[bytes] | None = None
    _shaken: Deferred[None] | None = None
    _conversing: Deferred[None] | None = None
    _outcome: Any = None
    _draining = False
    _direct = False  # what comes waits until it is asked for
    _isOver = False
    _misread = False  # what came is no message: not what was to be said
    _askers: Sequence[Deferred[Any]] = ()

    def readConnectionLost(self) -> None:
        """The next `receive` says so."""

    def connectionDraining(self) -> None:
        """The next `receive` says so."""
        self._draining = True
        self.deliver()

    def _begin(self) -> None:
        super()._begin()
        self._attempt(self._converse)

    def _converse(self) -> None:
        self._conversing = Deferred.fromCoroutine(self.converse())
        self._conversing.addCallbacks(self._returned, self._raised)

    def handshakeCompleted(self) -> None:
        """TLS is through: begin, or go on."""
        if not self.begun:
            self._begin()
        elif self._shaken is not None:
            shaken, self._shaken = self._shaken, None
            self.flow.start()
            shaken.callback(None)

    def deliver(self) -> None:
        """Give what has come to whoever asked for it; if nobody did, read no more."""
        if self._asking is not None and not self.ending:
            try:
                message = self._next()
            except Exception as error:
                self._misread = isinstance(error, FramingError)
                self._answer(Failure())
            else:
                if message is not None:
                    self._answer(message)
        if not self.ending:  # whoever was answered may have returned
            self.flow.hold(self._asking is None and self._shaken is None)

    def _next(self) -> bytes | None:
        if self._isOver:
            raise CancelledError
        if not self.flow.mayHear():
            return None
        message: bytes | None = self.framing.next()
        if message is None and self.peerFinished:
            message = self._last()
        if message is None and self._draining:
            raise Draining("the server is draining")
        return message

    def _last(self) -> bytes:
        tail: bytes | None = None
        try:
            if not getattr(self.transport, "truncated", False):
                tail = self.framing.finish()
        except IncompleteMessage as error:
            if not isinstance(self.framing, FixedLength | Delimited):
                raise
            raise PeerFinished("the peer finished in the middle of what was awaited") from error
        if tail is None:
            raise PeerFinished("the peer has finished")
        return tail

    def _ask(self, timeout: float | None) -> Deferred[bytes]:
        asking: Deferred[bytes] = Deferred(self._forget)
        self._asking = asking
        self.flow.hold(False)
        return self._within(asking, timeout)

    def _forget(self, asking: Deferred[bytes]) -> None:
        self._asking = None

    def _answer(self, answer: bytes | Failure) -> None:
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.callback(answer)

    def _within(self, deferred: Deferred[Any], timeout: float | None) -> Deferred[Any]:
        if timeout is not None:
            deferred.addTimeout(timeout, self._time(), _silent)
        return deferred

    async def _receiveThrough(self, framing: Any, timeout: float | None) -> bytes:
        usual = self.framing
        framing.feed(usual.unread())
        framing.frame = usual.frame  # what others send meanwhile is framed as ever
        self.framing = framing
        try:
            return await self.receive(timeout=timeout)
        finally:
            self.framing = usual
            usual.feed(framing.unread())

    def _time(self) -> Any:
        return self.clock or reactorOf(self.transport)

    def _returned(self, result: Any) -> None:
        self._outcome, self._conversing = result, None
        self.hangUp()

    def _raised(self, failure: Failure) -> None:
        self._outcome, self._conversing = failure, None
        if failure.check(DialogueOver):
            self.hangUp()
        elif self._misread and isinstance(failure.value, FramingError):
            self._misunderstood(failure.value)
        elif not (self._isOver and failure.check(CancelledError)):
            self._failed(failure)

    def _lost(self, reason: Failure = connectionDone) -> None:
        self._isOver = True
        super()._lost(reason)
        if self._conversing is not None:
            self._conversing.cancel()
            self._outcome = reason
        elif not self.begun:
            self._outcome = reason
        self._tellAskers()

    def _forgetAsker(self, gone: Deferred[Any]) -> None:
        self._askers = [each for each in self._askers if each is not gone]

    def _tellAskers(self) -> None:
        askers, self._askers = self._askers, ()
        for deferred in askers:
            deferred.callback(self._outcome)


class _Messages:
    """The messages of a dialogue, until the peer finishes."""

    def __init__(self, dialogue: Dialogue, timeout: float | None) -> None:
        self._dialogue, self._timeout = dialogue, timeout

    def __aiter__(self) -> _Messages:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._dialogue.receive(timeout=self._timeout)
        except PeerFinished:
            raise StopAsyncIteration from None


def _silent(result: object, timeout: float) -> Any:
    raise PeerSilent(f"the peer was silent for {timeout:g} s")
