"""A call that follows a script: ``--send`` and ``--expect``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from tcplab.client.call import Call
from tcplab.client.outcomes import Ending, Outcome
from tcplab.client.script import Script

if TYPE_CHECKING:
    from tcplab.client.console import Console

_BEFORE_THE_END = "came before the server finished"


class ScriptedCall(Call):
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

    def _judged(self, outcome: Outcome, until: str) -> Ending:
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
        return Ending(outcome, f"expected {script.expecting}, but {came} {until}")
