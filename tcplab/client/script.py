"""
What is said and what is awaited, in the order given: the state of ``--send`` and ``--expect``.

Matching is that of expect(1): an expectation looks at everything that came after the previous
match, whether it came before or after the last thing sent, and takes it up to the end of its own
match. The outcome depends on the bytes alone, not on the pieces they came in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from tcplab.client.protocol import ClientProtocol
from tcplab.client.result import Outcome, Result
from tcplab.wire.escaping import escape

if TYPE_CHECKING:
    from tcplab.client.console import Console


SHOWN = 200
"""How much of what came instead is kept to be shown: about two lines of a terminal."""


@dataclass(frozen=True)
class Send:
    """Say ``data``, as it is."""

    data: bytes


@dataclass(frozen=True)
class ExpectText:
    """Wait until ``text`` comes, with anything before it."""

    text: bytes

    @property
    def window(self) -> int:
        """How many of the bytes in vain may still belong to a match."""
        return len(self.text) - 1

    def end(self, data: bytearray, first: int) -> int | None:
        """Return where the earliest match in ``data`` from ``first`` on ends."""
        found = data.find(self.text, first)
        return None if found < 0 else found + len(self.text)

    def beginsWith(self, data: bytes) -> bool:
        """Tell whether ``data`` is nothing or a mere beginning of the text."""
        return self.text.startswith(data)

    def __str__(self) -> str:
        return f"'{escape(self.text)}'"


@dataclass(frozen=True)
class ExpectPattern:
    """
    Wait until something comes that matches a regular expression.

    The match that ends first is taken: ``a+`` takes one ``a``. ``^`` is the place after the
    previous match; ``$`` and ``\\Z`` are the end of what has come so far, so the network decides
    when they hold. An expression has no beginnings: what came and doesn't match is something else.
    """

    pattern: re.Pattern[bytes]

    # Long enough for any banner or header that one would write an expression for.
    window = 65536

    def end(self, data: bytearray, first: int) -> int | None:
        """Return where the earliest match in ``data`` from ``first`` on ends."""
        found = self.pattern.search(data, first)
        if found is None:
            return None
        tooShort, enough = first - 1, found.end()
        while enough - tooShort > 1:
            middle = (tooShort + enough) // 2
            if self.pattern.search(data, first, middle):
                enough = middle
            else:
                tooShort = middle
        return enough

    def beginsWith(self, data: bytes) -> bool:
        """Tell whether ``data`` is nothing."""
        return not data

    def __str__(self) -> str:
        return f"a match of '{escape(self.pattern.pattern)}'"


Expectation = ExpectText | ExpectPattern
Step = Send | Expectation


class Script:
    """
    Steps performed one after another as the server's bytes come in.

    Nothing is sent here: what is to be sent is returned.

    :ivar position: how many steps are done.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = tuple(steps)
        self.position = 0
        self._unmatched = bytearray()
        self._forgotten = 0
        self._shown = b""

    @property
    def expecting(self) -> Expectation | None:
        """What is awaited now; ``None`` when all steps are done."""
        step = self._steps[self.position] if self.position < len(self._steps) else None
        return None if isinstance(step, Send) else step

    @property
    def endsWithExpectation(self) -> bool:
        """Tell whether a match ends the conversation, not the server."""
        return bool(self._steps) and not isinstance(self._steps[-1], Send)

    @property
    def onlyBeginning(self) -> bool:
        """Tell whether nothing came since the last match, or a beginning of what is awaited."""
        if self.expecting is None:
            return True
        return not self._forgotten and self.expecting.beginsWith(bytes(self._unmatched))

    @property
    def unmatched(self) -> str:
        """What came since the last match, escaped, or the first of it."""
        return escape(self._shown, SHOWN)

    def start(self) -> bytes:
        """Return what is to be sent before the first thing is awaited."""
        return self._advance()

    def feed(self, data: bytes) -> bytes:
        """Take what came, and return what is to be sent because of it."""
        searched = len(self._unmatched)
        self._unmatched += data
        self._shown += data[: SHOWN + 1 - len(self._shown)]
        return self._advance(searched)

    def _advance(self, searched: int = 0) -> bytes:
        """Do all the steps that can be done now."""
        sent = []
        while self.position < len(self._steps):
            step = self._steps[self.position]
            if isinstance(step, Send):
                sent.append(step.data)
            elif self._matched(step, searched):
                searched = 0
            else:
                self._forget(step.window)
                break
            self.position += 1
        return b"".join(sent)

    def _matched(self, step: Expectation, searched: int) -> bool:
        """Take what came up to the end of the match, if there is one."""
        # After something was forgotten its last byte is kept: this is not where ``^`` matches.
        first = 1 if self._forgotten else 0
        end = step.end(self._unmatched, max(first, searched - step.window))
        if end is None:
            return False
        del self._unmatched[:end]
        self._forgotten = 0
        self._shown = bytes(self._unmatched[: SHOWN + 1])
        return True

    def _forget(self, window: int) -> None:
        """Drop what no later match can need: memory stays bounded."""
        surplus = len(self._unmatched) - window - 1
        if surplus > 0:
            del self._unmatched[:surplus]
            self._forgotten += surplus


_BEFORE_THE_END = "came before the server finished"


class ScriptClient(ClientProtocol):
    """
    Perform a script; what the server says is printed as it comes.

    :param console: where to print; ``None``: nowhere.
    :param timeout: seconds for each expectation.
    """

    def __init__(
        self, clock: Any, script: Script, timeout: float, console: Console | None = None
    ) -> None:
        super().__init__(clock)
        self._script = script
        self._timeout = timeout
        self._console = console
        self._patience: Any = None
        self._awaited = -1

    def callBegun(self) -> None:
        """Begin with what there is to say first."""
        if self._console is not None:
            self._console.open(self, reading=False)
        self._perform(self._script.start())

    def received(self, data: bytes) -> None:
        """Print, and go on as far as the script can."""
        if self._console is not None:
            self._console.show(data)
        if self._script.expecting is not None:
            self._perform(self._script.feed(data))

    def _perform(self, data: bytes) -> None:
        if data:
            self.say(data)
        if self._script.expecting is not None:
            self._wait()
        elif self._script.endsWithExpectation:
            self._stopWaiting()
            self.hangUp(self.fine())
        else:
            self._stopWaiting()
            self.halfClose()

    def _wait(self) -> None:
        """Give every expectation its own time."""
        if self._script.position != self._awaited:
            self._awaited = self._script.position
            self._stopWaiting()
            self._patience = self.clock.callLater(self._timeout, self._timedOut)

    def _stopWaiting(self) -> None:
        if self._patience is not None and self._patience.active():
            self._patience.cancel()

    def _timedOut(self) -> None:
        self._giveUp(Outcome.SILENT, f"came in {self._timeout:g} s")

    def serverFinished(self) -> None:
        """Judge what was awaited in vain, or end well."""
        if self._script.expecting is not None:
            self._giveUp(Outcome.EOF, _BEFORE_THE_END)
        else:
            self.leave()

    def callLost(self, reason: Failure) -> None:
        """As above, where a transport tells its end and the server's as one; or a reset."""
        self._stopWaiting()
        clean = reason.check(ConnectionDone) or getattr(self.transport, "truncated", False)
        if clean and self._script.expecting is not None:
            self.finish(self._judged(Outcome.EOF, _BEFORE_THE_END))
        else:
            self.finish(self.endingOf(reason))

    def _giveUp(self, outcome: Outcome, until: str) -> None:
        self._stopWaiting()
        self.hangUp(self._judged(outcome, until))

    def _judged(self, outcome: Outcome, until: str) -> Result:
        """
        Judge a wait that has ended in vain.

        Anything that isn't a beginning of what was awaited is ``UNEXPECTED``, however it ended.

        :param until: completes "what came …".
        """
        script = self._script
        came = f"'{script.unmatched}'" if script.unmatched else "nothing"
        if not script.onlyBeginning:
            outcome = Outcome.UNEXPECTED
        elif script.unmatched:
            came = f"only {came}"
        return Result(outcome, f"expected {script.expecting}, but {came} {until}")
