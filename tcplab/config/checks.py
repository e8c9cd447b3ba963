"""Settings that contradict each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tcplab.faults import FaultError, FaultSpec, parseFault
from tcplab.faults.kinds.refuse import Refuse
from tcplab.policies.proxyprotocol import networkOf
from tcplab.wire.names import PROXY_VERSIONS, UNIX

#: Each is a process of 50 MB; a machine with so many cores is rare.
MOST_WORKERS = 256


def checkNames(names: Sequence[str]) -> None:
    """
    See that there are listeners, and that each can be told from the others.

    :raises ValueError: it is not so; the text is one line.
    """
    if not names:
        raise ValueError("nothing to serve: give --port or --serve")
    if len(set(names)) != len(names):
        raise ValueError(f"two listeners have the same name: {', '.join(names)}")


def checkPeers(maxPerPeer: int | None, maxConnections: int | None, workers: int) -> None:
    """
    See that one peer's limit is below that of all, and counted in one place.

    :raises ValueError: it is not; the text is one line.
    """
    if maxPerPeer is None:
        return
    if maxPerPeer > (maxConnections or math.inf):
        raise ValueError(
            f"--max-per-peer {maxPerPeer} is above --max-connections {maxConnections}: no peer"
            " could ever have that many"
        )
    if workers > 1:
        raise ValueError(
            f"--max-per-peer {maxPerPeer} is counted by each process alone: leave out one of"
            f" the two, it or --workers {workers}"
        )


def checkWorkers(workers: int) -> None:
    """
    See that these are not too many processes.

    :raises ValueError: they are; the text is one line.
    """
    if workers > MOST_WORKERS:
        raise ValueError(
            f"--workers {workers}: give {MOST_WORKERS} at most; as many as there are cores is"
            " plenty"
        )


def checkProxies(version: str | None, proxies: Sequence[str]) -> None:
    """
    See that there is a protocol, and somebody who is believed.

    :raises ValueError: one is missing, or no network; the text is one line.
    """
    if version is None:
        if proxies:
            raise ValueError(
                f"--proxy-from {proxies[0]} changes nothing without --proxy-protocol: give that"
                " too, or leave --proxy-from out"
            )
        return
    if version not in PROXY_VERSIONS:
        raise ValueError(f"--proxy-protocol {version}: give {', '.join(PROXY_VERSIONS)}")
    if not proxies:
        raise ValueError(
            f"--proxy-protocol {version} believes nobody: name your proxies, as in"
            " --proxy-from 10.0.0.0/8"
        )
    for word in proxies:
        try:
            if word != UNIX:
                networkOf(word)
        except ValueError as e:
            raise ValueError(f"--proxy-from {e}") from None


def readFaults(words: Sequence[str]) -> tuple[FaultSpec, ...]:
    """
    Read the words of each ``--fault``.

    :raises ValueError: one makes no sense; the text is one line.
    """
    try:
        return tuple(parseFault(each) for each in words)
    except FaultError as e:
        raise ValueError(f"--{e}") from None


def readSeed(word: str) -> int:
    """
    Read the word of ``--seed``.

    :raises ValueError: it is no whole number; the text is one line.
    """
    if not (word.isascii() and word.isdigit() and len(word) <= 18):
        raise ValueError(f"--seed {word}: give a whole number from 0 up, of 18 digits at most")
    return int(word)


def checkFaults(
    faults: Iterable[FaultSpec], seed: int | None, listeners: Iterable[str], workers: int | None
) -> None:
    """
    See that faults make sense for these listeners, and with so many processes.

    :raises ValueError: they don't; the text is one line.
    """
    faults, names = list(faults), list(listeners)
    for fault in faults:
        if fault.listener is not None and fault.listener not in names:
            raise ValueError(
                f"--fault {fault.text}: there is no listener {fault.listener!r};"
                f" there are {', '.join(names)}"
            )
        if fault.selection.counts and workers is not None:
            raise ValueError(
                f"--fault {fault.text}: conn counts the connections of each process alone: leave"
                f" out conn, or --workers {workers}"
            )
        if isinstance(fault.fault, Refuse) and workers is not None:
            raise ValueError(
                f"--fault {fault.text}: the workers share the port, which none of them can shut:"
                f" leave out this fault, or --workers {workers}"
            )
    if seed is not None and not any(fault.rolls for fault in faults):
        raise ValueError(f"--seed {seed} changes nothing here: no --fault rolls dice")
