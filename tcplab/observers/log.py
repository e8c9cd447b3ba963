"""The log: a line when a peer connects, when a message is reported, and when it ends."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tcplab.listener.events import Connection, Ending
from tcplab.wire.escaping import escape
from tcplab.wire.texts import withoutLineEnd

#: Lines of a kind a second before they are summed up: each costs about 12 us, so that logging
#: stays below 1 % of a core (100 connections x 3 lines x 12 us = 3.6 ms a second).
FULL_LINES = 100


class LogObserver:
    """
    Write what is told to Twisted's log, with named fields for JSON.

    Above `FULL_LINES` a second of one kind, the rest of that second is counted, and one line
    says how many there were: never a silent drop, never a log that floods.

    :param clock: what the seconds are counted with; ``None`` means the global reactor.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime | None = None) -> None:
        self._clock: Any = clock
        self._second, self._next = -1, 0
        self._opened = self._reported = self._hits = self._closed = 0
        self._received = self._sent = 0
        self._summary: Any = None
        self._triggered = False

    def connectionOpened(self, connection: Connection) -> None:
        """Say who connected."""
        self._turn()
        self._opened += 1
        if self._opened > FULL_LINES:
            self._sumUp()
            return
        peer = connection.peer
        host, port = getattr(peer, "host", None), getattr(peer, "port", None)
        where = "from = {host} and port = {port}" if host is not None else "from = unix"
        self._line(connection, "server: got connection " + where, host=host, port=port)

    def messageReported(self, connection: Connection, message: bytes) -> None:
        """Say what the peer said, escaped, cut at 200 characters, without one trailing line end."""
        self._turn()
        self._reported += 1
        if self._reported > FULL_LINES:
            self._sumUp()
            return
        self._line(connection, "Got the message:{text}", text=escape(withoutLineEnd(message)))

    def faultHit(self, connection: Connection | None, text: str) -> None:
        """Say which fault hit, and where."""
        self._turn()
        self._hits += 1
        if self._hits > FULL_LINES:
            self._sumUp()
        elif connection is None:
            self.log.info("fault {fault}", log_system="tcplab", fault=text)
        else:
            self._line(connection, "fault {fault}", fault=text)

    def connectionClosed(self, connection: Connection, ending: Ending) -> None:
        """Say who ended it, how, why, after how many bytes and how long."""
        self._turn()
        self._closed += 1
        self._received += ending.received
        self._sent += ending.sent
        if self._closed > FULL_LINES:
            self._sumUp()
            return
        why = " why={why}" if ending.why is not None else ""
        number = " errno={errno}" if ending.errno is not None else ""
        self._line(
            connection,
            "closed by={by} how={how}" + why + number + " received={received} sent={sent}"
            " seconds={seconds:.3f}",
            by=ending.by,
            how=ending.how,
            why=ending.why,
            errno=ending.errno,
            received=ending.received,
            sent=ending.sent,
            seconds=ending.seconds,
        )

    def _line(self, connection: Connection, text: str, /, **fields: Any) -> None:
        self.log.info(
            text,
            log_system=connection.prefix,
            listener=connection.listener,
            number=connection.number,
            **fields,
        )

    # More than is worth reading

    def _turn(self) -> None:
        now = self._seconds()
        if not self._second <= now < self._next:
            self._flush()  # the reactor may be late, and the clock may have been set
            self._startSecond(int(now))

    def _startSecond(self, second: int) -> None:
        self._second, self._next = second, second + 1
        self._opened = self._reported = self._hits = self._closed = 0
        self._received = self._sent = 0

    def _sumUp(self) -> None:
        if self._summary is None:
            # At the end of this second; until then the counts belong to it.
            clock = self._time()
            left = max(0.0, self._next - clock.seconds())
            self._summary = clock.callLater(left, self._say)
            self._beforeTheEnd(clock)

    def _beforeTheEnd(self, clock: Any) -> None:
        # Connections end when a server stops, and its timers never fire.
        add = getattr(clock, "addSystemEventTrigger", None)
        if add is not None and not self._triggered:
            self._triggered = True
            add("after", "shutdown", self._flush)

    def _flush(self) -> None:
        if self._summary is not None:
            self._summary.cancel()
            self._say()

    def _say(self) -> None:
        self._summary = None
        self.log.info(
            "in one second: {opened} connections opened, {reported} messages, "
            + ("{hits} faults, " if self._hits else "")
            + "{closed} closed"
            " (received={received} sent={sent}); only the first {limit} of a kind have lines above",
            log_system="tcplab",
            opened=self._opened,
            reported=self._reported,
            hits=self._hits,
            closed=self._closed,
            received=self._received,
            sent=self._sent,
            limit=FULL_LINES,
        )
        self._startSecond(int(self._seconds()))

    def _seconds(self) -> float:
        self._seconds = self._time().seconds  # type: ignore[method-assign]  # found faster next time
        return self._seconds()

    def _time(self) -> Any:
        if self._clock is None:
            from twisted.internet import reactor

            self._clock = reactor
        return self._clock


class FaultLog:
    """
    Write hits of faults to the log, as `LogObserver` does, and nothing else.

    :param clock: as for `LogObserver`.
    """

    def __init__(self, clock: IReactorTime | None = None) -> None:
        self.faultHit = LogObserver(clock).faultHit
