"""Many clients in one thread: each is a small class that is told what happens to it."""

from __future__ import annotations

import errno
import select
import socket
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, TypeVar

#: SO_LINGER of 0 s: close() resets.
RESET = struct.pack("ii", 1, 0)
#: linux/in.h: choose the port when it is known where to, so that one address has 28,232 for each.
_BIND_ADDRESS_NO_PORT = 24
_WRITE = select.EPOLLOUT
_READ = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
#: Bytes to read at once; a kernel's buffer has seldom more.
CHUNK = 256 * 1024
#: Seconds for connections to be there: TCP tries again after 1, 3, 7 and 15.
PATIENCE = 20.0
_NEVER = float("inf")

Address = tuple[str, int]
AnyMember = TypeVar("AnyMember", bound="Member")


class Member:
    """
    One client.

    :cvar buffers: bytes of its own socket's buffers; 0 leaves them to the kernel.
    :ivar began: when it began to connect.
    :ivar opened: when it was connected; infinite until then.
    :ivar first: when the first bytes came; infinite until then.
    :ivar over: how it ended: ``fin``, the name of an errno, or ``""``: it has not.
    """

    __slots__ = ("_events", "began", "crowd", "first", "opened", "over", "sock")

    buffers: ClassVar[int] = 0

    crowd: Crowd
    sock: socket.socket

    def __init__(self) -> None:
        self.over = ""
        self.began = 0.0
        self.opened = self.first = _NEVER
        self._events = 0

    # What it is told; the defaults do nothing

    def connected(self) -> None:
        """The connection is there."""

    def heard(self, data: bytes) -> None:
        """Something came."""

    def mayWrite(self) -> None:
        """There is room to write; asked for by `watch`."""

    def ended(self) -> None:
        """The server has finished, or the connection is lost; see ``over``."""
        self.close()

    # What it does

    def watch(self, reading: bool = True, writing: bool = False) -> None:
        """Say what it wants to be told of."""
        events = (_READ if reading else 0) | (_WRITE if writing else 0)
        if events != self._events and self.sock.fileno() >= 0:
            self._events = events
            self.crowd.epoll.modify(self.sock, events)

    def send(self, data: bytes | memoryview) -> int:
        """Write what the kernel takes, and return how much that was."""
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0
        except OSError as e:
            self.lost(e.errno)
            return 0

    def finish(self) -> None:
        """Half-close."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as e:
            self.lost(e.errno)

    def reset(self) -> None:
        """Break the connection."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.close()

    def close(self) -> None:
        """Close it."""
        self.crowd.members.pop(self.sock.fileno(), None)
        self.sock.close()

    def lost(self, number: int | None) -> None:
        """Note that it is over."""
        if not self.over:
            self.over = errno.errorcode.get(number, str(number)) if number else "fin"
            self.ended()


class Crowd:
    """
    Clients that share a thread, and its network.

    :ivar members: those whose sockets are open, by descriptor.
    """

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.members: dict[int, Member] = {}

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        for each in list(self.members.values()):
            each.close()
        self.epoll.close()

    def add(self, member: AnyMember, address: Address, source: str = "") -> AnyMember:
        """
        Begin to connect a client.

        :param source: the address it comes from.
        """
        member.crowd = self
        member.sock = sock = socket.socket(
            socket.AF_INET6 if ":" in address[0] else socket.AF_INET,
            socket.SOCK_STREAM | socket.SOCK_NONBLOCK,
        )
        if member.buffers:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, member.buffers)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, member.buffers)
        if source:
            sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
            sock.bind((source, 0))
        self.members[sock.fileno()] = member
        member._events = _READ | _WRITE
        self.epoll.register(sock, member._events)
        member.began = time.monotonic()
        number = sock.connect_ex(address)
        if number not in (0, errno.EINPROGRESS):
            member.lost(number)
        return member

    def addAll(
        self,
        members: Iterable[AnyMember],
        address: Address,
        source: str = "",
        pause: float = 0.0,
    ) -> list[AnyMember]:
        """
        Connect clients, a hundred at a time.

        :param pause: seconds from a hundred to the next, at least.
        """
        found = []
        for number, each in enumerate(members):
            found.append(self.add(each, address, source))
            if number % 100 == 99:
                due = time.monotonic() + pause
                # So that the queue of a server is not what is tried.
                self._settle(found[-100:])
                self.during(due - time.monotonic())
        self._settle(found)
        return found

    def _settle(self, members: Sequence[Member]) -> None:
        self.until(lambda: all(each.opened < _NEVER or each.over for each in members), PATIENCE)

    def turn(self, seconds: float) -> None:
        """Wait at most so long for events, and call the clients that they belong to."""
        for descriptor, events in self.epoll.poll(max(0.0, seconds)):
            member = self.members.get(descriptor)
            if member is not None:
                self._tell(member, events)

    def _tell(self, member: Member, events: int) -> None:
        if member.opened == _NEVER:
            if number := member.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                member.lost(number)
                return
            if not events & _WRITE:
                return
            member.opened = time.monotonic()
            member.watch()
            member.connected()
            return
        if events & ~_WRITE:
            self._read(member)
        if events & _WRITE and not member.over:
            member.mayWrite()

    def _read(self, member: Member) -> None:
        try:
            data = member.sock.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError as e:
            member.lost(e.errno)
            return
        if not data:
            member.lost(0)
            return
        if member.first == _NEVER:
            member.first = time.monotonic()
        member.heard(data)

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Go on until a condition holds, but only so long; tell whether it does."""
        end = time.monotonic() + seconds
        while not condition():
            left = end - time.monotonic()
            if left <= 0:
                return False
            self.turn(min(left, 0.05))
        return True

    def during(self, seconds: float) -> None:
        """Go on for so long."""
        self.until(lambda: False, seconds)
