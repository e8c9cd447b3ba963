"""Settings that contradict each other, or that nobody could mean; the words are the options'."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tcplab.policies.proxyprotocol import UNIX, VERSIONS, networkOf

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
    if version not in VERSIONS:
        raise ValueError(f"--proxy-protocol {version}: give {', '.join(VERSIONS)}")
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
