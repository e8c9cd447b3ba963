"""Tests for the plugin as users start it: real commands, real ports."""

from __future__ import annotations

import os
import socket
import ssl

from twisted.internet.threads import deferToThread

from tests.support.certificates import localhostFile, servesTLS
from tests.support.twistd_process import MODULE, PATIENCE, TWIST, TWISTD, Commands


class Running(Commands):
    async def runs(self, how: tuple[str, ...]) -> None:
        command = self.start(*how, "tcplab", "--port", "0")
        peer = await self.greeted(command)
        self.assertEqual(os.listdir(self.folder), [])  # several labs may run in one folder
        self.assertEqual(await self.talk(peer, b"hi"), b"hi")
        await command.line("Got the message:hi")
        await command.line("closed by=peer how=fin received=2 sent=20 ")
        await self.stop(command)

    async def test_twistd(self) -> None:
        await self.runs(TWISTD)

    async def test_twist(self) -> None:
        await self.runs(TWIST)

    async def test_python_m_twisted(self) -> None:
        await self.runs(MODULE)

    async def test_several_listeners_and_the_port_file(self) -> None:
        command = self.start(
            *(*TWISTD, "--pidfile", "my.pid", "tcplab", "--port", "0", "--port-file", "ports"),
            *("--serve", "echo,framing=lines@tcp6:0:interface=\\:\\:1", "--linger-timeout", "0.1"),
            *("--serve", "lab@unix:s", "--serve", "twisted.protocols.wire.Echo@tcp:0"),
        )
        await self.greeted(command)  # so that the file has been written
        self.assertEqual(int(self.read("my.pid")), command.transport.pid)
        lines = [line.split() for line in self.read("ports").splitlines()]
        self.assertEqual(
            [(name, host) for name, host, _ in lines],
            [
                ("lab", "127.0.0.1"),
                ("echo", "::1"),
                ("lab-2", "unix"),
                ("twisted.protocols.wire.Echo", "0.0.0.0"),
            ],
        )
        path = lines[2][2]
        self.assertEqual(path, os.path.join(self.folder, "s"))
        for said in (
            r"lab on tcp 127\.0\.0\.1:\d+ \(reachable from this machine only\)",
            r"twisted.protocols.wire.Echo on tcp 0\.0\.0\.0:\d+ \(reachable from every network",
            r"lab on unix /\S+/s \(reachable by local users that may open",
        ):
            self.assertRegex(command.out, "serving " + said)
        six = self.connect(int(lines[1][2]), "::1")
        self.assertEqual(await self.talk(six, b"a\nb"), b"a\nb\n")
        unix = socket.socket(socket.AF_UNIX)
        self.addCleanup(unix.close)
        unix.settimeout(PATIENCE)
        unix.connect(path)
        said = b"x" * 100_000
        self.assertEqual(await self.talk(unix, said), b"You are connected!" + said)
        plain = self.connect(int(lines[3][2]))
        plain.sendall(b"plain")
        self.assertEqual(await self.hear(plain, 5), b"plain")
        await self.stop(command)
        self.assertEqual(os.listdir(self.folder), ["ports"])

    @servesTLS
    async def test_tls(self) -> None:
        pem = localhostFile(self.folder)
        context = ssl.create_default_context(cafile=pem)
        for endpoint in ("ssl:0:privateKey=localhost.pem:interface=127.0.0.1", "tls:.:0"):
            command = self.start(*TWISTD, "tcplab", "--serve", f"greeting@{endpoint}")
            sock = self.connect(await self.portOf(command, "greeting"))
            peer = await deferToThread(context.wrap_socket, sock, server_hostname="localhost")
            self.addCleanup(peer.close)
            self.assertEqual(await self.talk(peer, b"hi"), b"Hello from server!")
            await command.line("Got the message:hi")


class UsersClasses(Commands):
    """Classes of the user's, importable from the folder where twistd was started."""

    async def test_class_of_the_current_folder(self) -> None:
        self.write(
            "shout.py",
            """
            from tcplab.protocols import Conversation, Lines

            class Shout(Conversation):
                greeting = b"say something"
                framing = Lines

                def messageReceived(self, message):
                    self.send(message.upper())
            """,
        )
        for how in (TWISTD, TWIST):
            command = self.start(*how, "tcplab", "-p", "0", "-b", "shout.Shout")
            peer = self.connect(await self.portOf(command, "shout.Shout"))
            self.assertEqual(await self.talk(peer, b"hi\nho"), b"say something\nHI\nHO\n")

    async def test_factory_with_its_keyword_arguments(self) -> None:
        self.write(
            "chat/rooms.py",
            """
            from twisted.internet.protocol import Factory, Protocol

            class Member(Protocol):
                def connectionMade(self):
                    self.transport.write(f"{self.factory.room} {self.factory.size + 1}".encode())
                    self.transport.loseConnection()

            class Room(Factory):
                protocol = Member
                def __init__(self, room, size: int = 0):
                    self.room, self.size = room, size
            """,
        )
        spec = "chat.rooms.Room,room=a b,size=4"
        command = self.start(*TWISTD, "tcplab", "-p", "0", "-b", spec)
        port = await self.portOf(command, spec)
        self.assertEqual(await self.talk(self.connect(port), b""), b"a b 5")
