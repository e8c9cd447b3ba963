"""Tests for the end of a lab: signals, exit statuses, and what is left in the folder."""

from __future__ import annotations

import os
import select
import signal

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from tests.support.twistd_process import DAEMON, PATIENCE, TWIST, TWISTD, Commands, killer

HUNG = """
    import time
    from twisted.internet import reactor
    from twisted.internet.threads import deferToThread
    from tcplab.protocols import Conversation

    class Hung(Conversation):
        greeting = b"hi"

        def connectionMade(self):
            deferToThread(time.sleep, 3600)
            reactor.resolve("hung.example").addErrback(lambda _: None)
"""


class Signals(Commands):
    async def test_first_hangs_up(self) -> None:
        """A peer that never finishes after that is no failure: nothing was lost."""
        for name in ("TERM", "INT"):
            command = self.start(*TWISTD, "tcplab", "-p", "0", "--linger-timeout", "0.1")
            peer = await self.greeted(command)
            command.signal(name)
            await command.line(f"Received SIG{name}, shutting down")
            self.assertEqual(await self.hear(peer, 1), b"")  # a FIN, no reset
            await self.stop(command, "")
            self.assertIn("drained=1 aborted=0 ", command.out)

    async def test_no_worker_to_restart(self) -> None:
        """SIGHUP ends nothing then."""
        command = self.start(*TWISTD, "tcplab", "-p", "0")
        await self.portOf(command, "lab")
        command.signal("HUP")
        await command.line("SIGHUP: there are no workers to restart: start with --workers")
        await self.stop(command)

    async def test_second_aborts(self) -> None:
        for words, says in (
            (("--drain-timeout", "none"), "draining: 1 connected, no limit"),
            (("--drain-delay", "600"), "accepting for 600 s more, then draining"),
        ):
            lingering = ("--linger-timeout", "600", *words)
            command = self.start(*TWISTD, "tcplab", "-p", "0", *lingering)
            peer = await self.greeted(command)
            command.signal("TERM")
            await command.line(says)
            if "--drain-delay" in words:
                await self.greeted(command)  # it still accepts
            else:
                self.assertRaises(ConnectionRefusedError, self.connect, peer.getpeername()[1])
            command.signal("INT")
            await command.line("Received SIGINT again, ending at once")
            await self.stop(command, "", status=1)
            self.assertRaises(ConnectionResetError, peer.recv, 1)
            self.assertRegex(command.out, "drained=0 aborted=[12] ")

    async def test_no_thread_is_waited_for(self) -> None:
        """Neither one that looks up a name, nor one of a behaviour's own."""
        self.write("hung.py", HUNG)
        for more in ((), ("--workers", "1")):
            words = ("--port", "0", "-b", "hung.Hung", *more)
            command = self.start(*TWISTD, "tcplab", *words)
            peer = self.connect(await self.portOf(command, "hung.Hung"))
            self.assertEqual(await self.hear(peer, 2), b"hi")
            peer.close()
            await self.stop(command)  # long before the threads return

    async def test_status_is_1_after_the_deadline(self) -> None:
        for how in (TWISTD, TWIST):
            words = ("--linger-timeout", "600", "--drain-timeout", "0.1")
            command = self.start(*how, "tcplab", "-p", "0", *words)
            stuck, other = [await self.greeted(command) for _ in range(2)]
            self.assertEqual(await self.talk(other, b""), b"")
            other.close()
            await command.line("closed by=peer")
            await self.stop(command, status=1)
            self.assertIn("drained=0 aborted=1 seconds=", command.out)
            self.assertIn("why=drain-timeout", command.out)
            self.assertRaises(ConnectionResetError, stuck.recv, 1)


class Background(Commands):
    async def test_daemon(self) -> None:
        words = ("--port", "0", "--serve", "ack@unix:s", "--port-file", "ports")
        parent = self.start(*DAEMON, "tcplab", *words)
        self.assertEqual(await parent.ended(), 0, parent.err)
        self.assertEqual(parent.out + parent.err, "")
        ending = killer(self, int(self.read("twistd.pid")))
        # Bound before the fork, served after it.
        while not os.path.exists(os.path.join(self.folder, "ports")):
            await deferLater(reactor, 0.005)
        port = int(self.read("ports").split()[2])
        answer = await self.talk(self.connect(port), b"x" * 300_000)
        self.assertEqual(answer, b"You are connected!" + b"x" * 300_000)
        path = os.path.join(self.folder, "s")
        self.assertEqual(self.read("ports"), f"lab 127.0.0.1 {port}\nack unix {path}\n")
        another = self.start(*TWISTD, "tcplab", "--serve", "ack@unix:s")
        self.assertEqual(await another.ended(), 2)
        self.assertIn(f"another process serves on {path}", another.err)
        signal.pidfd_send_signal(ending, signal.SIGTERM)
        ended, _, _ = await deferToThread(select.select, [ending], [], [], PATIENCE)
        self.assertEqual(ended, [ending])
        self.assertEqual(sorted(os.listdir(self.folder)), ["ports", "twistd.log"])
        self.assertIn("Received SIGTERM, shutting down", self.read("twistd.log"))
        self.assertNotIn("Traceback", self.read("twistd.log"))
