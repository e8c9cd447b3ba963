"""Listening ports that refuse or hang, and the faults that make them do so."""

from __future__ import annotations

import os
import select
import socket
from contextlib import suppress
from typing import Any

from tcplab.faults.spec import FaultSpec
from tcplab.listener.listener import Listener

# From <linux/in.h> and <linux/in6.h>: what comes with a lower TTL is dropped, as RFC 5082
# wants it of who speaks to neighbours only. A TTL of 255 is rare in a SYN: Linux begins with 64,
# Windows with 128. (A packet filter, SO_ATTACH_FILTER, takes rights that not every user has.)
_IP_MINTTL, _IPV6_MINHOPCOUNT = 21, 73
_HIGHEST = 255

# A port accepts 64 at once: so many times before its door is shut.
_BATCHES = 16

# Who asks to connect to a Unix socket waits while its backlog is full; ``listen(0)`` holds one.
_MOST_FILLERS = 8


class Door:
    """
    The door of one port.

    Whoever connected before it is shut is accepted. The port keeps its address, also one that the
    system chose, and nobody else can take it.

    :param port: one of Twisted's own ports.
    """

    def __init__(self, port: Any) -> None:
        self._port = port
        self._state = "open"
        self._fillers: list[socket.socket] = []

    def set(self, state: str) -> None:
        """
        Put it into a state: ``open``, ``refuse`` or ``hang``.

        A port that is shut does not read any more; who opens it has it read again.
        """
        if state == self._state or not self._port.connected:
            return
        if state != "open":
            self._acceptTheRest()
            self._port.stopReading()  # epoll forgets a descriptor that becomes another socket's
        self._move("open")
        self._move(state)

    def _move(self, state: str) -> None:
        family = "Unix" if self._port.addressFamily == socket.AF_UNIX else "TCP"
        if self._state != state:
            undo, self._state = self._state, state
            name = f"_{state}{family}" if state != "open" else f"_un{undo}{family}"
            getattr(self, name)()

    def _acceptTheRest(self) -> None:
        waiting = select.poll()
        waiting.register(self._port.fileno(), select.POLLIN)
        for _ in range(_BATCHES):
            if self._state != "open" or not waiting.poll(0):
                return
            self._port.doRead()

    # TCP

    def _refuseTCP(self) -> None:
        sock = self._port.socket
        address = sock.getsockname()
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)  # unless another process has, whose socket it is too
        with suppress(OSError):
            # A port that the system chose is free again: take it. Else it is ours still.
            sock.bind(address)
        # With the option set others with theirs could bind it too, as nobody listens.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)

    def _unrefuseTCP(self) -> None:
        sock = self._port.socket
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.listen(self._backlog)

    def _hangTCP(self) -> None:
        self._hear(_HIGHEST)

    def _unhangTCP(self) -> None:
        self._hear(0)

    def _hear(self, lowest: int) -> None:
        sock = self._port.socket
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MINHOPCOUNT, lowest)
        sock.setsockopt(socket.IPPROTO_IP, _IP_MINTTL, lowest)  # through :: too

    @property
    def _backlog(self) -> int:
        return int(getattr(self._port, "backlog", 0) or socket.SOMAXCONN)

    # Unix sockets

    def _refuseUnix(self) -> None:
        # One that was shut down cannot listen again: put another one in its place.
        sock = self._port.socket
        path = os.fsencode(sock.getsockname())
        with socket.socket(socket.AF_UNIX) as new:
            new.setblocking(False)
            os.dup2(new.fileno(), sock.fileno(), inheritable=False)
        if path.startswith(b"\0"):
            sock.bind(path)
            return
        mode = os.stat(path).st_mode
        os.unlink(path)
        sock.bind(path)
        os.chmod(path, mode & 0o7777)

    def _unrefuseUnix(self) -> None:
        self._port.socket.listen(self._backlog)

    def _hangUnix(self) -> None:
        self._port.socket.listen(0)
        for _ in range(_MOST_FILLERS):
            filler = socket.socket(socket.AF_UNIX)
            filler.setblocking(False)
            try:
                filler.connect(self._port.socket.getsockname())
            except BlockingIOError:
                filler.close()
                return
            self._fillers.append(filler)

    def _unhangUnix(self) -> None:
        fillers, self._fillers = self._fillers, []
        for filler in fillers:
            filler.close()
            with suppress(OSError):
                self._port.socket.accept()[0].close()
        self._port.socket.listen(self._backlog)


_REASON = "fault"


class ListenerFaults:
    """
    Shut the doors of some listeners while a fault ``refuse`` or ``hang`` says so.

    Of several that act, ``refuse`` wins.

    :param clock: keeps the time; may be set later, until there is a listener.
    """

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self._doors: dict[Listener, dict[Any, Door]] = {}
        self._specs: dict[str, FaultSpec] = {}
        self._acting: dict[str, FaultSpec] = {}
        self._timers: dict[str, Any] = {}

    def watch(self, listener: Any) -> None:
        """Keep the doors of this listener too; with the first the time of all faults begins."""
        first = not self._doors
        self._doors[listener] = {}
        self.update(listener)
        if first:
            for name in self._specs:
                self._await(name)

    def forget(self, listener: Listener) -> None:
        """Open the doors of a listener, and keep them no more."""
        for door in self._doors.pop(listener, {}).values():
            door.set("open")
        listener.resume(_REASON)
        if not self._doors:
            for name in self._specs:
                self._end(name)

    def add(self, name: str, spec: FaultSpec) -> None:
        """Begin with a fault, when its time comes."""
        self._specs[name] = spec
        if self._doors:
            self._await(name)

    def remove(self, name: str) -> None:
        """End a fault."""
        if self._specs.pop(name, None) is not None:
            self._end(name)

    # From a fault's beginning to its end

    def _await(self, name: str) -> None:
        after = self._specs[name].trigger.afterSeconds
        if after:
            self._timers[name] = self.clock.callLater(after, self._begin, name)
        else:
            self._begin(name)

    def _begin(self, name: str) -> None:
        self._timers.pop(name, None)
        spec = self._acting[name] = self._specs[name]
        self._updateAll()
        for listener in self._doors:
            if spec.listener in (None, listener.name):
                _tell(listener, name)
        if spec.trigger.duration is not None:
            self._timers[name] = self.clock.callLater(spec.trigger.duration, self._end, name)

    def _end(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None and timer.active():
            timer.cancel()
        if self._acting.pop(name, None) is not None:
            self._updateAll()

    # The doors

    def _updateAll(self) -> None:
        for listener in self._doors:
            self.update(listener)

    def update(self, listener: Listener) -> None:
        """Put the doors of a listener's ports, new ones too, as the faults say."""
        state = self._state(listener)
        doors = self._doors[listener]
        present = {port: doors.get(port) or Door(port) for port in listener.ports}
        if state == "refuse" or state == "hang":
            for door in present.values():
                door.set(state)
            listener.suspend(_REASON)  # a port that does not listen would never sleep
        else:
            for door in present.values():
                door.set("open")
            listener.resume(_REASON)
        self._doors[listener] = present

    def _state(self, listener: Listener) -> str:
        kinds = {
            spec.fault.kind
            for spec in self._acting.values()
            if spec.listener in (None, listener.name)
        }
        return "refuse" if "refuse" in kinds else "hang" if "hang" in kinds else "open"


def _tell(listener: Listener, name: str) -> None:
    hook = getattr(listener.observers, "faultHit", None)
    if hook is not None:
        hook(None, f"{name} listener={listener.name}")
