"""The words of ``--fault`` and ``--seed``: what they order, and whether that makes sense here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tcplab.policies.faults import FaultError, FaultSpec, parseFault
from tcplab.policies.faults.doors import Refuse


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
