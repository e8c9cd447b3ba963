"""
A TCP server and client for learning, testing and breaking things.

Layout, from the ground up; a package imports only from those above it:

- ``wire``: bytes to values and back, and the words for them
- ``reactor``: how bytes move: the eager epoll reactor, its transports, TLS with half-close
- ``listener``: accepted connections, how and why they ended; ``protocols``: the behaviours
- ``observers``: what is reported about connections, and the log
- ``policies`` and ``faults``: how connections are treated, and broken on purpose
- ``config``: what was typed, as one frozen value
- ``server``: the lab as a Twisted service; ``workers``: several processes on the same ports
- ``client``: ``tcplab connect``; ``testing``: what users need to test their own protocols

Public is what ``tcplab``, ``tcplab.protocols``, ``tcplab.testing``, ``tcplab.observers``,
``tcplab.policies`` and ``tcplab.faults`` list in ``__all__``. Its names load when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcplab.exports import lazily

if TYPE_CHECKING:
    from tcplab.config.errors import SettingsError
    from tcplab.config.options import ListenerSettings
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
        "ListenerSettings": "tcplab.config.options",
        "SettingsError": "tcplab.config.errors",
    },
)


def __dir__() -> list[str]:
    return __all__
