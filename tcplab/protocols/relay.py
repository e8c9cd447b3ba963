"""A link in a chain: add our name to each message, pass it on, bring the answer back."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from twisted.python.failure import Failure

from tcplab.protocols.upstream import Downstream
from tcplab.reactor.connecterrors import connectFailure
from tcplab.wire.framing import FramingError, Lines, Stream
from tcplab.wire.reasons import Reason

# Messages without an answer, before no more are read: enough to keep every node of a chain busy.
_MOST = 100

# Bytes of messages that wait for the connection onward, before no more are read.
_LATER = 65536

# Bytes at the beginning and at the end of a message that an error quotes.
_QUOTED = 200

# The part of its predecessor's patience that a node has.
_SHARE = 0.9


class Relay(Downstream):
    """
    Pass each message on with our name added, and each answer back.

    The last node, which has no ``next``, answers ``ack MESSAGE``. Each message is answered once, in
    order, on one connection onward; if the chain is broken, by a line that names the link::

        error hi | ann | bob: tcp:10.0.0.7:50544 refused

    The next message tries again. Messages and answers are reported. With `Stream` a message is
    what one read brings, what comes back answers all that was said so far, and the end of who
    answers is the end for the peer too.

    :cvar name: ours; it is added to each message.
    :cvar next: the next node, as the string of a client endpoint; empty for the last.
    :cvar timeout: seconds for an answer. Each node waits a tenth less than the one before it (the
        names in the message tell its place), so that the one beside the broken link speaks first.
    """

    framing = Lines
    name: str = ""
    next: str = ""
    timeout: float = 5.0

    _target = "next"
    _draining = False
    _patience = 0.0

    @classmethod
    def checkSettings(cls, settings: Mapping[str, Any]) -> None:
        """Refuse a node without a name."""
        super().checkSettings(settings)
        if not settings["name"] or not settings["name"].isprintable():
            raise TypeError("what is this node called? add name=NAME, as in name=bob")
        if not settings["timeout"] > 0:
            raise TypeError("timeout: give a number of seconds above 0")

    def _begin(self) -> None:
        self._unsent: list[bytes] = []
        # What was passed on and waits for its answer; or for its turn to be answered by an error.
        self._unanswered: deque[tuple[bytes, str]] = deque()
        super()._begin()

    def _start(self) -> None:
        if self.next and not self._calling and self._other is None:
            self._call(self.timeout)

    @property
    def _streams(self) -> bool:
        return isinstance(self.framing, Stream)

    # A message

    def messageReceived(self, message: bytes) -> None:
        """Pass it on, or answer."""
        self.report(message)
        named = b"%s | %s" % (message, self.name.encode())
        answer = named if self.next else b"ack " + message
        try:
            self.framing.frame(answer)
        except FramingError as problem:  # it has become too long
            self._unanswered.append((named, str(problem)))
            self._answerWithErrors()
            return
        if self.next:
            self._pass(named, message.count(b" | "))
        else:
            self.send(answer)

    def _pass(self, message: bytes, place: int) -> None:
        self._unanswered.append((_quotation(message), ""))
        if len(self._unanswered) >= _MOST:
            self.flow.block("answers")
        self._patience = self.timeout * _SHARE**place
        if "answer" not in self._timers:
            self._wait()
        if self._other is not None:
            self._other.send(message)
            return
        self._unsent.append(message)
        if sum(map(len, self._unsent)) > _LATER:
            self.flow.block("calling")
        if "start" not in self._timers:
            self._start()

    def _upstreamMade(self) -> None:
        unsent, self._unsent = self._unsent, []
        for message in unsent:
            self._other.send(message)
        self.flow.unblock("calling")
        if self._inputOver and self._other is not None:
            self._other._finish()

    def _wait(self) -> None:
        self._later("answer", self._patience, self._breakLink, "timed out")

    # An answer

    def _upstreamSaid(self, message: bytes) -> None:
        self.report(message)
        if self._streams:
            self._unanswered.clear()
        elif self._unanswered:
            self._unanswered.popleft()
        self.send(message)
        self._answerWithErrors()
        if self._unanswered or (self._streams and self._inputOver):
            self._wait()
        else:
            self._notLater("answer")
        self._goOn()

    def _answerWithErrors(self) -> None:
        while self._unanswered and self._unanswered[0][1]:
            message, problem = self._unanswered.popleft()
            self.send(b"error %s: %s" % (_quotation(message), problem.encode()))

    def _goOn(self) -> None:
        """Read more messages, or end, if there is a reason to."""
        if len(self._unanswered) < _MOST:
            self.flow.unblock("answers")
        if self._unanswered or self.ending:
            return
        over = self._inputOver and (self._other is None or not self._streams)
        if over or self._draining:
            if self._other is not None:
                self._other.hangUp()
            self.hangUp()

    # The link is broken

    def _breakLink(self, why: str) -> None:
        """Answer all messages that wait by an error; the next one makes a new connection."""
        self._hangUpCall()
        self._notLater("answer")
        upstream = self._other
        self._part()
        if upstream is not None:
            upstream._part()
            upstream.abort()
        waiting, self._unanswered = self._unanswered, deque()
        self._unsent.clear()
        problem = f"{self.next} {why}"
        self._unanswered.extend((quoted, own or problem) for quoted, own in waiting)
        self._answerWithErrors()
        if self._streams and upstream is not None:
            self.hangUp()
        self.flow.unblock("congested")
        self.flow.unblock("calling")
        self._goOn()

    def _unreached(self, why: str) -> None:
        self._breakLink(why)

    def _goesRound(self) -> None:
        self._breakLink("leads back to here")

    def _upstreamFinished(self) -> None:
        upstream = self._other
        upstream._part()
        self._part()
        upstream.hangUp()
        self._upstreamOver("closed")

    def _widowed(self, reason: Failure, why: Reason | None) -> None:
        self._upstreamOver(connectFailure(reason.value).phrase)

    def _upstreamOver(self, why: str) -> None:
        self._breakLink(why)
        if self._streams:
            self.hangUp()

    # The end

    def readConnectionLost(self) -> None:
        """Finish onward, and end when every message is answered."""
        if self._other is not None:
            self._other._finish()
            if self._streams and "answer" not in self._timers:
                self._patience = self.timeout
                self._wait()
        self._goOn()

    def connectionDraining(self) -> None:
        """Hang up once every message that was passed on is answered."""
        self._draining = True
        if self._streams and not self._unanswered:
            super().connectionDraining()
            return
        if not self._streams:
            self.flow.block("draining")
        self._goOn()


def _quotation(message: bytes) -> bytes:
    """Return a message, or the beginning and the end of a long one: there the names are."""
    if len(message) <= 2 * _QUOTED:
        return message
    return message[:_QUOTED] + b"..." + message[-_QUOTED:]
