"""The limits of a lab: its settings as policies on its listeners, and as a line of the log."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from twisted.logger import Logger

from tcplab.config.errors import SettingsError
from tcplab.config.options import NONE
from tcplab.config.settings import BACKLOG, SETTINGS, Settings
from tcplab.listener.listener import Listener
from tcplab.policies.admission import Admission
from tcplab.policies.cgroup import memoryCgroup
from tcplab.policies.deadlines import Deadlines
from tcplab.policies.descriptors import RESERVE, DescriptorsError, ensureDescriptorLimit
from tcplab.policies.heaptrim import HeapTrim
from tcplab.policies.memory import MemoryPressure, handshakeLimit, inMiB
from tcplab.policies.proxyprotocol import ProxyProtocol
from tcplab.policies.socketoptions import setListenOptions

log = Logger("tcplab.server.limits")

#: Where Linux says how many connections may wait on one socket, whatever was asked for.
SOMAXCONN = "/proc/sys/net/core/somaxconn"


class ConnectionPolicies:
    """
    How the connections of a lab are treated, whatever they say.

    :param settings: what the lab is to do.
    :param clock: keeps the time.
    """

    def __init__(self, settings: Settings, clock: Any) -> None:
        self._settings = settings
        self._clock = clock
        self._admission: Admission | None = None
        self._deadlines: Deadlines | None = None
        self._proxyProtocol = self._newProxyProtocol()
        self._cgroup = memoryCgroup()
        self._memory = MemoryPressure(self._cgroup, clock=clock)
        self._heapTrim = HeapTrim(clock=clock)

    def attach(self, listeners: Iterable[Listener]) -> None:
        """
        Watch these from now on, with room for as many connections as they may have.

        :raises SettingsError: this process cannot have that many.
        """
        room = self._connectionLimit()
        if self._admission is None or self._deadlines is None:
            self._admission = self._newAdmission(room)
            self._deadlines = self._newDeadlines()
        for listener in listeners:
            self._admission.watch(listener)
            self._deadlines.watch(listener)
            self._memory.watch(listener)
            self._heapTrim.watch(listener)
            if self._proxyProtocol is not None:
                self._proxyProtocol.watch(listener)

    def portsBound(self, ports: Iterable[Any]) -> None:
        """Have the kernel notice dead peers on these, and hold little for each."""
        for port in ports:
            setListenOptions(port, write=self._settings.writeTimeout)

    def detach(self) -> None:
        """Leave no timer behind."""
        policies = (
            self._admission,
            self._deadlines,
            self._memory,
            self._heapTrim,
            self._proxyProtocol,
        )
        for policy in policies:
            if policy is not None:
                policy.stop()

    def _connectionLimit(self) -> int:
        wanted = self._settings.maxConnections
        workers = self._settings.workers or 1
        reserve = RESERVE if self._proxyProtocol is None else RESERVE + self._proxyProtocol.most
        try:
            if wanted is None or workers == 1:
                return ensureDescriptorLimit(wanted, reserve=reserve)
            # They share them evenly, but one may have more than another. The total they count.
            ensureDescriptorLimit(math.ceil(wanted / workers), reserve=reserve)
            return min(wanted, ensureDescriptorLimit(None, reserve=reserve))
        except DescriptorsError as e:
            option = "" if wanted is None else f"{SETTINGS['maxConnections'].flag} {wanted}: "
            raise SettingsError(f"{option}{e}") from None

    def _newProxyProtocol(self) -> ProxyProtocol | None:
        settings = self._settings
        if settings.proxyProtocol is None:
            return None
        return ProxyProtocol(
            settings.proxyProtocol,
            settings.proxyFrom,
            deadline=settings.handshakeTimeout,
            clock=self._clock,
        )

    def _newAdmission(self, room: int) -> Admission:
        # Workers share what there is, and count their handshakes each for itself.
        most = min(room // 2, handshakeLimit(self._cgroup)) // (self._settings.workers or 1)
        return Admission(
            maxConnections=room,
            maxPerPeer=self._settings.maxPerPeer,
            maxHandshakes=max(1, int(most)),
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
        """Say in the log what they are; they must have begun."""
        assert self._admission is not None
        values = {
            name: getattr(self._settings, name) for name, each in SETTINGS.items() if each.logged
        }
        if self._settings.maxConnections is None:  # as many as each process can have
            values["maxConnections"] = (self._admission.maxConnections or 0) * (
                self._settings.workers or 1
            )
        words = [f"{SETTINGS[name].flag[2:]}={_formatted(value)}" for name, value in values.items()]
        if not all(listener.option for listener in self._settings.listeners):  # there is --port
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
