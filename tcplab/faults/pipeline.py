"""The faults that act on one direction of a connection, each from its trigger to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from tcplab.faults.dice import Dice
from tcplab.faults.spec import FaultSpec, Trigger
from tcplab.faults.stage import End, Sink, Stage


class TriggerMatcher:
    """
    Look out, in the bytes that pass, for the moment at which a fault begins.

    :param trigger: of bytes; one of time is somebody else's to keep.
    """

    def __init__(self, trigger: Trigger) -> None:
        self._left = trigger.afterBytes
        self._match = trigger.match
        self._tail = b""

    def through(self, data: bytes) -> int | None:
        """Count the bytes of these that pass before the fault begins; ``None``: all do."""
        if self._match:
            return self._matched(data)
        if self._left is None:
            return None
        self._left -= len(data)
        return self._left + len(data) if self._left <= 0 else None

    def _matched(self, data: bytes) -> int | None:
        seen = self._tail + data
        at = seen.find(self._match)
        if at >= 0:
            return at + len(self._match) - len(self._tail)
        keep = len(self._match) - 1
        self._tail = seen[-keep:] if keep else b""
        return None


class PipelineOwner(Protocol):
    """The connection that links belong to."""

    clock: Any

    def hit(self, link: ActiveFault, at: int) -> None: ...

    def changed(self) -> None: ...


class ActiveFault:
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
        line: PipelineOwner,
        owner: object = None,
    ) -> None:
        self.name = name
        self.owner = owner
        self.direction = direction
        self.dice = dice
        self.passed = 0
        self.out: Sink
        self._spec = spec
        self._line = line
        self.stage: Stage | None = None
        self._watch: TriggerMatcher | None = None
        self._timers: set[Any] = set()
        self._told = self._over = False

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

    def leadTo(self, out: Sink) -> None:
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

    def _through(self, watch: TriggerMatcher, data: bytes) -> bytes:
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
            self._watch = TriggerMatcher(trigger)
        else:
            self._begin()

    def _begin(self) -> None:
        if self._over:
            return  # removed by what the bytes before it caused
        self._watch = None
        stage = self.stage = self._spec.fault.stage(self)
        stage.out = self.out
        if self._spec.trigger.lasting is not None:
            self.later(self._spec.trigger.lasting, self.stop)
        stage.begin()

    def stop(self) -> None:
        """Let go of what is held, and act no more."""
        self._over = True
        self._cancel()
        self._watch = None
        stage, self.stage = self.stage, None
        if stage is not None:
            stage.release()

    def lose(self) -> None:
        """Do nothing any more: the connection is lost."""
        self._over = True
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

        if self._over:
            return
        timer = self._line.clock.callLater(delay, due)
        self._timers.add(timer)

    def hit(self, at: int | None = None) -> None:
        """Tell that the fault acts now, once each time it begins to."""
        if not self._told:
            self._told = True
            self._line.hit(self, self.passed if at is None else at)


#: Bytes that a direction may hold before its source is paused: at 100 ms of latency that is
#: 2.5 MB/s, and a thousand connections hold 256 MB at most. What the source says in one breath
#: (a read of ours is up to 192 KiB) comes on top.
HIGH_WATER = 2**18


class Pipeline:
    """
    Pass bytes through the links in the order in which they were added.

    :param out: where they come out.
    """

    def __init__(self, out: Sink) -> None:
        self._out = out
        self._links: list[ActiveFault] = []

    def __bool__(self) -> bool:
        return bool(self._links)

    # What passes

    def take(self, data: bytes) -> None:
        """Take bytes from the source."""
        self._first.take(data)

    def end(self, how: End) -> None:
        """Take the source's end."""
        self._first.end(how)

    @property
    def _first(self) -> Sink:
        return self._links[0] if self._links else self._out

    # What is in it

    @property
    def held(self) -> int:
        """Bytes that wait."""
        return sum(link.held for link in self._links)

    def pressure(self) -> tuple[bool, bool]:
        """Tell whether the source should pause, and whether nothing that comes goes on."""
        held, blocked, swallows = 0, False, False
        for link in self._links:
            stage = link.stage
            if stage is not None:
                held += stage.held
                blocked = blocked or stage.blocked
                swallows = swallows or stage.swallows
        return blocked or held >= HIGH_WATER, swallows

    @property
    def full(self) -> bool:
        """Whether the source should pause."""
        return self.pressure()[0]

    @property
    def swallows(self) -> bool:
        """Whether nothing that comes goes on, the end included."""
        return self.pressure()[1]

    @property
    def empty(self) -> bool:
        return not self._links

    def add(self, link: ActiveFault, start: bool) -> None:
        """Add a link behind the others; ``start`` it, or leave that to `start`."""
        self._links.append(link)
        self._join()
        if start:
            link.start()

    def start(self) -> None:
        """Start all links."""
        for link in list(self._links):
            link.start()

    def remove(self, name: str, owner: object = None) -> None:
        """Take out the link of this fault, if there is one; what it holds goes on at once."""
        for link in [each for each in self._links if (each.name, each.owner) == (name, owner)]:
            link.stop()
            self._links = [each for each in self._links if each is not link]
        self._join()

    def lose(self) -> None:
        """Drop everything: the connection is lost."""
        links, self._links = self._links, []
        for link in links:
            link.lose()

    def _join(self) -> None:
        outs: list[Sink] = [*self._links[1:], self._out]
        for link, out in zip(self._links, outs, strict=False):
            link.leadTo(out)
