"""How a dialogue ends before its end."""

from __future__ import annotations


class DialogueOver(Exception):
    """There is no more to converse about; leaving ``converse`` by it is an ordinary polite end."""


class PeerFinished(DialogueOver):
    """The peer has finished: what was awaited will never come."""


class PeerSilent(DialogueOver):
    """The peer said nothing, or not enough, in time."""


class Draining(DialogueOver):
    """The server wants to end, and no whole message is here."""
