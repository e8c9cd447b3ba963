"""File descriptors: whether there are enough for the connections that are to be allowed."""

from __future__ import annotations

import resource

from tcplab.listener.refusal import MAX_PENDING

#: Descriptors that a server needs besides those of its connections: those of peers that are refused
#: and linger; standard streams, log, epoll, waker and Twisted's spare one (8); and then its ports,
#: the files it reads and the names it looks up.
RESERVE = MAX_PENDING + 56

#: Linux gives no process more (fs.nr_open), though limits may say so, or say that there is none.
_MOST = 2**20


class DescriptorsError(ValueError):
    """There are not enough descriptors; the text is one line that says what to do."""


def ensureDescriptorLimit(
    connections: int | None = None, *, each: int = 1, reserve: int = RESERVE
) -> int:
    """
    See to it that this process may have so many connections open at once.

    The soft limit (RLIMIT_NOFILE, getrlimit(2)) is raised as far as that takes, and the hard limit
    allows. It is low for the sake of select(2), which knows no descriptor above 1,023: Twisted's
    own ``select`` reactor can serve no more than that, whatever the limit.

    :param connections: how many; ``None`` for as many as can be.
    :param each: descriptors for one connection: two, where another is made for it.
    :param reserve: descriptors for everything else.
    :return: how many there may be: ``connections``, if that is a number.
    :raises DescriptorsError: there is no room for that many, or for any.
    """
    wanted = _MOST if connections is None else connections * each + reserve
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
    """Raise the soft limit, if it is too low and can be raised; return what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    now, most = _counted(soft), min(_counted(hard), wanted)
    if now >= most:
        return now
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):  # there are systems that give less than the hard limit says
        return now
    return most


def _counted(limit: int) -> int:
    return _MOST if limit == resource.RLIM_INFINITY else limit
