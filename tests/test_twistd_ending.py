"""How the commands end: by signals, in the foreground and in the background."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket

from twisted.internet.threads import deferToThread

from tests.commands import DAEMON, PATIENCE, TWISTD, Command, Commands


class Signals(Commands):
    async def lingering(self) -> tuple[Command, socket.socket]:
        command = self.start(*TWISTD, "tcplab", "-p", "0", "--linger-timeout", "600")
        return command, await self.greeted(command)

    async def ends(self, name: str) -> None:
        command = self.start(*TWISTD, "tcplab", "-p", "0", "--linger-timeout", "0.1")
        peer = await self.greeted(command)
        command.signal(name)
        await command.line(f"Received SIG{name}, shutting down")
        self.assertEqual(await self.hear(peer, 1), b"")  # hung up on, not reset
        peer.close()
        await command.ended()
        self.assertEnded(command, 0)

    async def test_SIGTERM_hangs_up_politely(self) -> None:
        await self.ends("TERM")

    async def test_SIGINT_hangs_up_politely(self) -> None:
        await self.ends("INT")

    async def test_peer_that_never_finishes_is_aborted_and_the_status_is_0(self) -> None:
        command = self.start(*TWISTD, "tcplab", "-p", "0", "--linger-timeout", "0.1")
        await self.greeted(command)
        command.signal("TERM")
        await command.ended()
        self.assertEnded(command, 0)

    async def test_second_signal_ends_it_at_once(self) -> None:
        command, peer = await self.lingering()
        command.signal("TERM")
        await command.line("Received SIGTERM, shutting down")
        command.signal("INT")
        await command.line("Received SIGINT again, ending at once")
        await command.ended()
        self.assertEnded(command, 0)
        self.assertRaises(ConnectionResetError, peer.recv, 1)


class Background(Commands):
    async def test_daemon(self) -> None:
        words = ("--port", "0", "--serve", "ack@unix:s", "--port-file", "ports")
        parent = self.start(*DAEMON, "tcplab", *words)
        self.assertEqual(await parent.ended(), 0, parent.err)
        self.assertEqual(parent.out + parent.err, "")
        pid = int(self.read("twistd.pid"))
        self.addCleanup(_kill, os.pidfd_open(pid))
        ending = os.pidfd_open(pid)
        self.addCleanup(os.close, ending)
        # Bound before the fork, served after it.
        log = self.read("twistd.log")
        port = int(log.partition("serving lab on tcp 127.0.0.1:")[2].partition(" ")[0])
        answer = await self.talk(self.connect(port), b"x" * 300_000)
        self.assertEqual(answer, b"You are connected!" + b"x" * 300_000)
        path = os.path.join(self.folder, "s")
        self.assertEqual(self.read("ports"), f"lab 127.0.0.1 {port}\nack unix {path}\n")
        another = self.start(*TWISTD, "tcplab", "--serve", "ack@unix:s")
        self.assertEqual(await another.ended(), 1)
        self.assertIn(f"another process serves on {path}", another.err)
        os.kill(pid, signal.SIGTERM)
        ended, _, _ = await deferToThread(select.select, [ending], [], [], PATIENCE)
        self.assertEqual(ended, [ending])
        self.assertEqual(sorted(os.listdir(self.folder)), ["ports", "twistd.log"])
        self.assertIn("Received SIGTERM, shutting down", self.read("twistd.log"))
        self.assertNotIn("Traceback", self.read("twistd.log"))


def _kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, signal.SIGKILL)
    os.close(process)
