"""What the commands refuse: one line that says what to do, status 1, and nothing left behind."""

from __future__ import annotations

import os
import socket

from twisted.internet.defer import gatherResults

from tests.support.twistd_process import DAEMON, TWIST, TWISTD, Commands


class Refused(Commands):
    """
    Whatever is wrong: one line that says what to do, status 1, and nothing left behind.

    :cvar ways: the ways to start it that are tried.
    """

    ways = (TWISTD, TWIST, DAEMON)

    async def refused(self, *words: str, folder: tuple[str, ...] = ()) -> str:
        """Try it in these ways, and return the line."""
        commands = [self.start(*how, "tcplab", *words) for how in self.ways]
        await gatherResults([command.ended() for command in commands])
        lines = set()
        for command in commands:
            self.assertEnded(command, 1)
            self.assertEqual(command.out, "")
            self.assertEqual(command.err.count("\n"), 1, command.err)
            self.assertTrue(command.err.startswith("tcplab: "), command.err)
            lines.add(command.err)
        self.assertEqual(len(lines), 1)
        self.assertEqual(sorted(os.listdir(self.folder)), sorted(folder))
        return lines.pop()


class Refusing(Refused):
    """What ports, files, folders and twistd itself have a part in, in every way there is."""

    async def test_port_in_use(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.assertEqual(
                await self.refused("--port", str(port)),
                f"tcplab: port {port} is in use on 127.0.0.1: stop whatever has it,"
                " or let the system choose with --port 0\n",
            )

    async def test_port_in_use_after_others_listen(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            path = os.path.join(self.folder, "s")
            # One after the other: three at once would find the socket locked.
            command = self.start(*TWISTD, "tcplab", "-p", str(port), "-s", f"lab@unix:{path}")
            await command.ended()
            self.assertEnded(command, 1)
            command = self.start(
                *TWISTD, "tcplab", "-s", f"lab@unix:{path}", "-s", f"lab@tcp:{port}"
            )
            await command.ended()
            self.assertEnded(command, 1)
            self.assertEqual(os.listdir(self.folder), [])

    async def test_unix_socket_in_use(self) -> None:
        command = self.start(*TWISTD, "tcplab", "-s", "lab@unix:s")
        await command.line("serving lab on unix")
        line = await self.refused("--serve", "lab@unix:s", folder=("s", "s.lock"))
        self.assertIn("another process serves on", line)

    async def test_file_that_is_missing(self) -> None:
        line = await self.refused("--serve", "lab@ssl:0:privateKey=key.pem")
        self.assertIn("key.pem: No such file", line)

    async def test_folder_of_certificates_that_is_missing(self) -> None:
        self.assertIn("nowhere", await self.refused("--serve", "lab@tls:nowhere:0"))

    async def test_module_that_is_not_there(self) -> None:
        line = await self.refused("--behaviour", "nowhere.Shout")
        self.assertIn(f"(here it is {self.folder})", line)

    async def test_module_that_fails_to_import(self) -> None:
        self.write("broken.py", "import sys\n\nsys.no_such_thing\n")
        line = await self.refused("--behaviour", "broken.Shout", folder=("broken.py",))
        self.assertIn("broken.py, line 3: AttributeError: ", line)

    async def test_unknown_option(self) -> None:
        self.assertIn("(did you mean --port?)", await self.refused("--prot", "0"))

    async def test_port_file_that_cannot_be_written(self) -> None:
        line = await self.refused("-p", "0", "--port-file", "nowhere/ports")
        self.assertIn("no folder", line)

    async def test_endpoint_that_fails_later(self) -> None:
        # A plugin, since all endpoints of Twisted's own listen at once.
        self.write(
            "twisted/plugins/late_endpoint.py",
            """
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
            """,
        )
        commands = [
            self.start(*how, "tcplab", "-s", "lab@late", env={"PYTHONPATH": self.folder})
            for how in (TWISTD, TWIST)
        ]
        for command in commands:
            await command.ended()
            self.assertEnded(command, 1)
            self.assertIn("tcplab: --serve lab@late: cannot listen on late", command.out)
            self.assertIn("the other side said no", command.out)


class Misspelt(Refused):
    """What only our own words decide, which every way hands on alike."""

    ways = (TWISTD,)

    async def test_unknown_behaviour(self) -> None:
        line = await self.refused("--behaviour", "ecko")
        self.assertIn("there is no behaviour ecko (did you mean echo?)", line)

    async def test_unknown_key(self) -> None:
        line = await self.refused("--behaviour", "echo,frame=lines")
        self.assertIn("echo has no setting frame (did you mean framing?)", line)

    async def test_bad_endpoint(self) -> None:
        self.assertIn("did you mean tcp?", await self.refused("--serve", "lab@tpc:80"))

    async def test_class_that_is_no_protocol(self) -> None:
        line = await self.refused("--behaviour", "collections.OrderedDict")
        self.assertIn("neither a Protocol nor a Factory", line)

    async def test_options_that_contradict_each_other(self) -> None:
        line = await self.refused("--serve", "lab@tcp:0", "--behaviour", "echo")
        self.assertIn("--serve has replaced the default port", line)

    async def test_greeting_that_nobody_says(self) -> None:
        self.assertIn("changes nothing", await self.refused("-b", "echo", "-g", "hi"))
