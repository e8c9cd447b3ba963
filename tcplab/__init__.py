"""
A TCP server and client for learning, testing and breaking things.

Most programs need only what this package exports:

- `Lab`: a server, for a test, a script or a Twisted service. `ListenerSettings` is one of its
  listeners. `SettingsError` is what a wrong setting raises.
- `Conversation` and `Dialogue`: protocols to subclass; `ConversationFactory` makes them.
- `Stream`, `Lines`, `CRLF`, `Netstrings` and `Int32`: framings; `Framing` is their base, and
  `FramingError` what malformed bytes raise.
- `DialogueOver`, `PeerFinished`, `PeerSilent` and `Draining`: how a dialogue ends early.
- `Observer`: what is reported of a `Connection`, with its `Ending`.
- `FaultError`: what a wrong fault raises.

The packages `tcplab.protocols`, `tcplab.testing`, `tcplab.observers`, `tcplab.policies` and
`tcplab.faults` export more. What these six list in ``__all__`` is public. All else may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcplab.exports import lazily

if TYPE_CHECKING:
    from tcplab.config.errors import SettingsError
    from tcplab.config.listenersettings import ListenerSettings
    from tcplab.faults.spec import FaultError
    from tcplab.listener.events import Connection, Ending, Observer
    from tcplab.protocols.conversation import Conversation
    from tcplab.protocols.dialogue import (
        Dialogue,
        DialogueOver,
        Draining,
        PeerFinished,
        PeerSilent,
    )
    from tcplab.protocols.factory import ConversationFactory
    from tcplab.server.lab import Lab
    from tcplab.wire.framing import CRLF, Framing, FramingError, Int32, Lines, Netstrings, Stream

__all__ = [
    "CRLF",
    "Connection",
    "Conversation",
    "ConversationFactory",
    "Dialogue",
    "DialogueOver",
    "Draining",
    "Ending",
    "FaultError",
    "Framing",
    "FramingError",
    "Int32",
    "Lab",
    "Lines",
    "ListenerSettings",
    "Netstrings",
    "Observer",
    "PeerFinished",
    "PeerSilent",
    "SettingsError",
    "Stream",
]

__version__ = "0.1.0"

__getattr__ = lazily(
    __name__,
    {
        **dict.fromkeys(
            ("CRLF", "Framing", "FramingError", "Lines", "Stream"), "tcplab.wire.framing"
        ),
        **dict.fromkeys(("Int32", "Netstrings"), "tcplab.wire.framing"),
        **dict.fromkeys(("Connection", "Ending", "Observer"), "tcplab.listener.events"),
        **dict.fromkeys(
            ("Dialogue", "DialogueOver", "Draining", "PeerFinished", "PeerSilent"),
            "tcplab.protocols.dialogue",
        ),
        "Conversation": "tcplab.protocols.conversation",
        "ConversationFactory": "tcplab.protocols.factory",
        "FaultError": "tcplab.faults.spec",
        "Lab": "tcplab.server.lab",
        "ListenerSettings": "tcplab.config.listenersettings",
        "SettingsError": "tcplab.config.errors",
    },
)


def __dir__() -> list[str]:
    return __all__
