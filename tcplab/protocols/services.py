"""The simple services of RFC 863 to 868: discard, chargen, qotd, daytime, time."""

from __future__ import annotations

import time

from twisted.internet.interfaces import IPullProducer
from zope.interface import implementer

from tcplab.protocols.conversation import Conversation
from tcplab.wire import texts


class Discard(Conversation):
    """
    Read everything and answer nothing, until the peer finishes (RFC 863).

    >>> peer = connected(Discard)
    >>> peer.write(b"hi")
    >>> peer.value()
    b''
    """


@implementer(IPullProducer)
class Chargen(Conversation):
    """
    Send characters without end, as fast as the peer reads them (RFC 864).

    Input is discarded. The stream ends when the peer finishes.

    >>> connected(Chargen).value()[:6]
    b' !"#$%'
    """

    _chunk = 64 * 1024  # bytes; waits for a peer that does not read; a larger one is no faster
    _position = 0

    def connectionMade(self) -> None:
        """Begin the stream."""
        self.transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        """Write the next characters: the kernel has taken all earlier ones."""
        if self.ending:  # transport.loseConnection() waits for its producer
            self.transport.unregisterProducer()
            return
        self.write(texts.chargen(self._position, self._chunk))
        self._position += self._chunk

    def stopProducing(self) -> None:
        """Do nothing: a pull producer writes only when asked."""

    def connectionDraining(self) -> None:
        """Close now: there is no better moment."""
        self.hangUp()


class QuoteOfTheDay(Conversation):
    """
    Send a quote and close (RFC 865); the quote is the greeting.

    >>> connected(ConversationFactory(QuoteOfTheDay, greeting=b"Less is more.")).value()
    b'Less is more.'
    """

    greeting = texts.QUOTE

    def connectionMade(self) -> None:
        """Close: the greeting was sent."""
        self.hangUp()


class Daytime(Conversation):
    """
    Send the date and the time as one line and close (RFC 867).

    >>> connected(Daytime).value().endswith(b"-UTC\\r\\n")
    True
    """

    now = staticmethod(time.time)  # not the reactor's clock, which may be monotonic

    def connectionMade(self) -> None:
        """Send it and close."""
        self.write(texts.daytime(self.now()))
        self.hangUp()


class Time(Conversation):
    """
    Send the seconds since 1900 as a 32 bit binary number and close (RFC 868).

    >>> len(connected(Time).value())
    4
    """

    now = staticmethod(time.time)

    def connectionMade(self) -> None:
        """Send it and close."""
        self.write(texts.time(self.now()))
        self.hangUp()
