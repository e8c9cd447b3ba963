"""Options that contradict each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from tcplab.config.errors import SettingsError
from tcplab.faults.spec import FaultSpec
from tcplab.wire.suggestion import suggest

#: What messages call the options: ``--idle-timeout`` where it is typed, ``idleTimeout`` in Python.
Named = Mapping[str, str]


def checkNames(names: Sequence[str], named: Named) -> None:
    """
    Check that there are listeners, and that their names differ.

    :raises SettingsError: they do not.
    """
    if not names:
        raise SettingsError(f"nothing to serve: give {named['port']} or {named['serve']}")
    if len(set(names)) != len(names):
        raise SettingsError(f"two listeners have the same name: {', '.join(names)}")


def checkPeers(
    maxPerPeer: int | None, maxConnections: int | None, workers: int, named: Named
) -> None:
    """
    Check that the limit of one peer is below that of all, and counted in one process.

    :raises SettingsError: it is not.
    """
    if maxPerPeer is None:
        return
    typed = f"{named['maxPerPeer']} {maxPerPeer}"
    if maxPerPeer > (maxConnections or math.inf):
        raise SettingsError(
            f"{typed} is above {named['maxConnections']} {maxConnections}: no peer"
            " could ever have that many"
        )
    if workers > 1:
        raise SettingsError(
            f"{typed} is counted by each process alone: leave out one of"
            f" the two, it or {named['workers']} {workers}"
        )


def checkProxies(version: str | None, proxies: Sequence[str], named: Named) -> None:
    """
    Check that there is a PROXY protocol, and a proxy that is believed, or neither.

    :raises SettingsError: one of them is missing.
    """
    protocol, sources = named["proxyProtocol"], named["proxyFrom"]
    if version is None and proxies:
        raise SettingsError(
            f"{sources} {proxies[0]} changes nothing without {protocol}: give that"
            f" too, or leave {sources} out"
        )
    if version is not None and not proxies:
        raise SettingsError(
            f"{protocol} {version} trusts no proxy: name yours, as in {sources} 10.0.0.0/8"
        )


def checkFaults(
    faults: Iterable[FaultSpec],
    seed: int | None,
    listeners: Sequence[str],
    workers: int | None,
    named: Named,
) -> None:
    """
    Check that faults make sense for these listeners, and with so many processes.

    :raises SettingsError: they do not.
    """
    rolls = False
    for fault in faults:
        typed, others = f"{named['faults']} {fault.text}", f"{named['workers']} {workers}"
        rolls = rolls or fault.rolls
        if fault.listener is not None and fault.listener not in listeners:
            raise SettingsError(
                f"{typed}: there is no listener {fault.listener!r}"
                f"{suggest(fault.listener, listeners)}; the listeners are {', '.join(listeners)}"
            )
        if fault.selection.counts and workers is not None:
            raise SettingsError(
                f"{typed}: conn counts the connections of each process alone: leave"
                f" out conn, or {others}"
            )
        if fault.fault.kind == "refuse" and workers is not None:
            raise SettingsError(
                f"{typed}: the workers share the port, which none of them can shut:"
                f" leave out this fault, or {others}"
            )
    if seed is not None and not rolls:
        raise SettingsError(
            f"{named['seed']} {seed} changes nothing here: no {named['faults']} is random"
        )
