"""File descriptors: whether this process may have enough for its connections."""

from __future__ import annotations

import resource

from tcplab.listener.refusal import MAX_PENDING

#: Descriptors that a server needs besides those of its connections. Refused connections linger. 8
#: are standard streams, log, epoll, waker and Twisted's spare one. The others are ports, files that
#: are read and names that are looked up.
RESERVE = MAX_PENDING + 56

#: Linux gives no process more (fs.nr_open), even if its limits allow more or are infinite.
_MAX_DESCRIPTORS = 2**20


class DescriptorsError(ValueError):
    """There are not enough descriptors; the text is one line with the remedy."""


def ensureDescriptorLimit(
    connections: int | None = None, *, each: int = 1, reserve: int = RESERVE
) -> int:
    """
    Make sure that this process may have this many connections open at once.

    The soft limit (RLIMIT_NOFILE, getrlimit(2)) is raised as far as necessary and as the hard limit
    allows. It is low for the sake of select(2), which knows no descriptor above 1,023.
    **Limit:** Twisted's own ``select`` reactor can serve no more than that at any limit.

    :param connections: the number; ``None`` for the highest possible.
    :param each: descriptors of one connection: two, where it causes another connection.
    :param reserve: descriptors for everything else.
    :return: the number of connections: ``connections``, if that is a number.
    :raises DescriptorsError: there is no room for that many, or for any.
    """
    wanted = _MAX_DESCRIPTORS if connections is None else connections * each + reserve
    limit = _raised(wanted)
    room = max(0, limit - reserve) // each
    if not room:
        raise DescriptorsError(
            f"this process may have {limit} file descriptors, and needs {reserve} besides those of"
            f" its connections: raise the limit (ulimit -n {reserve + 1000 * each})"
        )
    if connections is None:
        return room
    if connections > room:
        raise DescriptorsError(
            f"{connections} connections need {wanted} file descriptors, and this process may have"
            f" {limit}: allow {room} connections, or raise the limit (ulimit -n {wanted})"
        )
    return connections


def _raised(wanted: int) -> int:
    """Raise the soft limit towards a number, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    current, target = _finite(soft), min(_finite(hard), wanted)
    if current >= target:
        return current
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
    except (OSError, ValueError):  # some systems give less than the hard limit promises
        return current
    return target


def _finite(limit: int) -> int:
    return _MAX_DESCRIPTORS if limit == resource.RLIM_INFINITY else limit
