"""Health checks: connections without a byte from the peer, which are counted instead of logged."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IReactorTime

from tcplab.listener.events import Connection, Ending
from tcplab.observers.throttle import FULL_LINES, SummaryTimer
from tcplab.wire.names import UNIX
from tcplab.wire.reasons import Reason

#: Checks of an address that are logged: a learner's first bare connects are seen.
LOGGED = 3

#: Seconds without a check after which the next ones of an address are logged again.
FORGOTTEN = 600.0

#: Seconds between two lines of an address.
MINUTE = 60.0

#: Seconds for which the first line of a connection waits: a check has ended by then.
HOLD = 1.0

#: Addresses that are known: of more, the one without a check for longest is forgotten.
MAX_ADDRESSES = 1024

#: In place of an address: those for which there is no room.
OTHERS = "other addresses"


def addressOf(peer: IAddress) -> str:
    """Return the address by which checks are counted: the host, or ``unix``."""
    return peer.host if isinstance(peer, (IPv4Address, IPv6Address)) else UNIX


def isCheck(connection: Connection, ending: Ending) -> bool:
    """
    Tell whether a connection was a health check: it ended without a byte from the peer.

    One that got a whole answer is none, and none is one that we have ended for a reason of ours. A
    connection that a proxy makes for itself is one in any case.
    """
    if connection.local or ending.received:
        return not ending.received
    if ending.why not in (None, Reason.PROBE):
        return False
    return ending.by == "peer" or ending.how == "reset"


class _Address:
    """What is known of an address: checks with lines, checks without, the time of the last."""

    __slots__ = ("last", "logged", "unlogged")

    def __init__(self) -> None:
        self.logged = 0
        self.unlogged = 0
        self.last = 0.0


class HealthChecks:
    """
    Count the health checks of each address, and hold back the lines of what may be one.

    A connection that ends without a byte from its peer is a check. Of each address the first
    `LOGGED` have lines. After that its connections are held: their first line waits until there
    is a second one, or for `HOLD` seconds. So do those above `LOGGED` in one second: they may be
    checks that have not ended yet.

    :ivar opened: for each address, the connections of this second that are open. The log clears it
        when a second begins.
    :param release: called with a connection whose first line waits no longer.
    :param report: called at most once a minute with the number of checks without lines, and their
        address.
    """

    def __init__(
        self,
        release: Callable[[Connection], object],
        report: Callable[[int, str], object],
    ) -> None:
        self._release = release
        self._report = report
        self._addresses: dict[str, _Address] = {}  # the one whose last check is oldest first
        self._held: dict[Connection, float] = {}  # until when
        self.opened: dict[str, int] = {}
        self._lost = 0  # checks without lines, of addresses that are forgotten
        self._minute = SummaryTimer(self._reportAll)
        self._hold = SummaryTimer(self._releaseDue)

    def hold(self, connection: Connection, clock: IReactorTime) -> bool:
        """Tell whether the first line of a new connection waits."""
        peer = connection.peer
        host = peer.host if isinstance(peer, (IPv4Address, IPv6Address)) else UNIX  # no call
        self.opened[host] = opened = self.opened.get(host, 0) + 1
        if not connection.local:
            if host in self._addresses:
                opened += self._logged(host, clock.seconds())
            if opened <= LOGGED:
                return False
        self._clock = clock
        self._held[connection] = clock.seconds() + HOLD
        if not self._hold.running:
            self._hold.start(clock, HOLD)
        return True

    def free(self, connection: Connection) -> None:
        """Release a connection, if it is held."""
        if self._held and self._held.pop(connection, None) is not None:
            self._release(connection)

    def count(self, connection: Connection, ending: Ending, clock: IReactorTime) -> bool:
        """Tell whether a connection that has ended is only counted; if not, it is released."""
        host = addressOf(connection.peer)
        if self.opened.get(host):
            self.opened[host] -= 1
        if not isCheck(connection, ending):
            self.free(connection)
            return False
        now = clock.seconds()
        held = self._held.pop(connection, None) is not None
        # Of the others the first line is written, unless there was none to write.
        never = ending.why is Reason.PROBE
        quiet = self._logged(host, now) >= LOGGED
        unlogged = held or (never and (connection.local or quiet))
        found = self._addresses.pop(host, None) or _Address()
        self._addresses[host] = found
        found.last = now
        if unlogged:
            found.unlogged += 1
            if not self._minute.running:
                self._minute.start(clock, MINUTE)
        else:
            found.logged += 1
        if len(self._addresses) > MAX_ADDRESSES:
            self._lost += self._addresses.pop(next(iter(self._addresses))).unlogged
        return unlogged

    def _logged(self, host: str, now: float) -> int:
        """Return how many checks of an address have lines."""
        found = self._addresses.get(host)
        if found is None:
            return 0
        if not 0 <= now - found.last < FORGOTTEN:
            found.logged = 0
        return found.logged

    def _releaseDue(self) -> None:
        now = self._clock.seconds()
        for connection, until in list(self._held.items()):
            if 0 < until - now <= HOLD:
                self._hold.start(self._clock, until - now)
                return
            self.free(connection)

    def _reportAll(self) -> None:
        counted = [(found.unlogged, host, found) for host, found in self._addresses.items()]
        counted = sorted((each for each in counted if each[0]), key=itemgetter(0), reverse=True)
        for count, host, _ in counted[:FULL_LINES]:
            self._report(count, host)
        rest = self._lost + sum(count for count, _, _ in counted[FULL_LINES:])
        if rest:
            self._report(rest, OTHERS)
        for _, _, found in counted:
            found.unlogged = 0
        self._lost = 0
