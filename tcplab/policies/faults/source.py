"""The source of what goes out: the producer that a protocol registers, paused while much waits."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer


@implementer(IPushProducer)
class Source:
    """
    Stand between a protocol's producer and the transport.

    The producer is paused while the transport says so, or while too much is held by faults.

    :param transport: the transport, covered.
    :param beneath: its own methods.
    :param clock: a producer that has to be asked for each piece is asked once a turn of it.
    :ivar producer: the protocol's, if it has registered one.
    """

    def __init__(self, transport: Any, beneath: Any, clock: Any) -> None:
        self.producer: Any = None
        self._transport = transport
        self._beneath = beneath
        self._clock = clock
        self._streaming = True
        self._full = self._congested = self._paused = self._detached = False
        self._pull: Any = None

    # A live connection may have a producer already

    def takeOver(self) -> None:
        """Take the place of the producer that the transport has now."""
        owner, name = _place(self._transport)
        producer = getattr(owner, name, None)
        if producer is None:
            return
        if not getattr(owner, "streamingProducer", True):
            self._beneath.unregisterProducer()
            self.register(producer, False)
            return
        setattr(owner, name, self)
        self.producer = producer
        self._congested = self._paused = _isPaused(owner)

    def giveBack(self) -> None:
        """Leave the transport to the producer."""
        producer, self.producer = self.producer, None
        self._stopPulling()
        if producer is None:
            return
        if not self._streaming:
            self._beneath.unregisterProducer()
            self._beneath.registerProducer(producer, False)
            return
        self._replaceBy(producer)
        if self._paused and not self._congested:
            producer.resumeProducing()

    def _replaceBy(self, producer: Any) -> None:
        owner, name = _place(self._transport)
        if getattr(owner, name, None) is self:
            setattr(owner, name, producer)

    # What the protocol says

    def register(self, producer: Any, streaming: bool) -> None:
        """
        Let a producer control the flow.

        :raises RuntimeError: there is one already.
        """
        if self.producer is not None:
            raise RuntimeError(f"{self.producer} is registered already; unregister it first")
        self._beneath.registerProducer(self, True)
        self.producer, self._streaming = producer, streaming
        self._paused = self._congested = False
        self._update()

    def unregister(self) -> None:
        """Forget the producer."""
        if self.producer is not None and self._streaming:
            self._replaceBy(self.producer)  # a transport may have to stop what it wrapped it in
        self.producer = None
        self._stopPulling()
        self._beneath.unregisterProducer()

    def detach(self) -> None:
        """Stand between the two no more; the producer is told of the connection's loss only."""
        if self.producer is not None:
            if self._streaming:
                self._replaceBy(self.producer)
            self._stopPulling()
            self._beneath.unregisterProducer()
            self._detached = True

    # When to pause

    def hold(self, full: bool) -> None:
        """Pause the producer while too much waits."""
        if full != self._full:
            self._full = full
            self._update()

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self._congested = True
        self._update()

    def resumeProducing(self) -> None:
        """It is empty."""
        self._congested = False
        self._update()

    def stopProducing(self) -> None:
        """The connection is lost."""
        producer, self.producer = self.producer, None
        self._stopPulling()
        if producer is not None:
            producer.stopProducing()

    def _update(self) -> None:
        pause = self._full or self._congested
        if self.producer is None or self._detached:
            return
        if not self._streaming:
            if not pause and self._pull is None:
                self._pull = self._clock.callLater(0, self._ask)
        elif pause != self._paused:
            self._paused = pause
            if pause:
                self.producer.pauseProducing()
            else:
                self.producer.resumeProducing()

    def _ask(self) -> None:
        self._pull = None
        if self.producer is not None and not (self._full or self._congested):
            self._pull = self._clock.callLater(0, self._ask)
            self.producer.resumeProducing()

    def _stopPulling(self) -> None:
        pull, self._pull = self._pull, None
        if pull is not None:
            pull.cancel()


def _place(transport: Any) -> tuple[Any, str]:
    """Return what holds the producer of a transport, and under which name."""
    if isinstance(transport, TLSMemoryBIOProtocol):
        return transport._producer, "_producer"  # a membrane around it
    return transport, "producer"


def _isPaused(owner: Any) -> bool:
    return bool(getattr(owner, "producerPaused", False) or getattr(owner, "_producerPaused", False))
