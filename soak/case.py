"""A case of the matrix: what it does, what it asks for, and how the server must be afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from soak import lab
from soak.figures import MIB, Figure, Row, Verdict, told
from soak.lab import Lab, Start, State, Trouble
from soak.needs import Need, missing
from soak.scale import Amount, Scale

#: The port that people get: its backlog, and everything that is on by default.
PORT = ("--port", "0")


@dataclass(frozen=True)
class Check:
    """How a server was when a case was through with it."""

    before: State
    after: State
    accidents: list[str]
    bound: int

    @property
    def grown(self) -> int:
        """Bytes of memory more than before."""
        return self.after.resident - self.before.resident

    @property
    def met(self) -> bool:
        """Whether all is as it was."""
        return (
            not self.accidents
            and self.after.descriptors == self.before.descriptors
            and self.after.connections == self.before.connections
            and self.grown <= self.bound
        )

    @property
    def _which(self) -> str:
        return f" ({self.accidents[0]})" if self.accidents else ""

    @property
    def measured(self) -> str:
        """Tell it in one line."""
        return (
            f"{len(self.accidents)} tracebacks{self._which},"
            f" descriptors {self.after.descriptors - self.before.descriptors:+},"
            f" connections {self.after.connections - self.before.connections:+},"
            f" RSS {self.grown / MIB:+.1f} MiB"
        )


class Case:
    """
    One case.

    :cvar number: in the matrix.
    :cvar title: what it is, in a few words.
    :cvar needs: of the machine.
    :cvar growth: bytes by which the server may have grown in the end. The matrix says 2 MiB.
    :cvar leaving: seconds for the last connections to go: a linger is 2 s, and the machine may be
        busy.
    """

    number: ClassVar[int]
    title: ClassVar[str]
    needs: ClassVar[tuple[Need, ...]] = ()
    growth: ClassVar[int] = 2 * MIB
    leaving: ClassVar[float] = 5.0

    def __init__(self, scale: Scale, scratch: Path) -> None:
        self.scale = scale
        self.scratch = scratch
        self.rows: list[Row] = []
        self._checks: list[Check] = []

    def run(self) -> None:
        """
        Carry it out, telling figures as they are known.

        :raises Trouble: it cannot be carried out.
        """
        raise NotImplementedError

    # What a case uses

    def amount(self, amount: Amount) -> int:
        """Say how many, at this scale."""
        return amount.whole(self.scale)

    def seconds(self, amount: Amount) -> float:
        """Say how long, at this scale."""
        return amount.at(self.scale)

    def tell(self, done: str, *figures: Figure) -> None:
        """Add rows: what was done, and each figure of it."""
        self.rows += [each.row(self.number, done) for each in figures]

    def skip(self, done: str, why: str) -> None:
        """Add a row that says what was left out."""
        self.rows.append(Row(self.number, done, "", f"skipped: {why}", Verdict.SKIPPED))

    @contextmanager
    def serving(
        self, *words: str, warm: Callable[[Lab], object] | None = None, start: Start | None = None
    ) -> Iterator[Lab]:
        """
        Run a server, and look at it before and after.

        :param words: after ``twistd -n tcplab``.
        :param warm: what is done before we look: modules are imported and memory is taken when
            they are needed for the first time, which is no leak.
        :param start: how it is started, where that matters.
        """
        with lab.serving(start or Start(words), self.scratch) as server:
            try:
                before = self._before(server, warm)
                yield server
            except Exception as e:
                self._alive(server, e)
                raise
            self._alive(server, None)
            # Of a server that was ended there is only the log.
            after = self._after(server, before) if server.running() else before
            self._checks.append(Check(before, after, server.accidents, self.growth))

    def _before(self, server: Lab, warm: Callable[[Lab], object] | None) -> State:
        before = State.of(server)
        if warm is None:
            return before
        warm(server)
        lab.settled(server, before, self.leaving)
        bare = lab.tidied(server)
        return State(before.descriptors, before.connections, bare.resident)

    def _after(self, server: Lab, before: State) -> State:
        after = lab.settled(server, before, self.leaving)
        if after.resident - before.resident > self.growth:
            return lab.tidied(server)
        return after

    def _alive(self, server: Lab, error: Exception | None) -> None:
        if not (server.running() or server.ending):
            status = server.process.returncode
            raise Trouble(f"the server has ended by itself, with status {status}") from error

    def steady(self, server: Lab, load: Callable[[Lab], object]) -> None:
        """
        Repeat a load until the server takes no more memory for it, but not for ever.

        What it then takes for one more is a leak, and not what it needs at most, which it keeps.
        """
        for _ in range(8):
            before = server.resident
            load(server)
            lab.settled(server, State.of(server), 0.0)
            if server.resident - before < MIB // 4:
                return

    # What the table has

    def carriedOut(self) -> list[Row]:
        """Run it, and return its rows, whatever happens; at least one."""
        if lacks := missing(self.needs):
            self.skip(self.title, f"needs {' and '.join(lacks)}")
            return self.rows
        begun = time.monotonic()
        try:
            self.run()
        except Exception as e:
            what = f"{type(e).__name__}: {e}"
            self.rows.append(Row(self.number, self.title, "", what, Verdict.FAILED))
        self.rows += self._afterwards(time.monotonic() - begun)
        return self.rows

    def _afterwards(self, seconds: float) -> list[Row]:
        if not self._checks:
            return []
        worst = max(self._checks, key=lambda each: (not each.met, each.grown))
        verdict = Verdict.MET if worst.met else Verdict.MISSED
        asked = f"no traceback, nothing left behind, RSS at most +{told(self.growth / MIB, 'MiB')}"
        done = f"afterwards ({told(round(seconds), 's')} in all)"
        return [Row(self.number, done, asked, worst.measured, verdict, worst.grown)]
