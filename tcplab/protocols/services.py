"""The classic simple services to the letter: discard, chargen, qotd, daytime, time."""

from __future__ import annotations

import time

from twisted.internet.interfaces import IPullProducer
from zope.interface import implementer

from tcplab.protocols.conversation import Conversation
from tcplab.wire import texts


class Discard(Conversation):
    """Read everything and answer nothing, until the peer finishes (RFC 863)."""


@implementer(IPullProducer)
class Chargen(Conversation):
    """
    Send characters without end, as fast as the peer reads them (RFC 864).

    What the peer says is thrown away; when it finishes, so does the stream.
    """

    _chunk = 64 * 1024  # waits for a peer that does not read; a larger one is no faster
    _position = 0

    def connectionMade(self) -> None:
        """Begin the stream."""
        self.transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        """Write the next characters: all that were written before have gone to the kernel."""
        if self.ending:  # by transport.loseConnection(), which waits for its producer
            self.transport.unregisterProducer()
            return
        self.write(texts.chargen(self._position, self._chunk))
        self._position += self._chunk

    def stopProducing(self) -> None:
        """Nothing to put away: a pull producer that is not asked does nothing."""

    def connectionDraining(self) -> None:
        """End now: there is never a better moment."""
        self.hangUp()


class QuoteOfTheDay(Conversation):
    """Send a quote and hang up (RFC 865); the quote is the greeting."""

    greeting = texts.QUOTE

    def connectionMade(self) -> None:
        """Hang up: all is said."""
        self.hangUp()


class Daytime(Conversation):
    """Send the date and the time as one line and hang up (RFC 867)."""

    now = staticmethod(time.time)  # not the reactor's clock, which need not be the wall's

    def connectionMade(self) -> None:
        """Send it and hang up."""
        self.write(texts.daytime(self.now()))
        self.hangUp()


class Time(Conversation):
    """Send the seconds since 1900 as a 32 bit binary number and hang up (RFC 868)."""

    now = staticmethod(time.time)

    def connectionMade(self) -> None:
        """Send it and hang up."""
        self.write(texts.time(self.now()))
        self.hangUp()
