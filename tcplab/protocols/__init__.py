"""
Behaviours: subclass `Conversation`, or `Dialogue` to write one as a coroutine.

>>> class Shout(Conversation):
...     framing = Lines
...     def messageReceived(self, message):
...         self.send(message.upper())

`tcplab.testing` tries them in memory, and ``tcplab serve --behaviour shout.Shout`` serves them.
"""

from tcplab.protocols.conversation import Conversation
from tcplab.protocols.dialogue import Dialogue, DialogueOver, Draining, PeerFinished, PeerSilent
from tcplab.protocols.echo import Echo, LabConversation
from tcplab.protocols.factory import ConversationFactory
from tcplab.protocols.forward import Forward
from tcplab.protocols.greeting import Ack, Greeting
from tcplab.protocols.relay import Relay
from tcplab.protocols.services import Chargen, Daytime, Discard, QuoteOfTheDay, Time
from tcplab.protocols.whoami import WhoAmI
from tcplab.wire.framing import (
    CRLF,
    Delimited,
    FixedLength,
    Framing,
    FramingError,
    Int32,
    Lines,
    Netstrings,
    Stream,
)

__all__ = [
    "CRLF",
    "Ack",
    "Chargen",
    "Conversation",
    "ConversationFactory",
    "Daytime",
    "Delimited",
    "Dialogue",
    "DialogueOver",
    "Discard",
    "Draining",
    "Echo",
    "FixedLength",
    "Forward",
    "Framing",
    "FramingError",
    "Greeting",
    "Int32",
    "LabConversation",
    "Lines",
    "Netstrings",
    "PeerFinished",
    "PeerSilent",
    "QuoteOfTheDay",
    "Relay",
    "Stream",
    "Time",
    "WhoAmI",
]
