"""A chain: the faults that act on one direction of a connection, one behind the other."""

from __future__ import annotations

from tcplab.policies.faults.link import Link
from tcplab.policies.faults.stage import End, Out

#: Bytes that a direction may hold before its source is paused: at 100 ms of latency that is
#: 2.5 MB/s, and a thousand connections hold 256 MB at most. What the source says in one breath
#: (a read of ours is up to 192 KiB) comes on top.
MOST = 2**18


class Chain:
    """
    Pass bytes through the links in the order in which they were added.

    :param out: where they come out.
    """

    def __init__(self, out: Out) -> None:
        self._out = out
        self._links: list[Link] = []

    def __bool__(self) -> bool:
        return bool(self._links)

    # What passes

    def take(self, data: bytes) -> None:
        """Take bytes from the source."""
        self._first.take(data)

    def end(self, how: End) -> None:
        """Take the source's end."""
        self._first.end(how)

    @property
    def _first(self) -> Out:
        return self._links[0] if self._links else self._out

    # What is in it

    @property
    def held(self) -> int:
        """Bytes that wait."""
        return sum(link.held for link in self._links)

    def pressure(self) -> tuple[bool, bool]:
        """Tell whether the source should pause, and whether nothing that comes goes on."""
        held, blocked, swallows = 0, False, False
        for link in self._links:
            stage = link.stage
            if stage is not None:
                held += stage.held
                blocked = blocked or stage.blocked
                swallows = swallows or stage.swallows
        return blocked or held >= MOST, swallows

    @property
    def full(self) -> bool:
        """Whether the source should pause."""
        return self.pressure()[0]

    @property
    def swallows(self) -> bool:
        """Whether nothing that comes goes on, the end included."""
        return self.pressure()[1]

    @property
    def empty(self) -> bool:
        return not self._links

    def add(self, link: Link, start: bool) -> None:
        """Add a link behind the others; ``start`` it, or leave that to `start`."""
        self._links.append(link)
        self._join()
        if start:
            link.start()

    def start(self) -> None:
        """Start all links."""
        for link in list(self._links):
            link.start()

    def remove(self, name: str, owner: object = None) -> None:
        """Take out the link of this fault, if there is one; what it holds goes on at once."""
        for link in [each for each in self._links if (each.name, each.owner) == (name, owner)]:
            link.stop()
            self._links = [each for each in self._links if each is not link]
        self._join()

    def lose(self) -> None:
        """Drop everything: the connection is lost."""
        links, self._links = self._links, []
        for link in links:
            link.lose()

    def _join(self) -> None:
        outs: list[Out] = [*self._links[1:], self._out]
        for link, out in zip(self._links, outs, strict=False):
            link.leadTo(out)
