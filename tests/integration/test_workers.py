"""
A lab with workers, as processes: `tests.soak.test_runs` has those that are killed or restarted
under load.
"""

from __future__ import annotations

import os
import re
import select
import socket
from collections import Counter

from twisted.internet.threads import deferToThread

from tests.support.certificates import localhostFile, overTLS, servesTLS
from tests.support.tiers import slow
from tests.support.twistd_process import PATIENCE, TWISTD, WHO, Workers


class Serving(Workers):
    async def test_connections_are_spread_evenly_and_the_log_says_which_worker(self) -> None:
        command = await self.lab("--workers", "3")
        counts = Counter((await self.peers(150)).values())
        self.assertEqual(set(counts), set(self.serving(command).values()))
        self.assertLess(max(counts.values()), 1.5 * 50)
        self.assertNotIn(command.transport.pid, counts)
        for number in self.serving(command):
            await command.line(
                rf"\[worker {number},who\.Who,1,127\.0\.0\.1\] server: got connection"
            )

    @servesTLS
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
                peer = await deferToThread(overTLS, peer)
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
        first, _, _ = await deferToThread(select.select, waiting, [], [], PATIENCE)
        self.assertIn(len(first), (1, 2))  # both workers may have seen room for one
        self.assertIn("max-connections=20", command.out)
        self.assertTrue(await self.echoed(peers[1]))


@slow
class Killed(Workers):
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
        await self.stop(command, "")
        self.assertRegex(
            command.out, r"\[tcplab\] drained=10 aborted=0 seconds=\S+, all workers together"
        )

    async def test_status_is_1_after_an_abort(self) -> None:
        for limit in ("0.1", "none"):
            words = ("--linger-timeout", "600", "--drain-timeout", limit)
            command = await self.lab("--workers", "2", *words)
            await self.hear(self.connect(self.port), 1)
            if limit == "none":
                command.signal("TERM")
                await command.line("draining: 1 connected, no limit")
            await self.stop(command, "INT", status=1)
            self.assertIn("drained=0 aborted=1 ", command.out)
            os.remove(os.path.join(self.folder, "ports"))

    async def test_it_is_told_to_end_while_it_starts(self) -> None:
        command = self.start(*TWISTD, "tcplab", "-p", "0", "--workers", "2")
        await command.line("starting up")
        await self.until(lambda: bool(self.children(command)), command)
        await self.stop(command)


@slow
class Restarting(Workers):
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
