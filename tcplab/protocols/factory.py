"""ConversationFactory: builds conversations of one class, with settings of its own."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from tcplab.protocols.conversation import Conversation
from tcplab.wire.framing import Framing
from tcplab.wire.texts import notBytes


def settingsOf(protocol: type[Conversation]) -> dict[str, Any]:
    """Return a conversation's settings and defaults: its public attributes that are not methods."""
    names = (
        name for name in dir(protocol) if name not in _NO_SETTINGS and not name.startswith("_")
    )
    values = {name: getattr(protocol, name) for name in names}
    return {
        name: value
        for name, value in values.items()
        if name == "framing" or not (callable(value) or isinstance(value, property))
    }


def _check(
    protocol: type[Conversation],
    framing: object,
    greeting: object,
    lingerTimeout: object,
    maxUnsent: object,
) -> None:
    name = protocol.__name__
    for method in dir(protocol):
        if getattr(getattr(protocol, method, None), "__isabstractmethod__", False):
            raise TypeError(f"{name} has no {method}(): write it, or name the class that has")
    if not isinstance(lingerTimeout, int | float) or lingerTimeout < 0:
        raise TypeError(f"{name}: lingerTimeout is {lingerTimeout!r}: give seconds, as in 2.0")
    if not isinstance(maxUnsent, int) or maxUnsent < 0:
        raise TypeError(f"{name}: maxUnsent is {maxUnsent!r}: give bytes, as in 65536")
    if not (isinstance(framing, type) and issubclass(framing, Framing)):
        raise TypeError(f"{name}: framing is {framing!r}: give the class itself, as in Lines")
    if not isinstance(greeting, bytes):
        raise notBytes(f"{name}.greeting", greeting)
    framing().frame(greeting)


_OURS = ("framing", "greeting", "lingerTimeout", "maxUnsent")

# Attributes of a connection, not of the class: Conversation's and those of Twisted's Protocol.
_NO_SETTINGS = frozenset(
    {
        "connected",
        "ending",
        "factory",
        "flow",
        "peerFinished",
        "raw",
        "started",
        "transport",
    }
)


class ConversationFactory(Factory):
    """
    Build conversations of one class, with some of its settings overridden.

    >>> factory = ConversationFactory(Shout, greeting=b"hi", framing=CRLF)
    >>> connected(factory).value()
    b'hi\\r\\n'

    :param protocol: the `Conversation` to build.
    :param settings: class attributes of it, by name.
    :raises TypeError: there is no such setting, or its value has the wrong type.
    :raises FramingError: the framing has no form for the greeting.
    """

    noisy = False

    def __init__(self, protocol: type[Conversation], **settings: object) -> None:
        if not (isinstance(protocol, type) and issubclass(protocol, Conversation)):
            raise TypeError(f"ConversationFactory takes a Conversation's class, not {protocol!r}")
        allowed = settingsOf(protocol)
        for name in settings:
            if name not in allowed:
                raise TypeError(
                    f"{protocol.__name__} has no setting {name!r}; it has {', '.join(allowed)}"
                )
        valid = {**allowed, **settings}
        _check(protocol, *(valid[name] for name in _OURS))  # now, not for each connection
        protocol.checkSettings(valid)
        self.protocol: type[Conversation] = protocol
        self.settings = settings

    def buildProtocol(self, addr: IAddress | None) -> Conversation:
        """Build one conversation."""
        conversation: Conversation = self.protocol()
        conversation.factory = self
        for name, value in self.settings.items():
            setattr(conversation, name, value)
        return conversation

    def checkListening(self, host: IAddress) -> None:
        """
        Refuse to be served on an address; called for each port, once it listens.

        :param host: the address of the port.
        :raises ValueError: it is refused; the text is one line.
        """
        self.protocol.checkListening({**settingsOf(self.protocol), **self.settings}, host)

    def logPrefix(self) -> str:
        """Return the name of the conversation's class, for the log."""
        return str(self.protocol.__name__)


def descriptorsOf(factory: object) -> int:
    """
    Return how many file descriptors a connection of this factory takes.

    **Limit:** what a class of your own opens besides is not known.
    """
    return factory.protocol._descriptors if isinstance(factory, ConversationFactory) else 1
