"""Tests for what twistd cannot start: one line that says what to do, and nothing is left behind."""

from __future__ import annotations

import os
import socket

from twisted.internet.defer import gatherResults

from tests.support.twistd_process import DAEMON, TWIST, TWISTD, Commands

#: A plugin, since all endpoints of Twisted's own listen at once.
LATE = """
    from twisted.internet import endpoints, interfaces, task
    from twisted.plugin import IPlugin
    from zope.interface import implementer

    def fail():
        raise OSError("the other side said no")

    @implementer(IPlugin, interfaces.IStreamServerEndpointStringParser)
    class Late:
        prefix = "late"
        def __init__(self, reactor=None):
            self.reactor = reactor
        def parseStreamServer(self, reactor):
            return Late(reactor)
        def listen(self, factory):
            return task.deferLater(self.reactor, 0, fail)

    late = Late()
"""


class Refusing(Commands):
    async def refused(self, *words: str, ways: tuple[tuple[str, ...], ...] = (TWISTD,)) -> str:
        """Start it in each way, and return the line; the status is 2, and the folder as before."""
        before = sorted(os.listdir(self.folder))
        commands = [self.start(*how, "tcplab", *words) for how in ways]
        await gatherResults([command.ended() for command in commands])
        lines = set()
        for command in commands:
            self.assertEnded(command, 2)
            self.assertEqual(command.out, "")
            self.assertEqual(command.err.count("\n"), 1, command.err)
            self.assertTrue(command.err.startswith("tcplab: "), command.err)
            lines.add(command.err)
        self.assertEqual(len(lines), 1)
        self.assertEqual(sorted(os.listdir(self.folder)), before)
        return lines.pop()

    async def test_port_in_use(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.assertIn(
                f"tcplab: port {port} is in use on 127.0.0.1: stop the program that has it,"
                " or let the system choose with --port 0",
                await self.refused("--port", str(port), ways=(TWISTD, TWIST, DAEMON)),
            )
            # Beside a socket that could be bound, before it or after it.
            await self.refused("-p", str(port), "-s", "lab@unix:s")
            await self.refused("-s", "lab@unix:s", "-s", f"lab@tcp:{port}")

    async def test_unix_socket_in_use(self) -> None:
        command = self.start(*TWISTD, "tcplab", "-s", "lab@unix:s")
        await command.line("serving lab on unix")
        line = await self.refused("--serve", "lab@unix:s", ways=(TWISTD, TWIST, DAEMON))
        self.assertIn("another process serves on", line)

    async def test_words(self) -> None:
        """Of each place where they are checked, one."""
        self.write("broken.py", "import sys\n\nsys.no_such_thing\n")
        self.write("raises.py", r"raise ValueError('\x1b[31m\x9b')")
        self.write("runs.py", "from twisted.internet import reactor\nreactor.run()\n")
        for words, says in (
            (("--prot", "0"), "(did you mean --port?)"),
            (("--behaviour", "ecko"), "--behaviour ecko: there is no behaviour ecko (did you"),
            (("--behaviour", "nowhere.Shout"), f"(here it is {self.folder})"),
            (("--behaviour", "broken.Shout"), "broken.py, line 3: AttributeError: "),
            (("--behaviour", "raises.Shout"), r"ValueError: \x1b[31m\x9b: mend it"),
            (("-b", "runs.Shout"), "runs.py, line 2 runs the reactor while runs is imported: put"),
            (("--serve", "lab@ssl:0:privateKey=key.pem"), "key.pem: No such file"),
            (("--serve", "lab@tls:nowhere:0"), "nowhere"),
            (("-p", "0", "--port-file", "nowhere/ports"), "no folder"),
            (
                ("-p", "0", "--log-file", "nowhere/log"),
                "nowhere/log cannot be opened: No such file",
            ),
        ):
            self.assertIn(says, await self.refused(*words), words)

    async def test_folder_that_is_gone(self) -> None:
        """Paths are relative to nothing then, and workers could not be started there."""
        gone = os.path.join(self.folder, "gone")
        for words in (("--workers", "1"), ("--log-file", "log"), ("-b", "mine.Thing")):
            script = f'mkdir {gone}; cd {gone}; rmdir {gone}; exec "$@"'
            command = self.start("sh", "-c", script, "sh", *TWISTD, "tcplab", "-p", "0", *words)
            await command.ended()
            self.assertEnded(command, 2)
            self.assertEqual(
                command.err,
                "tcplab: the folder in which it was started is gone: change to another one\n",
            )

    async def test_endpoint_that_fails_later(self) -> None:
        self.write("twisted/plugins/late_endpoint.py", LATE)
        for how in (TWISTD, TWIST):
            command = self.start(*how, "tcplab", "-s", "lab@late", env={"PYTHONPATH": self.folder})
            await command.ended()
            self.assertEnded(command, 2)
            self.assertIn("tcplab: --serve lab@late: cannot listen on late", command.out)
            self.assertIn("the other side said no", command.out)
