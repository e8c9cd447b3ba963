"""Dialogue: a conversation written as a coroutine, for either end of a connection."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from types import CoroutineType, GeneratorType
from typing import Generic, NoReturn, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from typing_extensions import TypeVar  # of Python 3.13: a type variable with a default

from tcplab.protocols.conversation import Conversation
from tcplab.reactor.interfaces import ContextFactory, ContextSource
from tcplab.reactor.tls import startTLS
from tcplab.wire.framing import (
    DEFAULT_MAX_LENGTH,
    Delimited,
    FixedLength,
    Framing,
    FramingError,
    IncompleteMessage,
)
from tcplab.wire.reasons import Reason

_T = TypeVar("_T")
_Result = TypeVar("_Result", default=object)


class DialogueOver(Exception):
    """
    The dialogue ends early; leaving ``converse`` by it is an ordinary graceful close.

    >>> issubclass(PeerFinished, DialogueOver)
    True
    """


class PeerFinished(DialogueOver):
    """
    The peer has sent FIN or close_notify: what was awaited will not be received.

    ::

        with suppress(PeerFinished):
            header = await self.receiveExactly(8)
    """


class PeerSilent(DialogueOver):
    """
    The peer did not send what was awaited in time.

    ::

        try:
            name = await self.receive(timeout=60)
        except PeerSilent:
            name = b"stranger"
    """


class Draining(DialogueOver):
    """
    The server drains, and no whole message was received.

    ::

        with suppress(Draining):
            line = await self.receive()
    """


class Dialogue(Conversation, Generic[_Result]):
    """
    A conversation written as a coroutine: override ``converse`` to receive, send and return.

    ::

        class Recipe(Dialogue):
            framing = Lines

            async def converse(self) -> None:
                self.send(b"What is your name?")
                name = await self.receive(timeout=60)
                self.send(b"Hello, " + name + b"!")

    Returning closes gracefully, and so does leaving by a `DialogueOver`. Any other exception is
    logged once and aborts. If the connection is lost meanwhile, the coroutine is cancelled
    (``twisted.internet.defer.CancelledError``), so that its ``finally`` blocks run.

    While nothing is awaited nothing is read: memory does not grow, and the peer has to wait.

    A client takes what ``converse`` returns from `result`. The class in brackets is its type::

        class Ask(Dialogue[bytes]):
            async def converse(self) -> bytes:
                return await self.receive(timeout=5)

        ask = await connectProtocol(endpoint, Ask())
        answer = await ask.result()
    """

    @abstractmethod
    async def converse(self) -> _Result:
        """Hold the dialogue; what it returns is given by `result` and `whenFinished`."""
        raise NotImplementedError(f"{type(self).__name__} has no converse()")

    # Input

    async def receive(self, *, timeout: float | None = None) -> bytes:
        """
        Await the next whole message.

        :param timeout: seconds; ``None`` waits as long as the connection lasts.
        :raises PeerFinished: the peer sends no more messages.
        :raises PeerSilent: no whole message was received in time.
        :raises Draining: the server drains, and no whole message was received.
        :raises FramingError: the input is no message of the framing.
        :raises RuntimeError: another receive() is waiting.
        """
        if self._pendingReceive is not None:
            raise RuntimeError("one receive() at a time: another is still waiting")
        message = self._next()
        if message is None:
            message = await self._await(timeout)
        return message

    async def receiveExactly(self, n: int, *, timeout: float | None = None) -> bytes:
        """Await ``n`` bytes, whatever the framing; raises as `receive`."""
        return await self._receiveFramed(FixedLength(n), timeout)

    async def receiveUntil(
        self,
        delimiter: bytes,
        *,
        limit: int = DEFAULT_MAX_LENGTH,
        timeout: float | None = None,
    ) -> bytes:
        """
        Await the bytes before a delimiter, and drop the delimiter; raises as `receive`.

        :raises FramingError: the delimiter was not received within ``limit`` bytes.
        """
        return await self._receiveFramed(Delimited(delimiter, limit), timeout)

    def messages(self, *, timeout: float | None = None) -> AsyncIterator[bytes]:
        """
        Iterate over the messages until the peer finishes: ``async for message in …``.

        :param timeout: seconds for each message, as of `receive`.
        """
        return _Messages(partial(self.receive, timeout=timeout))

    def sleep(self, seconds: float) -> Deferred[None]:
        """Await a time, in seconds."""
        return deferLater(self._clock, seconds)

    async def startTLS(
        self, contextFactory: ContextFactory | ContextSource, *, timeout: float | None = 5.0
    ) -> None:
        """
        Start TLS; await the handshake.

        Input that was received in clear is discarded: an attacker could have put it there, for
        input under TLS (RFC 3207, 4.2; CVE-2011-0411). What is sent during the handshake waits for
        its end.

        :param contextFactory: as for ``ITLSTransport.startTLS``; a server's, or for a client what
            ``twisted.internet.ssl.optionsForClientTLS`` returns.
        :param timeout: seconds for the handshake; ``None`` for no limit.
        :raises PeerSilent: the handshake took longer.
        """
        self.framing.unread()
        plain, self._handshake = self.raw, Deferred()
        self.flow.stop()
        tls = startTLS(plain, self, cast("ContextFactory", contextFactory))
        self._attach(tls)
        tls.makeConnection(plain)
        plain.resumeProducing()
        try:
            await self._withTimeout(self._handshake, timeout)
        except PeerSilent:
            self.abort(Reason.HANDSHAKE_TIMEOUT)  # during the handshake there is no graceful close
            raise

    # The end

    def result(self) -> Deferred[_Result]:
        """
        Fire with what ``converse`` returns, as soon as it returns.

        It fails with what ``converse`` raised, also a `DialogueOver`, or with the reason for which
        the connection was lost before its end. **Limit:** what was sent last may still be unsent,
        and a program that ends now would lose it; see `whenFinished`.
        """
        return self._wait("result", self._hasOutcome)

    def whenFinished(self) -> Deferred[_Result]:
        """
        Fire as `result`, once the connection is closed and nothing can be lost any more.

        A peer that does not close delays it by up to ``lingerTimeout`` seconds.
        """
        return self._wait("end", self._isLost)

    # How it works

    _pendingReceive: Deferred[bytes] | None = None
    _receiveFraming: Framing | None = None  # reads in the place of ``framing``, if set
    _handshake: Deferred[None] | None = None
    _conversing: Deferred[_Result] | None = None
    _outcome: _Result | Failure
    _hasOutcome = False
    _draining = False
    _bypassFraming = False  # input waits until it is awaited
    _isLost = False
    _inputInvalid = False  # a FramingError came from the input, not from what was to be sent
    _waiters: Mapping[str, Sequence[Deferred[_Result]]] = {}  # for the result, and for the end

    def readConnectionLost(self) -> None:
        """Do nothing: the next `receive` raises `PeerFinished`."""

    def connectionDraining(self) -> None:
        """Have `receive` raise `Draining` where no whole message was received."""
        self._draining = True
        self.deliver()

    def _begin(self) -> None:
        super()._begin()
        self._callHook(self._converse)

    def _converse(self) -> None:
        conversing = self.converse()
        if not isinstance(conversing, CoroutineType | GeneratorType):
            raise TypeError(f"{type(self).__name__}.converse is no coroutine: write async def")
        self._conversing = Deferred.fromCoroutine(conversing)
        self._conversing.addCallbacks(self._returned, self._raised)

    def handshakeCompleted(self) -> None:
        """Start, or go on after `startTLS`: the TLS handshake is complete."""
        if not self.started:
            self._begin()
        elif self._handshake is not None:
            handshake, self._handshake = self._handshake, None
            self.flow.start()
            handshake.callback(None)

    def dataReceived(self, data: bytes) -> None:
        """Keep the input for the next `receive`."""
        if not self.ending and (self._dataHook is None or self._dataHook()):
            (self._receiveFraming or self.framing).feed(data)
            self.deliver()

    def deliver(self) -> None:
        """Give the next message to the `receive` that waits; without one, stop reading."""
        if self._pendingReceive is not None and not self.ending:
            try:
                message = self._next()
            except Exception as error:
                self._inputInvalid = isinstance(error, FramingError)
                self._answer(Failure())
            else:
                if message is not None:
                    self._answer(message)
        if self.ending:  # the coroutine that was answered may have returned
            return
        if self._pendingReceive is None and self._handshake is None:
            self.flow.pauseReading()
        else:
            self.flow.resumeReading()

    def _next(self) -> bytes | None:
        if self._isLost:
            raise CancelledError
        if not self.flow.mayDeliver():
            return None
        framing: Framing = self._receiveFraming or self.framing
        message = framing.next()
        if message is None and self.peerFinished:
            message = self._last(framing)
        if message is None and self._draining:
            raise Draining("the server is draining")
        return message

    def _last(self, framing: Framing) -> bytes:
        try:
            tail = self._tail(framing)
        except IncompleteMessage as error:
            if not isinstance(framing, FixedLength | Delimited):
                raise
            raise PeerFinished("the peer finished in the middle of what was awaited") from error
        if tail is None:
            raise PeerFinished("the peer has finished")
        return tail

    def _await(self, timeout: float | None) -> Deferred[bytes]:
        pending: Deferred[bytes] = Deferred(self._forgetReceive)
        self._pendingReceive = pending
        self.flow.resumeReading()
        return self._withTimeout(pending, timeout)

    def _forgetReceive(self, pending: Deferred[bytes]) -> None:
        self._pendingReceive = None

    def _answer(self, answer: bytes | Failure) -> None:
        pending, self._pendingReceive = self._pendingReceive, None
        if pending is not None:
            pending.callback(answer)

    def _withTimeout(self, deferred: Deferred[_T], timeout: float | None) -> Deferred[_T]:
        if timeout is not None:
            deferred.addTimeout(timeout, self._clock, _raisePeerSilent)
        return deferred

    async def _receiveFramed(self, framing: Framing, timeout: float | None) -> bytes:
        framing.feed(self.framing.unread())
        self._receiveFraming = framing
        try:
            return await self.receive(timeout=timeout)
        finally:
            self._receiveFraming = None
            self.framing.feed(framing.unread())

    def _returned(self, result: _Result) -> None:
        self._conversing = None
        self._keepOutcome(result)
        self.hangUp()
        self._fireWaiters("result")

    def _raised(self, failure: Failure) -> None:
        self._conversing = None
        self._keepOutcome(failure)
        if failure.check(DialogueOver):
            self.hangUp()
        elif self._inputInvalid and isinstance(failure.value, FramingError):
            self._framingFailed(failure.value)
        elif not (self._isLost and failure.check(CancelledError)):
            self._failed(failure)
        self._fireWaiters("result")

    def _connectionLost(self, reason: Failure = connectionDone) -> None:
        self._isLost = True
        super()._connectionLost(reason)
        self._keepOutcome(reason)
        if self._conversing is not None:
            self._conversing.cancel()
        self._fireWaiters("result")
        self._fireWaiters("end")

    def _keepOutcome(self, outcome: _Result | Failure) -> None:
        """Keep what `result` gives; the first counts."""
        if not self._hasOutcome:
            self._outcome, self._hasOutcome = outcome, True

    def _wait(self, event: str, happened: bool) -> Deferred[_Result]:
        deferred: Deferred[_Result] = Deferred(self._removeWaiter)
        self._waiters = {**self._waiters, event: [*self._waiters.get(event, ()), deferred]}
        if happened:
            self._fireWaiters(event)
        return deferred

    def _removeWaiter(self, cancelled: Deferred[_Result]) -> None:
        self._waiters = {
            event: [each for each in waiters if each is not cancelled]
            for event, waiters in self._waiters.items()
        }

    def _fireWaiters(self, event: str) -> None:
        waiters = self._waiters.get(event, ())
        self._waiters = {**self._waiters, event: ()}
        for deferred in waiters:
            deferred.callback(self._outcome)


class _Messages:
    """The messages of a dialogue, until the peer finishes."""

    def __init__(self, receive: Callable[[], Awaitable[bytes]]) -> None:
        self._receive = receive

    def __aiter__(self) -> _Messages:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._receive()
        except PeerFinished:
            raise StopAsyncIteration from None


def _raisePeerSilent(result: object, timeout: float) -> NoReturn:
    raise PeerSilent(f"the peer was silent for {timeout:g} s")
