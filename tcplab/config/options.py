"""Amounts that are typed, seconds and counts, and the line for one that makes no sense."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from tcplab.config.errors import suggest

#: What is typed to have no limit. 0 is no such word: for some programs it means "off", for others
#: "at once", and here it is refused where it could be mistaken.
NONE = "none"


@dataclass(frozen=True, slots=True)
class Option:
    """
    One setting that is an amount.

    :ivar name: of the setting; `option` is what is typed.
    :ivar whole: it is a count; if not, seconds.
    :ivar mayBeZero: 0 makes sense.
    :ivar mayBeNone: there may be no limit: the word `NONE` says so.
    """

    name: str
    whole: bool = False
    mayBeZero: bool = False
    mayBeNone: bool = False

    @property
    def option(self) -> str:
        """The words of the command line: ``--idle-timeout`` for ``idleTimeout``."""
        return "--" + re.sub("[A-Z]", lambda found: f"-{found[0].lower()}", self.name)

    def read(self, word: str) -> float | None:
        """
        Make a value of what was typed.

        :raises ValueError: it is none; the error's text is one line that says what to type.
        """
        if self.mayBeNone and word == NONE:
            return None
        try:
            value = int(word) if self.whole else float(word)
        except ValueError:
            value = math.nan
        if not (word.isascii() and self._makesSense(value)):
            raise ValueError(f"{self.option} {word}: {self._advice(word)}")
        return value

    def check(self, value: float | None) -> None:
        """
        See that a value makes sense; ``None`` does.

        :raises ValueError: it does not; the error's text is one line.
        """
        if value is not None and not self._makesSense(value):
            raise ValueError(f"{self.option} {value}: {self._advice('')}")

    def _makesSense(self, value: float) -> bool:
        if self.whole and isinstance(value, float | bool):
            return False
        return (value >= 0 if self.mayBeZero else value > 0) and value < math.inf

    def _advice(self, word: str) -> str:
        kind, such = (
            ("a whole number", "100") if self.whole else ("a number of seconds", "2 or 0.5")
        )
        least = "from 0 up" if self.mayBeZero else "above 0"
        without = f", or {NONE} for no limit" if self.mayBeNone else ""
        near = suggest(word, [NONE]) if without and word else ""
        return f"give {kind} {least}, as in {such}{without}{near}"


#: All of them, by the names of the settings.
AMOUNTS = {
    amount.name: amount
    for amount in (
        Option("maxConnections", whole=True),
        Option("maxPerPeer", whole=True, mayBeNone=True),
        Option("idleTimeout", mayBeNone=True),
        Option("handshakeTimeout", mayBeNone=True),
        Option("writeTimeout", mayBeNone=True),
        Option("lingerTimeout"),
        Option("drainDelay", mayBeZero=True),
        Option("drainTimeout", mayBeNone=True),
        Option("workers", whole=True),
    )
}
