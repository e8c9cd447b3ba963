"""A link: one fault in one direction of one connection, from its trigger to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from tcplab.policies.faults.dice import Dice
from tcplab.policies.faults.spec import FaultSpec
from tcplab.policies.faults.stage import End, Out, Stage
from tcplab.policies.faults.trigger import Watch


class Line(Protocol):
    """The connection that links belong to."""

    clock: Any

    def hit(self, link: Link, at: int) -> None: ...

    def changed(self) -> None: ...


class Link:
    """
    Let bytes pass until the fault begins, give them to its stage while it acts, then pass again.

    :ivar name: the fault's name, with its owner.
    :ivar owner: who has put it there.
    :ivar direction: ``downstream`` or ``upstream``.
    :ivar passed: bytes that have come so far.
    """

    def __init__(
        self,
        name: str,
        spec: FaultSpec,
        direction: str,
        dice: Dice,
        line: Line,
        owner: object = None,
    ) -> None:
        self.name = name
        self.owner = owner
        self.direction = direction
        self.dice = dice
        self.passed = 0
        self.out: Out
        self._spec = spec
        self._line = line
        self.stage: Stage | None = None
        self._watch: Watch | None = None
        self._timers: set[Any] = set()
        self._told = self._lost = False

    # What is asked of the stage

    @property
    def held(self) -> int:
        """Bytes that wait here."""
        return self.stage.held if self.stage is not None else 0

    @property
    def blocked(self) -> bool:
        """Whether no more is wanted."""
        return self.stage is not None and self.stage.blocked

    @property
    def swallows(self) -> bool:
        """Whether nothing that comes goes on."""
        return self.stage is not None and self.stage.swallows

    # What passes

    def leadTo(self, out: Out) -> None:
        """Pass on to this from here on."""
        self.out = out
        if self.stage is not None:
            self.stage.out = out

    def take(self, data: bytes) -> None:
        """Take bytes."""
        if self._watch is not None:
            data = self._through(self._watch, data)
        if not data:
            return
        at = self.passed
        self.passed += len(data)
        if self.stage is not None:
            self.stage.take(data, at)
        else:
            self.out.take(data)

    def _through(self, watch: Watch, data: bytes) -> bytes:
        size = watch.through(data)
        if size is None:
            return data
        # Behind the last byte that passes untouched, not before the next that comes.
        self.passed += size
        if size:
            self.out.take(data[:size])
        self._begin()
        return data[size:]

    def end(self, how: End) -> None:
        """Take an end."""
        if self.stage is not None:
            self.stage.end(how)
        else:
            self.out.end(how)

    # From its beginning to its end

    def start(self) -> None:
        """Wait for the trigger, if there is one."""
        trigger = self._spec.trigger
        if trigger.afterSeconds:
            self.later(trigger.afterSeconds, self._begin)
        elif trigger.match or trigger.afterBytes:
            self._watch = Watch(trigger)
        else:
            self._begin()

    def _begin(self) -> None:
        self._watch = None
        stage = self.stage = self._spec.fault.stage(self)
        stage.out = self.out
        if self._spec.trigger.lasting is not None:
            self.later(self._spec.trigger.lasting, self.stop)
        stage.begin()

    def stop(self) -> None:
        """Let go of what is held, and act no more."""
        self._cancel()
        self._watch = None
        stage, self.stage = self.stage, None
        if stage is not None:
            stage.release()

    def lose(self) -> None:
        """Do nothing any more: the connection is lost."""
        self._lost = True
        self._cancel()

    def _cancel(self) -> None:
        timers, self._timers = self._timers, set()
        for timer in timers:
            timer.cancel()

    # The hands of the stage

    def seconds(self) -> float:
        """Return the time."""
        return self._line.clock.seconds()  # type: ignore[no-any-return]

    def later(self, delay: float, call: Callable[[], object]) -> None:
        """Call this later, unless the fault is over by then."""

        def due() -> None:
            self._timers.discard(timer)
            call()
            self._line.changed()

        if self._lost:
            return
        timer = self._line.clock.callLater(delay, due)
        self._timers.add(timer)

    def hit(self, at: int | None = None) -> None:
        """Tell that the fault acts now, once each time it begins to."""
        if not self._told:
            self._told = True
            self._line.hit(self, self.passed if at is None else at)
