"""Networks of our own: gone with the last process that is in one, whatever happens."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from soak import kernel


class Network:
    """
    A network namespace without a name.

    Nothing in the file system refers to it: it needs no tidying up.

    :ivar descriptor: an open file that keeps it.
    :raises OSError: we may not make one.
    """

    def __init__(self) -> None:
        made: list[int | OSError] = []
        # The thread that makes it is in it ever after; this one stays where it is.
        thread = threading.Thread(target=self._make, args=[made])
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            raise made[0]
        self.descriptor = made[0]
        self.run("ip", "link", "set", "lo", "up")

    @staticmethod
    def _make(made: list[int | OSError]) -> None:
        try:
            kernel.newNetwork()
            made.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))
        except OSError as e:
            made.append(e)

    def close(self) -> None:
        """Let go of it."""
        os.close(self.descriptor)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have the sockets that this thread makes belong to it."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            kernel.enterNetwork(self.descriptor)
            yield
        finally:
            kernel.enterNetwork(before)
            os.close(before)

    def enter(self) -> None:
        """Go in, and stay there: for a process that has just been forked."""
        kernel.enterNetwork(self.descriptor)

    def run(self, *words: str) -> str:
        """
        Run a command in it, and return what it prints.

        :raises RuntimeError: it fails; the text is what it says.
        """
        with self.entered():
            done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")
        return done.stdout

    def set(self, name: str, value: str) -> None:
        """Set a sysctl of ``net.ipv4``; each network has its own."""
        with self.entered():
            Path(f"/proc/sys/net/ipv4/{name}").write_text(value)


@contextmanager
def network() -> Iterator[Network]:
    """Make a network with nothing but its own loopback."""
    made = Network()
    try:
        yield made
    finally:
        made.close()


#: Of the two ends of a cable: TEST-NET-2 (RFC 5737), which no network uses.
CLIENT, OTHER_CLIENT, SERVER = "198.51.100.1", "198.51.100.3", "198.51.100.2"


@contextmanager
def cable() -> Iterator[tuple[Network, Network]]:
    """Make two networks, a client's and a server's, joined by a virtual cable."""
    with ExitStack() as stack:
        client, server = stack.enter_context(network()), stack.enter_context(network())
        there = f"/proc/{os.getpid()}/fd/{server.descriptor}"
        client.run(
            *("ip", "link", "add", "cable", "type", "veth"),
            *("peer", "name", "cable"),
            "netns",
            there,
        )
        for end, addresses in ((client, (CLIENT, OTHER_CLIENT)), (server, (SERVER,))):
            for each in addresses:
                end.run("ip", "addr", "add", f"{each}/24", "dev", "cable")
            end.run("ip", "link", "set", "cable", "up")
        yield client, server


def dropping(where: Network, *rule: str) -> None:
    """Have nftables drop what comes into a network and matches a rule."""
    where.run("nft", "add", "table", "inet", "soak")
    where.run("nft", "add", "chain", "inet", "soak", "in", "{ type filter hook input priority 0; }")
    where.run("nft", "add", "rule", "inet", "soak", "in", *rule, "drop")
