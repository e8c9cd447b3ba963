"""Workers as users have them: processes that are killed, stopped, replaced and told to end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from tests.support.certificates import localhostFile
from tests.support.tiers import slow
from tests.support.twistd_process import PATIENCE, TWISTD, Command, Commands

#: Says which process it is, and then what it hears; falls dead when it is told to.
WHO = """
    import os
    from tcplab.protocols import Conversation

    class Who(Conversation):
        def connectionMade(self):
            self.send(f"{os.getpid()}\\n".encode())

        def messageReceived(self, message):
            if message == b"die":
                os._exit(3)
            self.send(message)
"""


class Workers(Commands):
    """A lab with workers; see `WHO`."""

    async def lab(self, *words: str, who: str = WHO, **settings: Any) -> Command:
        """Start it, and wait until its workers serve; its port is ``self.port``."""
        self.write("who.py", who)
        spec = () if "-s" in words else ("-p", "0", "-b", "who.Who")
        words = (*TWISTD, "tcplab", *spec, "--port-file", "ports", *words)
        command = self.start(*words, **settings)
        await self.until(lambda: os.path.exists(os.path.join(self.folder, "ports")), command)
        self.port = int(self.read("ports").split()[2])
        if "--workers" in words:
            await self.allServe(command, int(words[words.index("--workers") + 1]))
        return command

    async def allServe(self, command: Command, workers: int) -> None:
        """Wait until each of so many workers serves, not only the first."""
        await self.until(lambda: len(self.serving(command)) == workers, command)

    async def until(self, condition: Callable[[], bool], command: Command) -> None:
        """Wait until something is so."""
        end = time.monotonic() + PATIENCE / 4
        while not condition():
            running = time.monotonic() < end and command.status is None
            self.assertTrue(running, command.out + command.err)
            await deferLater(reactor, 0.005)

    def serving(self, command: Command) -> dict[int, int]:
        """Return the processes of the workers, by their numbers, as the log tells them."""
        lines = re.findall(r"worker (\d+) \(pid (\d+)\) serves", command.out)
        return {int(number): int(pid) for number, pid in lines}

    def children(self, command: Command) -> list[int]:
        """Return all processes that it has started and that live."""
        pid = command.transport.pid
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]

    def told(self, peer: socket.socket) -> Any:
        """Hear which process serves, in a thread."""
        return deferToThread(_line, peer)

    async def peers(self, number: int) -> dict[socket.socket, int]:
        """Connect so many, and hear who serves each."""
        peers = [self.connect(self.port) for _ in range(number)]
        return {peer: int(await self.told(peer)) for peer in peers}

    async def echoed(self, peer: socket.socket) -> bool:
        peer.sendall(b"are you there?\n")
        return bool(await self.told(peer) == b"are you there?")


def _line(peer: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n") and (piece := peer.recv(1)):
        line += piece
    return line.rstrip(b"\n")


class Serving(Workers):
    async def test_connections_are_spread_evenly_and_the_log_says_which_worker(self) -> None:
        command = await self.lab("--workers", "3")
        counts = Counter((await self.peers(150)).values())
        self.assertEqual(set(counts), set(self.serving(command).values()))
        self.assertLess(max(counts.values()), 1.5 * 50)
        self.assertNotIn(command.transport.pid, counts)
        for number in self.serving(command):
            await command.line(rf"\[worker {number},Who,1,127\.0\.0\.1\] server: got connection")

    async def test_every_kind_of_endpoint(self) -> None:
        pem = localhostFile(self.folder)
        words = ("-s", "ack@unix:s", "-s", f"ack@ssl:0:privateKey={pem}:interface=127.0.0.1")
        words += ("-s", f"ack@tls:{self.folder}:0:interface=127.0.0.1", "-s", "ack@tcp6:0")
        command = self.start(*(*TWISTD, "tcplab", "--workers", "2", *words, "--port-file", "ports"))
        path = os.path.join(self.folder, "s")
        await command.line("worker 2 .* serves")
        await self.until(lambda: os.path.exists(os.path.join(self.folder, "ports")), command)
        ports = [line.split() for line in self.read("ports").splitlines()]
        self.assertEqual(ports[0], ["ack", "unix", path])
        peer = socket.socket(socket.AF_UNIX)
        self.addCleanup(peer.close)
        peer.connect(path)
        self.assertEqual(await self.talk(peer, b"x"), b"You are connected!")
        for _, host, port in ports[1:]:
            peer = self.connect(int(port), "::1" if ":" in host else "127.0.0.1")
            if ":" not in host:
                peer = await deferToThread(_secured, peer)
            self.assertEqual(await self.hear(peer, 18), b"You are connected!")
            peer.close()
        mode = os.stat(path).st_mode
        await self.stop(command)
        self.assertTrue(mode & 0o600)
        self.assertFalse(os.path.exists(path))
        self.assertFalse(os.path.lexists(path + ".lock"))

    async def test_limit_is_a_total(self) -> None:
        command = await self.lab("--workers", "2", "--max-connections", "20")
        peers = list(await self.peers(20))
        waiting = [self.connect(self.port) for _ in range(10)]
        peers[0].close()
        first = await deferToThread(_first, waiting)
        self.assertIn(len(first), (1, 2))  # both workers may have seen room for one
        self.assertIn("max-connections=20", command.out)
        self.assertTrue(await self.echoed(peers[1]))


def _secured(peer: socket.socket) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(peer)


def _first(peers: list[socket.socket]) -> list[socket.socket]:
    import select

    ready, _, _ = select.select(peers, [], [], PATIENCE)
    return ready


@slow
class Killed(Workers):
    async def test_nobody_who_waits_is_reset_and_another_takes_its_place(self) -> None:
        command = await self.lab("--workers", "2")
        others = await self.peers(20)
        pid = self.serving(command)[1]
        os.kill(pid, signal.SIGSTOP)
        waiting = [self.connect(self.port) for _ in range(100)]
        os.kill(pid, signal.SIGKILL)
        for peer in waiting:
            self.assertRegex(await self.told(peer), rb"^\d+$")
        await command.line(rf"worker 1 \(pid {pid}\) was killed by SIGKILL after .* with \d+ conn")
        await self.until(lambda: self.serving(command)[1] != pid, command)
        for peer, served in others.items():
            if served != pid:
                self.assertTrue(await self.echoed(peer))

    async def test_stopped_worker_holds_up_nobody(self) -> None:
        command = await self.lab("--workers", "2")
        # The other has more, and would leave newcomers to it.
        before = await self.peers(40)
        pid = self.serving(command)[1]
        for peer, served in before.items():
            if served == pid:
                peer.close()
        os.kill(pid, signal.SIGSTOP)
        after = await self.peers(60)
        self.assertEqual(set(after.values()), {self.serving(command)[2]})
        os.kill(pid, signal.SIGCONT)
        await self.until(lambda: True, command)

    async def test_one_that_keeps_dying_is_told_of_and_replaced(self) -> None:
        command = await self.lab("--workers", "1")
        for _ in range(3):
            pid = self.serving(command)[1]
            peer = self.connect(self.port)
            await self.told(peer)
            peer.sendall(b"die")
            await command.line(rf"worker 1 \(pid {pid}\) ended: 3 after .*, with 1 connections; ")
            await self.until(lambda pid=pid: self.serving(command)[1] != pid, command)  # type: ignore[misc]
        self.assertRegex(command.out, "another (takes its place|in 0[.])")
        self.assertNotIn("Traceback", command.out)

    async def test_first_is_killed(self) -> None:
        command = await self.lab("--workers", "2", "--linger-timeout", "600")
        peers = await self.peers(10)
        children = self.children(command)
        self.assertGreaterEqual(len(children), 2)
        ends = [os.pidfd_open(child) for child in children]
        for end in ends:
            self.addCleanup(os.close, end)
        command.signal("KILL")
        await command.ended()
        await self.refused()
        another = socket.create_server(("127.0.0.1", self.port))
        another.close()
        for peer in peers:
            self.assertEqual(await self.talk(peer, b"last words"), b"last words")
        for end in ends:
            await deferToThread(_ended, end)

    async def refused(self) -> None:
        end = time.monotonic() + PATIENCE / 4
        with contextlib.suppress(ConnectionRefusedError):
            while time.monotonic() < end:
                self.connect(self.port).close()
                await deferLater(reactor, 0.005)
            self.fail("somebody still listens")


def _ended(process: int) -> None:
    import select

    ready, _, _ = select.select([process], [], [], PATIENCE)
    assert ready


@slow
class Ending(Workers):
    async def test_everybody_finishes(self) -> None:
        command = await self.lab("--workers", "2", "--linger-timeout", "600")
        peers = await self.peers(10)
        command.signal("TERM")
        told = re.compile(r"draining: (\d+) connected")
        await self.until(lambda: sum(map(int, told.findall(command.out))) == 10, command)
        self.assertRaises(ConnectionRefusedError, self.connect, self.port)
        for peer in peers:
            self.assertEqual(await self.talk(peer, b"unfinished"), b"unfinished")
            peer.close()
        await command.ended()
        self.assertEnded(command, 0)
        self.assertRegex(
            command.out, r"\[tcplab\] drained=10 aborted=0 seconds=\S+, all workers together"
        )

    async def test_status_is_1_when_a_worker_had_to_abort_somebody(self) -> None:
        words = ("--linger-timeout", "600", "--drain-timeout", "0.1")
        command = await self.lab("--workers", "2", *words)
        peer = self.connect(self.port)
        await self.hear(peer, 1)
        await self.stop(command, status=1)
        self.assertIn("drained=0 aborted=1 ", command.out)

    async def test_second_signal_ends_it_at_once(self) -> None:
        words = ("--linger-timeout", "600", "--drain-timeout", "none")
        command = await self.lab("--workers", "2", *words)
        await self.hear(self.connect(self.port), 1)
        command.signal("TERM")
        await command.line("draining: 1 connected, no limit")
        command.signal("INT")
        await command.ended()
        self.assertEnded(command, 1)
        self.assertIn("drained=0 aborted=1 ", command.out)

    async def test_it_is_told_to_end_while_it_starts(self) -> None:
        command = self.start(*TWISTD, "tcplab", "-p", "0", "--workers", "2")
        await command.line("starting up")
        await self.until(lambda: bool(self.children(command)), command)
        await self.stop(command)


@slow
class Restarting(Workers):
    async def test_nobody_notices(self) -> None:
        command = await self.lab("--workers", "2", "--linger-timeout", "2")
        old = set(self.serving(command).values())
        [(before, served)] = (await self.peers(1)).items()
        command.signal("HUP")
        restarted: list[Any] = []
        command.line("restarted: every worker is a new one").addCallback(restarted.append)
        while not restarted:
            [(peer, _)] = (await self.peers(1)).items()
            self.assertEqual(await self.talk(peer, b"x" * 1000), b"x" * 1000)
            peer.close()
        self.assertFalse(old & set(self.serving(command).values()))
        self.assertIn(served, old)
        self.assertIn(await self.hear(before, 1), (b"",))  # it was asked to finish
        await self.stop(command)

    async def test_new_code_is_loaded(self) -> None:
        command = await self.lab("--workers", "1")
        self.write("who.py", WHO.replace("{os.getpid()}", "1234567"))
        command.signal("HUP")
        await command.line("restarted: ")
        # The old one may not have heard yet that it is to leave.
        while await self.told(self.connect(self.port)) != b"1234567":
            self.assertIsNone(command.status)

    async def test_broken_code_leaves_the_old_workers_where_they_are(self) -> None:
        command = await self.lab("--workers", "2")
        old = set(self.serving(command).values())
        self.write("who.py", "1/0")
        command.signal("HUP")
        await command.line("tcplab: who cannot be imported: who.py, line 1: ZeroDivisionError")
        await command.line("not restarted: the old workers go on")
        self.assertLessEqual(set((await self.peers(4)).values()), old)
        await self.stop(command)


@slow
class HandedOver(Workers):
    """Without workers: a parent, as systemd is one, holds the socket."""

    async def taking(self, holder: socket.socket, *words: str) -> Command:
        shell = 'LISTEN_PID=$$ exec "$0" "$@"'
        words = ("/bin/sh", "-c", shell, *TWISTD, "tcplab", "-b", "echo", "-p", "0", *words)
        return self.start(
            *words,
            env={"LISTEN_FDS": "1"},
            childFDs={0: "w", 1: "r", 2: "r", 3: holder.fileno()},
        )

    async def test_new_lab_takes_over(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as holder:
            self.port = holder.getsockname()[1]
            command = await self.taking(holder)
            self.assertEqual(await self.portOf(command, "echo"), self.port)
            for _ in range(2):
                another = await self.taking(holder)
                await another.line("serving echo")
                command.signal("TERM")
                while command.status is None:
                    answer = await self.talk(self.connect(self.port), b"x" * 1000)
                    self.assertEqual(answer, b"x" * 1000)
                self.assertEnded(command, 0)
                command = another
            command.signal("TERM")
            await command.ended()
            self.connect(self.port)  # who holds it still listens

    async def test_workers_share_it_too(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as holder:
            self.port = holder.getsockname()[1]
            command = await self.taking(holder, "--workers", "1")
            await command.line("worker 1 .* serves")
            self.assertEqual(await self.talk(self.connect(self.port), b"x"), b"x")
            await self.stop(command)
            self.connect(self.port)

    async def test_count_must_be_right(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as holder:
            command = await self.taking(holder, "-s", "ack@unix:s")
            await command.ended()
            self.assertEqual(command.status, 1)
            self.assertIn("LISTEN_FDS=1, and there are 2 listeners", command.err)
