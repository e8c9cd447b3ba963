"""The log: a line when a connection opens, reports a message, is hit by a fault, and closes."""

from __future__ import annotations

from errno import errorcode
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.logger import Logger

from tcplab.listener.events import Connection, Ending, Observer
from tcplab.observers.healthchecks import HealthChecks
from tcplab.observers.throttle import FULL_LINES, SummaryTimer
from tcplab.wire.escaping import escape
from tcplab.wire.names import UNIX
from tcplab.wire.proxytlvs import shownTLVs
from tcplab.wire.texts import withoutLineEnd

#: Bytes of a message in the log: the names of a class of thirty, which a relay's message has.
SHOWN = 500


class LogObserver(Observer):
    """
    Write events to Twisted's log, with named fields for JSON.

    Of the health checks of an address the first three have lines, the others are counted: see
    `tcplab.observers.healthchecks`.

    Above `FULL_LINES` of a kind in a second, the rest of that second is counted, and one line has
    the exact counts: no event is dropped silently, and the log is not flooded. **Limit:** without a
    clock every event has its line.

    :param clock: counts the seconds; ``None`` means the reactor of the listener's first port.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime | None = None) -> None:
        self._clock = clock
        self._timer = SummaryTimer(self._logSummary)
        self._checks = HealthChecks(self._release, self._logChecks)
        self._startSecond(-1)

    def useClock(self, clock: IReactorTime) -> None:
        """Count the seconds by this clock, unless there is one."""
        if self._clock is None:
            self._clock = clock

    def connectionOpened(self, connection: Connection) -> None:
        """Log the address of the peer."""
        self._nextSecond()
        self._opens += 1
        if (
            self._clock is None
            or self._opens > FULL_LINES
            or not self._checks.hold(connection, self._clock)
        ):
            self._logOpened(connection)

    def _release(self, connection: Connection) -> None:
        self._nextSecond()
        self._logOpened(connection)

    def _logOpened(self, connection: Connection) -> None:
        self._opened += 1
        if self._opened > FULL_LINES:
            self._scheduleSummary()
            return
        peer, text = connection.peer, "server: got connection from = "
        fields: dict[str, object] = {"host": None, "port": None}
        if isinstance(peer, (IPv4Address, IPv6Address)):
            text += "{host} and port = {port}"
            fields = {"host": peer.host, "port": peer.port}
        else:
            text += "unix"
        if connection.tlvs:
            text += " tlv={tlv}"
            fields["tlv"] = shownTLVs(connection.tlvs)
        self._line("opened", connection, text, **fields)

    def messageReported(self, connection: Connection, message: bytes) -> None:
        """Log a message, escaped, cut at `SHOWN` bytes, without one line end at its end."""
        self._checks.free(connection)
        self._nextSecond()
        self._reported += 1
        if self._reported > FULL_LINES:
            self._scheduleSummary()
            return
        text = escape(withoutLineEnd(message), SHOWN)
        self._line("message", connection, "Got the message:{text}", text=text)

    def faultHit(self, connection: Connection | None, text: str) -> None:
        """Log the name of a fault, and the place that it hit."""
        if connection is not None:
            self._checks.free(connection)
        self._nextSecond()
        self._hits += 1
        if self._hits > FULL_LINES:
            self._scheduleSummary()
        elif connection is None:
            fields = {"event": "fault", "text": text, "fault": text}
            self.log.info("fault {fault}", log_system="tcplab", **fields)
        else:
            self._line("fault", connection, "fault {fault}", fault=text, text=text)

    def connectionClosed(self, connection: Connection, ending: Ending) -> None:
        """Log which side ended a connection, how and why, and its bytes and seconds."""
        if self._clock is not None and self._checks.count(connection, ending, self._clock):
            return
        self._nextSecond()
        self._closed += 1
        self._received += ending.received
        self._sent += ending.sent
        if self._closed > FULL_LINES:
            self._scheduleSummary()
            return
        why = " why={why}" if ending.why is not None else ""
        fields = ending._asdict()
        number = ""
        if ending.errno is not None:
            number = " errno={errno}"
            fields["errno"] = errorcode.get(ending.errno, str(ending.errno))
        self._line(
            "closed",
            connection,
            "closed by={by} how={how}" + why + number + " received={received} sent={sent}"
            " seconds={seconds:.3f}" + (": {detail}" if ending.detail else ""),
            text=ending.detail,
            **fields,
        )

    def _logChecks(self, checks: int, host: str) -> None:
        self.log.info(
            "checks={checks} from {host}: health checks without lines of their own",
            log_system="tcplab",
            event="checks",
            checks=checks,
            host=host,
            peer=host,
        )

    def _line(self, event: str, connection: Connection, text: str, /, **fields: Any) -> None:
        self.log.info(
            text,
            log_system=connection.prefix,
            event=event,
            peer=_formatted(connection.peer),
            listener=connection.listener,
            number=connection.number,
            **fields,
        )

    # More lines than are worth reading

    def _nextSecond(self) -> None:
        if self._clock is None:
            self._startSecond(-1)
            return
        now = self._clock.seconds()
        if not self._second <= now < self._next:
            if self._timer.running:  # the reactor may be late, and the clock may have been set
                self._timer.cancel()
                self._logSummary()
            self._startSecond(int(now))

    def _startSecond(self, second: int) -> None:
        self._second, self._next = second, second + 1
        self._opens = self._opened = self._reported = self._hits = self._closed = 0
        self._received = self._sent = 0
        self._checks.opened.clear()

    def _scheduleSummary(self) -> None:
        if self._clock is not None and not self._timer.running:
            # At the end of this second; until then the counts belong to it.
            self._timer.start(self._clock, max(0.0, self._next - self._clock.seconds()))

    def _logSummary(self) -> None:
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
        if self._clock is not None:
            self._startSecond(int(self._clock.seconds()))


class FaultLog(Observer):
    """
    Write the hits of faults to the log, as `LogObserver` does, and nothing else.

    :param clock: as for `LogObserver`.
    """

    def __init__(self, clock: IReactorTime | None = None) -> None:
        self._log = LogObserver(clock)

    def useClock(self, clock: IReactorTime) -> None:
        """Count the seconds by this clock, unless there is one."""
        self._log.useClock(clock)

    def faultHit(self, connection: Connection | None, text: str) -> None:
        """Log the name of a fault, and the place that it hit."""
        self._log.faultHit(connection, text)


def _formatted(peer: IAddress) -> str:
    if not isinstance(peer, (IPv4Address, IPv6Address)):
        return UNIX
    return f"[{peer.host}]:{peer.port}" if ":" in peer.host else f"{peer.host}:{peer.port}"
