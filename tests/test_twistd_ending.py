"""How the commands end: by signals, in the foreground and in the background."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from tests.support.twistd_process import DAEMON, PATIENCE, TWIST, TWISTD, Command, Commands


class Signals(Commands):
    async def lingering(self, *words: str) -> tuple[Command, socket.socket]:
        command = self.start(*TWISTD, "tcplab", "-p", "0", "--linger-timeout", "600", *words)
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

        self.assertIn("drained=1 aborted=0 ", command.out)

    async def endsAtOnce(self, *words: str, says: str) -> Command:
        command, peer = await self.lingering(*words)
        command.signal("TERM")
        await command.line(says)
        command.signal("INT")
        await command.line("Received SIGINT again, ending at once")
        await command.ended()
        self.assertEnded(command, 1)
        self.assertRaises(ConnectionResetError, peer.recv, 1)
        self.assertIn("drained=0 aborted=1 ", command.out)
        return command

    async def test_second_signal_ends_it_at_once(self) -> None:
        await self.endsAtOnce("--drain-timeout", "none", says="draining: 1 connected, no limit")

    async def test_second_signal_ends_it_while_it_still_accepts(self) -> None:
        await self.endsAtOnce("--drain-delay", "600", says="accepting for 600 s more")

    async def test_second_signal_when_nobody_is_there(self) -> None:
        command = self.start(*TWISTD, "tcplab", "-p", "0", "--drain-delay", "600")
        (await self.greeted(command)).close()
        await command.line("closed by=peer")
        command.signal("INT")
        await command.line("accepting for 600 s more")
        command.signal("TERM")
        await command.ended()
        self.assertEnded(command, 0)
        self.assertIn("drained=0 aborted=0 ", command.out)

    async def test_accepts_during_the_delay_and_nobody_afterwards(self) -> None:
        command = self.start(*TWISTD, "tcplab", "-p", "0", "--drain-delay", "5")
        port = (await self.greeted(command)).getpeername()[1]
        command.signal("TERM")
        await command.line("accepting for 5 s more, then draining")
        peer = self.connect(port)
        self.assertEqual(await self.hear(peer, 18), b"You are connected!")
        await command.line("draining: 2 connected, 15 s to finish")
        self.assertRaises(ConnectionRefusedError, self.connect, port)
        self.assertEqual(await self.talk(peer, b"bye"), b"bye")

    async def deadline(self, how: tuple[str, ...]) -> None:
        command = self.start(
            *(*how, "tcplab", "-p", "0", "--linger-timeout", "600", "--drain-timeout", "0.1")
        )
        stuck, polite = [await self.greeted(command) for _ in range(2)]
        self.assertEqual(await self.talk(polite, b""), b"")
        polite.close()
        await command.line("closed by=peer")
        command.signal("TERM")
        await command.line("drained=0 aborted=1 seconds=")
        await command.ended()
        self.assertEnded(command, 1)
        self.assertIn("why=drain-timeout", command.out)
        self.assertRaises(ConnectionResetError, stuck.recv, 1)

    async def test_status_is_1_when_somebody_had_to_be_aborted(self) -> None:
        for how in (TWISTD, TWIST):
            await self.deadline(how)

    async def test_status_is_1_when_the_answer_was_not_read(self) -> None:
        command = self.start(*TWISTD, "tcplab", "-p", "0", "--write-timeout", "3")
        peer = await self.greeted(command)
        peer.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                peer.send(b"x" * 65536)
        command.signal("TERM")
        await command.ended()
        self.assertEnded(command, 1)
        self.assertIn("drained=0 aborted=1 ", command.out)


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
        while not os.path.exists(os.path.join(self.folder, "ports")):
            await deferLater(reactor, 0.005)
        port = int(self.read("ports").split()[2])
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
