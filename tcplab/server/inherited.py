"""Listening sockets that were handed over by whoever has started this process, systemd say."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping

#: The first of them; the others follow it. See sd_listen_fds(3).
FIRST = 3

#: The environment that this process was started with.
ENVIRONMENT = "/proc/self/environ"


class HandedOverError(ValueError):
    """What was handed over cannot be listened on; the text is one line that says why."""


def handedOver(environment: Mapping[str, str] | None = None, pid: int | None = None) -> list[int]:
    """
    Return the descriptors that were handed over to this very process, in order.

    ``LISTEN_FDS`` is their number, ``LISTEN_PID`` the process that is meant; ``LISTEN_FDNAMES`` is
    not needed.

    :param environment: ``None`` for what this process was started with: Twisted takes the words
        out of ``os.environ`` when its endpoints are imported, and wants names for all of them.
    :param pid: ``None`` for our own.
    """
    found = _atTheStart() if environment is None else environment
    if found.get("LISTEN_PID") != str(os.getpid() if pid is None else pid):
        return []
    count = found.get("LISTEN_FDS", "")
    return list(range(FIRST, FIRST + int(count))) if count.isdecimal() else []


def _atTheStart() -> Mapping[str, str]:
    try:
        with open(ENVIRONMENT, "rb") as file:
            words = os.fsdecode(file.read()).split("\0")
    except OSError:  # a sandbox without it
        return os.environ
    return dict(word.split("=", 1) for word in words if "=" in word)


class Inherited:
    """
    Sockets that are adopted one after the other.

    :param descriptors: they belong to us from now on, and not to the programs that we start.
    """

    def __init__(self, descriptors: Iterator[int] | list[int]) -> None:
        self._left = list(descriptors)
        for each in self._left:
            os.set_inheritable(each, False)

    def next(self, *families: int, port: int = 0) -> socket.socket:
        """
        Take the next.

        :param families: it must be of one of these.
        :param port: it must listen there, if that is not 0.
        :raises HandedOverError: there is none, or it is another than was expected.
        """
        if not self._left:
            raise HandedOverError("no socket that was handed over is left for it (LISTEN_FDS)")
        descriptor = self._left.pop(0)
        found = _listening(descriptor)
        problem = _unfit(found, families, port)
        if problem:
            raise HandedOverError(
                f"the socket that was handed over for it, descriptor {descriptor}, {problem}:"
                " hand them over in the order of the listeners"
            )
        found.setblocking(False)
        return found


def _listening(descriptor: int) -> socket.socket:
    try:
        found = socket.socket(fileno=descriptor)
    except OSError as e:
        raise HandedOverError(f"descriptor {descriptor} is no socket: {e.strerror}") from None
    if not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise HandedOverError(f"descriptor {descriptor} is a socket that does not listen")
    return found


def _unfit(found: socket.socket, families: tuple[int, ...], port: int) -> str:
    if found.family not in families:
        return f"is one of {found.family.name}"
    if port and found.getsockname()[1] != port:
        return f"listens on port {found.getsockname()[1]}"
    return ""
