"""The factory of conversations."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from tcplab.protocols.conversation import Conversation


def settingsOf(protocol: type[Conversation]) -> dict[str, Any]:
    """Return a conversation's settings and defaults: its public attributes that are no methods."""
    names = (
        name for name in dir(protocol) if name not in _NO_SETTINGS and not name.startswith("_")
    )
    values = {name: getattr(protocol, name) for name in names}
    return {
        name: value
        for name, value in values.items()
        if name == "framing" or not (callable(value) or isinstance(value, property))
    }


# What the machinery keeps on the class, and what Twisted's Protocol does.
_NO_SETTINGS = frozenset(
    {"attention", "begun", "connected", "factory", "flow", "peerFinished", "transport"}
)


class ConversationFactory(Factory):
    """
    Build conversations of one class, with some of its settings overridden.

    >>> ConversationFactory(Shout, greeting=b"hi", framing=CRLF)

    :param protocol: the `Conversation` to build.
    :param settings: class attributes of it, by name.
    :raises TypeError: there is no such setting.
    :raises FramingError: the greeting cannot be said in this framing.
    """

    noisy = False

    def __init__(self, protocol: type[Conversation], **settings: Any) -> None:
        allowed = settingsOf(protocol)
        for name in settings:
            if name not in allowed:
                raise TypeError(
                    f"{protocol.__name__} has no setting {name!r}; it has {', '.join(allowed)}"
                )
        framing = settings.get("framing", protocol.framing)
        framing.frame(settings.get("greeting", protocol.greeting))  # now, not to every peer
        self.protocol: Any = protocol
        self.settings = settings

    def buildProtocol(self, addr: IAddress | None) -> Conversation:
        """Build one conversation."""
        conversation: Conversation = self.protocol()
        conversation.factory = self
        for name, value in self.settings.items():
            setattr(conversation, name, value)
        return conversation

    def logPrefix(self) -> str:
        """Log under the name of what is served."""
        return str(self.protocol.__name__)
