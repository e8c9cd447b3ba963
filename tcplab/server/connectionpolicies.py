"""The settings of a lab as policies of its listeners, and as a line of the log."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from twisted.internet.interfaces import IListeningPort, IReactorTime
from twisted.logger import Logger

from tcplab.config.errors import SettingsError
from tcplab.config.listenersettings import BACKLOG
from tcplab.config.optionparsers import NONE
from tcplab.config.options import SETTINGS, Settings
from tcplab.listener.listener import Listener
from tcplab.listener.policy import Policy
from tcplab.policies.admission import Admission
from tcplab.policies.deadlines import Deadlines
from tcplab.policies.descriptors import RESERVE, DescriptorsError, ensureDescriptorLimit
from tcplab.policies.memory import (
    HeapTrim,
    MemoryPressure,
    handshakeLimit,
    inMiB,
    memoryCgroup,
)
from tcplab.policies.proxyprotocol import ProxyProtocol
from tcplab.policies.socketoptions import setListenOptions

log = Logger("tcplab.server.limits")

#: Linux cuts the listen queue of every socket to this number.
SOMAXCONN = "/proc/sys/net/core/somaxconn"


class ConnectionPolicies:
    """
    How the connections of a lab are treated, of any protocol.

    :param settings: what the lab is to do.
    :param clock: keeps the time.
    :param own: further policies, which act after the others.
    """

    def __init__(self, settings: Settings, clock: IReactorTime, own: Sequence[Policy] = ()) -> None:
        self._settings = settings
        self._clock = clock
        self._own = own
        self._cgroup = memoryCgroup()
        self._policies: tuple[Policy, ...] = ()
        self._maxConnections = 0

    def attach(self, listeners: Sequence[Listener]) -> None:
        """
        Treat the connections of these listeners so, with descriptors for as many as they may have.

        Any of them may have all the connections: the one whose connections take most descriptors
        decides.

        :raises SettingsError: this process cannot have that many.
        """
        each = max((listener.descriptors for listener in listeners), default=1)
        self._policies = self._policies or self._newPolicies(each)
        for listener in listeners:
            for policy in (*self._policies, *self._own):
                policy.watch(listener)

    def portsBound(self, ports: Iterable[IListeningPort | None]) -> None:
        """Set on these ports what their connections inherit: keep-alive, and small buffers."""
        for port in ports:
            setListenOptions(port, write=self._settings.writeTimeout)

    def detach(self) -> None:
        """Leave the listeners, and cancel every timer."""
        for policy in (*self._policies, *self._own):
            policy.stop()

    def _newPolicies(self, each: int) -> tuple[Policy, ...]:
        proxies = () if self._settings.proxyProtocol is None else (self._newProxyProtocol(),)
        self._maxConnections = self._connectionLimit(
            each, RESERVE + sum(proxy.maxPending for proxy in proxies)
        )
        return (
            self._newAdmission(),
            self._newDeadlines(),
            MemoryPressure(self._cgroup, clock=self._clock),
            HeapTrim(clock=self._clock),
            *proxies,
        )

    def _connectionLimit(self, each: int, reserve: int) -> int:
        wanted = self._settings.maxConnections
        workers = self._settings.workers or 1
        try:
            if wanted is None or workers == 1:
                return ensureDescriptorLimit(wanted, each=each, reserve=reserve)
            # Workers share them evenly, but one may have more than another. They count the total.
            ensureDescriptorLimit(math.ceil(wanted / workers), each=each, reserve=reserve)
            return min(wanted, ensureDescriptorLimit(None, each=each, reserve=reserve))
        except DescriptorsError as e:
            name = self._settings.names["maxConnections"]
            option = "" if wanted is None else f"{name} {wanted}: "
            raise SettingsError(f"{option}{e}") from None

    def _newProxyProtocol(self) -> ProxyProtocol:
        settings = self._settings
        return ProxyProtocol(
            settings.proxyProtocol or "any",
            settings.proxyFrom,
            deadline=settings.handshakeTimeout,
            clock=self._clock,
        )

    def _newAdmission(self) -> Admission:
        # Workers share the memory, and each counts its own handshakes.
        most = min(self._maxConnections // 2, handshakeLimit(self._cgroup))
        return Admission(
            maxConnections=self._maxConnections,
            maxPerPeer=self._settings.maxPerPeer,
            maxHandshakes=max(1, int(most // (self._settings.workers or 1))),
            clock=self._clock,
        )

    def _newDeadlines(self) -> Deadlines:
        settings = self._settings
        return Deadlines(
            handshake=settings.handshakeTimeout,
            idle=settings.idleTimeout,
            write=settings.writeTimeout,
            clock=self._clock,
        )

    def log(self) -> None:
        """Write them to the log, in one line; after `attach`."""
        values = {
            name: getattr(self._settings, name) for name, each in SETTINGS.items() if each.logged
        }
        if self._settings.maxConnections is None:  # as many as each process can have
            values["maxConnections"] = self._maxConnections * (self._settings.workers or 1)
        words = [f"{SETTINGS[name].flag[2:]}={_formatted(value)}" for name, value in values.items()]
        if any(listener.portOption for listener in self._settings.listeners):
            words.append(f"backlog={_backlog()}")
        if self._cgroup is not None:
            words.append(f"memory={inMiB(self._cgroup.limit)}")
        log.info("limits: {words}", log_system="tcplab", words=" ".join(words))


def _formatted(value: float | None) -> str:
    return NONE if value is None else f"{value:.15g}"


def _backlog() -> str:
    try:
        with open(SOMAXCONN) as file:
            allowed = int(file.read())
    except (OSError, ValueError):
        allowed = BACKLOG  # no Linux, or a sandbox without its files
    return str(BACKLOG) if allowed >= BACKLOG else f"{allowed} (net.core.somaxconn)"
