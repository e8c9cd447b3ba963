"""Transports that ask a conversation before they end, or let somebody else control the flow."""

from __future__ import annotations

from typing import Any, Protocol

from tcplab.reactor.corked import Corked


class Manners(Protocol):
    """Who is asked in the place of a transport."""

    def loseConnection(self) -> None: ...

    def loseWriteConnection(self) -> None: ...

    def registerProducer(self, producer: Any, streaming: bool) -> None: ...

    def unregisterProducer(self) -> None: ...


_ASKED = ("loseConnection", "loseWriteConnection", "registerProducer", "unregisterProducer")


class Mannered:
    """
    A transport whose ends and producers are somebody's to decide.

    To be mixed in before all others. What a subclass of `Conversation` habitually does with its
    transport is then as polite as what it does through its own methods.

    :ivar manners: who is asked, if anybody.
    :ivar filter: what stands between it and its protocol, if anything, and is asked next.
    """

    manners: Manners | None = None
    filter: Any = None

    def loseConnection(self) -> None:
        """End, when all that was written has been sent."""
        asked = self.manners or self.filter
        if asked is None:
            super().loseConnection()  # type: ignore[misc]
        else:
            asked.loseConnection()

    def loseWriteConnection(self) -> None:
        """Finish speaking, when all that was written has been sent; go on listening."""
        asked = self.manners or self.filter
        if asked is None:
            super().loseWriteConnection()  # type: ignore[misc]
        else:
            asked.loseWriteConnection()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Let a producer control the flow of what is written."""
        asked = self.manners or self.filter
        if asked is None:
            super().registerProducer(producer, streaming)  # type: ignore[misc]
        else:
            asked.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Forget the producer."""
        asked = self.manners or self.filter
        if asked is None:
            super().unregisterProducer()  # type: ignore[misc]
        else:
            asked.unregisterProducer()


# The two that every conversation does: by hand where nothing stands in the way.


def control(transport: Any, producer: Any) -> None:
    """Register a push producer without asking for manners."""
    if _vacant(transport) and not (transport.producer or transport.disconnected):
        transport.producer, transport.streamingProducer = producer, True
    else:
        plainly(transport).registerProducer(producer, True)


def release(transport: Any) -> None:
    """Unregister the producer without asking for manners."""
    if _vacant(transport) and not transport.disconnecting:
        transport.producer = None
    else:
        plainly(transport).unregisterProducer()


def _vacant(transport: Any) -> bool:
    ours = isinstance(transport, Mannered) and isinstance(transport, Corked)
    return ours and not (transport.filter or transport.TLS)


def teach(transport: Any, manners: Manners) -> Manners | None:
    """
    Have somebody asked in a transport's place, on one of another kind by covering its methods.

    :return: who was asked before.
    """
    earlier: Manners | None
    if isinstance(transport, Mannered):
        earlier, transport.manners = transport.manners, manners
        return earlier
    earlier = getattr(vars(transport).get("loseConnection"), "__self__", None)
    for name in _ASKED:
        if hasattr(transport, name):
            setattr(transport, name, getattr(manners, name))
    return earlier


def unteach(transport: Any, manners: Manners) -> None:
    """Have somebody asked no more, unless another is asked by now."""
    if isinstance(transport, Mannered):
        if transport.manners is manners:
            transport.manners = None
        return
    for name in _ASKED:
        if getattr(vars(transport).get(name), "__self__", None) is manners:
            delattr(transport, name)
            if (beneath := filterOf(transport)) is not None:
                setattr(transport, name, getattr(beneath, name))


class Uncovered:
    """A transport's methods without those that cover them."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        # A wrapper may have it of what it wraps only: look while it is uncovered.
        own = vars(self._transport)
        cover = own.pop(name, None)
        try:
            return getattr(self._transport, name)
        finally:
            if cover is not None:
                own[name] = cover


def filterOf(transport: Any) -> Any:
    """Return what stands between a transport and its protocol, or ``None``."""
    if isinstance(transport, Mannered):
        return transport.filter
    # Not as an attribute: a wrapper would give that of what it wraps. (And not so above: to look
    # at the dictionary of an instance makes it one, and every look-up slower.)
    return getattr(transport, "__dict__", {}).get("filter")


def plainly(transport: Any) -> Any:
    """Return what does the four things on a transport without asking for manners."""
    return filterOf(transport) or unfiltered(transport)


def unfiltered(transport: Any) -> Any:
    """Return what does them without asking anybody."""
    if isinstance(transport, Mannered):
        return super(Mannered, transport)
    return Uncovered(transport)
