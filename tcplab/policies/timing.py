"""The clock of a policy: one that it was given, or the global reactor."""

from __future__ import annotations

from typing import Any


class Timed:
    """What keeps time, but must not choose the reactor when it is made."""

    _clock: Any = None

    def _time(self) -> Any:
        if self._clock is None:
            from twisted.internet import reactor

            self._clock = reactor
        return self._clock
