"""
The script of ``--send`` and ``--expect``: the steps of a session, in the order given.

Matching is that of expect(1). An expectation searches all bytes received since the previous match,
before and after the last send, and consumes them up to the end of its own match. The outcome
depends on the bytes alone, not on how they were divided into segments.
"""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from tcplab.client.protocol import ClientProtocol, UserInterface
from tcplab.client.result import Outcome, Result
from tcplab.wire.escaping import escape

SHOWN = 200
"""The bytes of an unexpected answer that are shown: about two lines of a terminal."""


@dataclass(frozen=True)
class Send:
    """Send ``data``."""

    data: bytes


@dataclass(frozen=True)
class ExpectText:
    """Wait for ``text``, with any bytes before it."""

    text: bytes

    @property
    def window(self) -> int:
        """How many of the unmatched bytes may still become part of a match."""
        return len(self.text) - 1

    def end(self, data: bytearray, first: int) -> int | None:
        """Return where the earliest match in ``data`` from ``first`` on ends."""
        found = data.find(self.text, first)
        return None if found < 0 else found + len(self.text)

    def hasPrefix(self, data: bytes) -> bool:
        """Tell whether ``data`` is empty or a prefix of the text."""
        return self.text.startswith(data)

    def __str__(self) -> str:
        return f"'{escape(self.text)}'"


@dataclass(frozen=True)
class ExpectPattern:
    """
    Wait for a match of a regular expression.

    The match that ends first is consumed: ``a+`` consumes one ``a``. ``^`` is the place after the
    previous match. ``$`` and ``\\Z`` match the end of the bytes received so far, which depends
    on the network. An expression has no prefixes: any unmatched bytes are unexpected.
    """

    pattern: re.Pattern[bytes]

    # Longer than the banners and headers for which expressions are written.
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

    def hasPrefix(self, data: bytes) -> bool:
        """Tell whether ``data`` is empty."""
        return not data

    def __str__(self) -> str:
        return f"a match of '{escape(self.pattern.pattern)}'"


Expectation = ExpectText | ExpectPattern
Step = Send | Expectation


class Script:
    """
    Steps that are performed one after another, as the server's bytes arrive.

    It does no I/O: its methods return the bytes to send.

    :ivar position: how many steps are done.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = tuple(steps)
        self.position = 0
        self._unmatched = bytearray()
        self._discarded = 0
        self._shown = b""

    @property
    def expecting(self) -> Expectation | None:
        """The expectation that is awaited now; ``None``: all steps are done."""
        step = self._steps[self.position] if self.position < len(self._steps) else None
        return None if isinstance(step, Send) else step

    @property
    def endsWithExpectation(self) -> bool:
        """Whether a match ends the session, not the server."""
        return bool(self._steps) and not isinstance(self._steps[-1], Send)

    @property
    def onlyPrefix(self) -> bool:
        """Whether the bytes since the last match are none, or a prefix of the awaited text."""
        if self.expecting is None:
            return True
        return not self._discarded and self.expecting.hasPrefix(bytes(self._unmatched))

    @property
    def unmatched(self) -> str:
        """The bytes since the last match, escaped; the first `SHOWN` of them."""
        return escape(self._shown, SHOWN)

    @property
    def hasPatterns(self) -> bool:
        """Whether a step is a regular expression, whose search may take long."""
        return any(isinstance(step, ExpectPattern) for step in self._steps)

    def start(self) -> bytes:
        """Return what to send before the first expectation."""
        return self._advance()

    def feed(self, data: bytes) -> bytes:
        """Match received bytes, and return what to send after them."""
        searched = len(self._unmatched)
        self._unmatched += data
        self._shown += data[: SHOWN + 1 - len(self._shown)]
        return self._advance(searched)

    def _advance(self, searched: int = 0) -> bytes:
        """Perform all steps that can be performed now."""
        sent = []
        while self.position < len(self._steps):
            step = self._steps[self.position]
            if isinstance(step, Send):
                sent.append(step.data)
            elif self._matched(step, searched):
                searched = 0
            else:
                self._discard(step.window)
                break
            self.position += 1
        return b"".join(sent)

    def _matched(self, step: Expectation, searched: int) -> bool:
        """Consume the bytes up to the end of the match, if there is one."""
        # The last byte of those discarded is kept: ``^`` does not match after it.
        first = 1 if self._discarded else 0
        end = step.end(self._unmatched, max(first, searched - step.window))
        if end is None:
            return False
        del self._unmatched[:end]
        self._discarded = 0
        self._shown = bytes(self._unmatched[: SHOWN + 1])
        return True

    def _discard(self, window: int) -> None:
        """Drop the bytes that no later match can need: memory stays bounded."""
        surplus = len(self._unmatched) - window - 1
        if surplus > 0:
            del self._unmatched[:surplus]
            self._discarded += surplus


class SearchTimeout(Exception):
    """A regular expression was searched for longer than allowed."""


@contextmanager
def limitedSearch(seconds: float) -> Iterator[None]:
    """
    Interrupt what runs inside after some seconds of real time.

    A search by a regular expression can take hours, and no deadline of the reactor runs meanwhile.
    It checks for signals. **Limit:** outside of the main thread there is no limit.

    :raises SearchTimeout: the time is over.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise SearchTimeout

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.01))
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


_BEFORE_THE_END = "arrived before the server closed"


class ScriptClient(ClientProtocol):
    """
    Perform a script, and print what is received.

    :param console: where to print; ``None``: nothing is printed.
    :param timeout: seconds for each expectation.
    """

    def __init__(
        self,
        clock: IReactorTime,
        script: Script,
        timeout: float,
        console: UserInterface | None = None,
    ) -> None:
        super().__init__(clock)
        self._script = script
        self._timeout = timeout
        self.console = console
        self._expectTimer: IDelayedCall | None = None
        self._timedPosition = -1

    def sessionStarted(self) -> None:
        """Send what comes before the first expectation."""
        if self.console is not None:
            self.console.open(self, reading=False)
        self._perform(self._script.start())

    def received(self, data: bytes) -> None:
        """Print received bytes, and perform what follows them."""
        if self.console is not None:
            self.console.show(data)
        expected, timer = self._script.expecting, self._expectTimer
        if expected is None or timer is None:
            return
        if not self._script.hasPatterns:
            self._perform(self._script.feed(data))
            return
        left = self._timeout
        if isinstance(expected, ExpectPattern):
            left = timer.getTime() - self.clock.seconds()
        try:
            with limitedSearch(left):
                sent = self._script.feed(data)
        except SearchTimeout:
            self._timedOut()
        else:
            self._perform(sent)

    def _perform(self, data: bytes) -> None:
        if data:
            self.send(data)
        if self._script.expecting is not None:
            self._startTimer()
        elif self._script.endsWithExpectation:
            self._cancelTimer()
            self.lingeringClose(self.ok())
        else:
            self._cancelTimer()
            self.finishSending()

    def _startTimer(self) -> None:
        # Each expectation has the whole timeout.
        if self._script.position != self._timedPosition:
            self._timedPosition = self._script.position
            self._cancelTimer()
            self._expectTimer = self.clock.callLater(self._timeout, self._timedOut)

    def _cancelTimer(self) -> None:
        if self._expectTimer is not None and self._expectTimer.active():
            self._expectTimer.cancel()

    def _timedOut(self) -> None:
        self._fail(Outcome.SILENT, f"arrived in {self._timeout:g} s")

    def serverClosed(self) -> None:
        """Close; an expectation that is still awaited has failed."""
        if self._script.expecting is not None:
            self._fail(Outcome.EOF, _BEFORE_THE_END)
        else:
            self.close()

    def sessionLost(self, reason: Failure) -> None:
        """As `serverClosed`, if a transport reports both ends as one; or a reset."""
        self._cancelTimer()
        clean = reason.check(ConnectionDone) or self.isTruncated()
        if clean and self._script.expecting is not None:
            self.setResult(self._failure(Outcome.EOF, _BEFORE_THE_END))
        else:
            self.setResult(self.resultOf(reason))

    def _fail(self, outcome: Outcome, until: str) -> None:
        self._cancelTimer()
        self.lingeringClose(self._failure(outcome, until))

    def _failure(self, outcome: Outcome, until: str) -> Result:
        """
        Return the result of an expectation that was not met.

        Bytes that are no prefix of the awaited text are ``UNEXPECTED``, however the wait ended.

        :param until: completes "'220 hello' …".
        """
        script = self._script
        came = f"'{script.unmatched}'" if script.unmatched else "nothing"
        if not script.onlyPrefix:
            outcome = Outcome.UNEXPECTED
        elif script.unmatched:
            came = f"only {came}"
        return Result(outcome, f"expected {script.expecting}, but {came} {until}")
