"""Relay: add a name to each message, pass it to the next node, and return the answer."""

from __future__ import annotations

from collections import deque

from twisted.python.failure import Failure

from tcplab.protocols.conversation import SettingValues
from tcplab.protocols.upstream import Downstream, Upstream
from tcplab.reactor.connecterrors import connectFailure
from tcplab.wire.framing import FramingError, Lines, Stream
from tcplab.wire.reasons import Reason

# Messages without an answer at which reading stops: enough to keep every node of a chain busy.
_MAX_UNANSWERED = 100

# Bytes of messages that wait for the connection to the next node at which reading stops.
_MAX_UNSENT = 65536

# The part of the timeout in which a connection is made. So the node before a machine that is
# switched off answers before any other node of the chain gives up.
_CONNECT_SHARE = 0.9

# Bytes at the beginning and at the end of a message that an error quotes.
_QUOTED = 500


class Relay(Downstream):
    """
    Pass each message to the next node with this node's name added, and return the answer.

    The last node has no ``next``. It adds its name too, and answers ``ack MESSAGE``. Each message
    is answered once, in order, over one connection to the next node::

        hi                     from the client to ann
        hi | ann               from ann to bob
        ack hi | ann | bob     bob's answer, which ann returns to the client

    If the chain is broken, the answer is an error that names the link::

        error hi | ann | bob: tcp:10.0.0.7:50544 refused

    The next message tries again. Messages and answers are reported. The text of a message is not
    interpreted: a vertical bar in it changes nothing.

    A client that reads before it writes needs a ``greeting`` of the first node. All nodes may have
    the same one: the greeting of the next node is not passed on, unless the framing is `Stream`.

    With `Stream` a message is the bytes of one read. Then the bytes of one read of the next node
    answer all messages so far, and its end closes the client's connection too.

    :cvar name: this node's; it is added to each message.
    :cvar next: the next node, as the string of a client endpoint; empty for the last.
    :cvar timeout: seconds for each answer of the next node; nine tenths of it for the connection.
        **Limit:** all nodes of a chain wait for a node that accepts and then is silent. The one
        with the shortest timeout answers first. It names the right link only if each node waits
        longer than the next.
    """

    framing = Lines
    name: str = ""
    next: str = ""
    timeout: float = 5.0

    _target = "next"
    _draining = False
    _mayGreet = False  # the next node, with the same greeting as this one

    @classmethod
    def checkSettings(cls, settings: SettingValues) -> None:
        """
        Refuse a node without a name, and settings that make no sense.

        :raises TypeError: they are refused; the text is one line.
        """
        super().checkSettings(settings)
        if not settings["name"] or not settings["name"].isprintable():
            raise TypeError("what is this node called? add name=NAME, as in name=bob")
        if not settings["timeout"] > 0:
            raise TypeError("timeout: give a number of seconds above 0")

    def _begin(self) -> None:
        self._unsent: list[bytes] = []
        # Messages that wait for their answers, each with the error that is its answer, if any.
        self._unanswered: deque[tuple[bytes, str]] = deque()
        super()._begin()

    def _start(self) -> None:
        if self.next and not self._connecting and self._other is None:
            self._connect(self.timeout * _CONNECT_SHARE)

    @property
    def _streams(self) -> bool:
        return isinstance(self.framing, Stream)

    # A message

    def messageReceived(self, message: bytes) -> None:
        """Pass the message on with the name; the last node answers."""
        self.report(message)
        named = b"%s | %s" % (message, self.name.encode())
        answer = named if self.next else b"ack " + named
        try:
            self.framing.frame(answer)
        except FramingError as problem:  # too long, with the name
            self._unanswered.append((named, str(problem)))
            self._answerWithErrors()
            return
        if self.next:
            self._passOn(named)
        else:
            self.send(answer)

    def _passOn(self, message: bytes) -> None:
        self._unanswered.append((_quoted(message), ""))
        if len(self._unanswered) >= _MAX_UNANSWERED:
            self.flow.pause("answers")
        if "answer" not in self._timers:
            self._awaitAnswer()
        if self._other is not None:
            self._other.send(message)
            return
        self._unsent.append(message)
        if sum(map(len, self._unsent)) > _MAX_UNSENT:
            self.flow.pause("connecting")
        if "start" not in self._timers:
            self._start()

    def _upstreamConnected(self, upstream: Upstream) -> None:
        self._mayGreet = bool(self.greeting) and not self._streams
        unsent, self._unsent = self._unsent, []
        for message in unsent:
            upstream.send(message)
        self.flow.resume("connecting")
        if self._inputEnded and self._other is not None:
            self._other._forwardFin()

    def _awaitAnswer(self) -> None:
        self._schedule("answer", self.timeout, self._failPending, "timed out")

    # An answer

    def _upstreamReceived(self, message: bytes) -> None:
        mayGreet, self._mayGreet = self._mayGreet, False
        if mayGreet and message == self.greeting and not (self._other and self._other.peerFinished):
            return  # no answer: any node of the chain may be its head
        self.report(message)
        if self._streams:
            self._unanswered.clear()
        elif self._unanswered:
            self._unanswered.popleft()
        self.send(message)
        self._answerWithErrors()
        if self._unanswered or (self._streams and self._inputEnded):
            self._awaitAnswer()
        else:
            self._cancel("answer")
        self._continue()

    def _answerWithErrors(self) -> None:
        while self._unanswered and self._unanswered[0][1]:
            message, problem = self._unanswered.popleft()
            self.send(b"error %s: %s" % (_quoted(message), problem.encode()))

    def _continue(self) -> None:
        """Read more messages, or close if this is the end."""
        if len(self._unanswered) < _MAX_UNANSWERED:
            self.flow.resume("answers")
        if self._unanswered or self.ending:
            return
        over = self._inputEnded and (self._other is None or not self._streams)
        if over or self._draining:
            if self._other is not None:
                self._other.hangUp()
            self.hangUp()

    # The next node failed

    def _failPending(self, why: str) -> None:
        """Answer all waiting messages by an error; the next one makes a new connection."""
        self._cancelConnect()
        self._cancel("answer")
        upstream = self._other
        self._unpair()
        if upstream is not None:
            upstream._unpair()
            upstream.abort()
        waiting, self._unanswered = self._unanswered, deque()
        self._unsent.clear()
        problem = f"{self.next} {why}"
        self._unanswered.extend((quoted, own or problem) for quoted, own in waiting)
        self._answerWithErrors()
        if self._streams and upstream is not None:
            self.hangUp()
        self.flow.resume("congested")
        self.flow.resume("connecting")
        self._continue()

    def _connectFailed(self, why: str) -> None:
        self._failPending(why)

    def _loopDetected(self) -> None:
        self._failPending("leads back to here")

    def _upstreamClosed(self) -> None:
        upstream = self._other
        self._unpair()
        if upstream is not None:
            upstream._unpair()
            upstream.hangUp()
        self._upstreamEnded("closed")

    def _otherSideLost(self, reason: Failure, why: Reason | None) -> None:
        self._upstreamEnded(connectFailure(reason.value).phrase)

    def _upstreamEnded(self, why: str) -> None:
        self._failPending(why)
        if self._streams:
            self.hangUp()

    # The end

    def readConnectionLost(self) -> None:
        """Pass the client's end on; close once every message is answered."""
        if self._other is not None:
            self._other._forwardFin()
            if self._streams and "answer" not in self._timers:
                self._awaitAnswer()
        self._continue()

    def connectionDraining(self) -> None:
        """Close once every message that was passed on is answered."""
        self._draining = True
        if self._streams and not self._unanswered:
            super().connectionDraining()
            return
        if not self._streams:
            self.flow.pause("draining")
        self._continue()


def _quoted(message: bytes) -> bytes:
    """Return a message; of a long one the beginning, and the end, where the names are."""
    if len(message) <= 2 * _QUOTED:
        return message
    return message[:_QUOTED] + b"..." + message[-_QUOTED:]
