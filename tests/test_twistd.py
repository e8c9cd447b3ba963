"""The lab as people start it: ``twistd tcplab``, ``twist tcplab``, ``python -m twisted tcplab``."""

from __future__ import annotations

import os
import socket
import ssl

from twisted.internet.threads import deferToThread

from tests.support.certificates import localhostFile
from tests.support.twistd_process import MODULE, PATIENCE, TWIST, TWISTD, Commands


class Running(Commands):
    async def runs(self, how: tuple[str, ...]) -> None:
        command = self.start(*how, "tcplab", "--port", "0")
        peer = await self.greeted(command)
        self.assertEqual(await self.talk(peer, b"hi"), b"hi")
        await command.line("Got the message:hi")
        await command.line("closed by=peer how=fin received=2 sent=20 ")
        command.signal("TERM")
        await command.ended()
        self.assertEnded(command, 0)

    async def test_under_twistd(self) -> None:
        await self.runs(TWISTD)

    async def test_under_twist(self) -> None:
        await self.runs(TWIST)

    async def test_under_python_m_twisted(self) -> None:
        await self.runs(MODULE)

    async def test_first_lines_say_what_where_and_who_can_reach_it(self) -> None:
        command = self.start(*TWISTD, "tcplab", "-p", "0", "-s", "echo@tcp:0", "-s", "ack@unix:s")
        await command.line(
            r"serving lab on tcp 127\.0\.0\.1:\d+ \(reachable from this machine only\)"
        )
        await command.line(
            r"serving echo on tcp 0\.0\.0\.0:\d+ \(reachable from every network this machine"
        )
        await command.line(r"serving ack on unix /\S+/s \(reachable by local users who may open")

    async def test_two_labs_in_one_folder(self) -> None:
        labs = [self.start(*TWISTD, "tcplab", "--port", "0") for _ in range(2)]
        for command in labs:
            await self.greeted(command)
            self.assertEqual(os.listdir(self.folder), [])

    async def test_pid_file_that_was_asked_for(self) -> None:
        command = self.start(*TWISTD, "--pidfile", "my.pid", "tcplab", "--port", "0")
        (await self.greeted(command)).close()
        self.assertEqual(int(self.read("my.pid")), command.transport.pid)
        command.signal("TERM")
        await command.ended()
        self.assertEqual(os.listdir(self.folder), [])

    async def test_several_listeners_and_the_port_file(self) -> None:
        command = self.start(
            *(*TWISTD, "tcplab", "--port", "0", "--port-file", "ports", "--linger-timeout", "0.1"),
            *("--serve", "echo,framing=lines@tcp6:0:interface=\\:\\:1"),
            *("--serve", "lab@unix:s", "--serve", "twisted.protocols.wire.Echo@tcp:0"),
        )
        await self.greeted(command)  # so that the file has been written
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
        six = self.connect(int(lines[1][2]), "::1")
        self.assertEqual(await self.talk(six, b"a\nb"), b"a\nb\n")
        unix = socket.socket(socket.AF_UNIX)
        self.addCleanup(unix.close)
        unix.settimeout(PATIENCE)
        unix.connect(path)
        self.assertEqual(
            await self.talk(unix, b"x" * 100_000), b"You are connected!" + b"x" * 100_000
        )
        plain = self.connect(int(lines[3][2]))
        plain.sendall(b"plain")
        self.assertEqual(await self.hear(plain, 5), b"plain")
        command.signal("TERM")
        await command.ended()
        self.assertEnded(command, 0)
        self.assertEqual(os.listdir(self.folder), ["ports"])

    async def test_greeting_of_ones_own(self) -> None:
        command = self.start(*TWISTD, "tcplab", "-p", "0", "-b", "ack", "-g", r"hi\x21\n")
        peer = self.connect(await self.portOf(command, "ack"))
        self.assertEqual(await self.talk(peer, b"x"), b"hi!\n")


class Endpoints(Commands):
    def secure(self, port: int) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=os.path.join(self.folder, "localhost.pem"))
        peer = context.wrap_socket(self.connect(port), server_hostname="localhost")
        self.addCleanup(peer.close)
        return peer

    async def served(self, endpoint: str) -> None:
        command = self.start(*TWISTD, "tcplab", "--serve", f"greeting@{endpoint}")
        peer = await deferToThread(self.secure, await self.portOf(command, "greeting"))
        self.assertEqual(await self.talk(peer, b"hi"), b"Hello from server!")
        await command.line("Got the message:hi")

    async def test_ssl(self) -> None:
        localhostFile(self.folder)
        await self.served("ssl:0:privateKey=localhost.pem:interface=127.0.0.1")

    async def test_tls(self) -> None:
        localhostFile(self.folder)
        await self.served("tls:.:0")

    async def test_systemd(self) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        words = " ".join([*TWISTD, "tcplab", "--serve", "lab@systemd:domain=INET:name=lab"])
        command = self.start(
            *("/bin/sh", "-c", f"LISTEN_PID=$$ exec {words}"),
            env={"LISTEN_FDS": "1", "LISTEN_FDNAMES": "lab"},
            childFDs={0: "w", 1: "r", 2: "r", 3: listening.fileno()},
        )
        await self.greeted(command)


class OnesOwn(Commands):
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
        command = self.start(*TWISTD, "tcplab", "-p", "0", "-b", "chat.rooms.Room,room=a b,size=4")
        port = await self.portOf(command, "chat.rooms.Room,room=a b,size=4")
        self.assertEqual(await self.talk(self.connect(port), b""), b"a b 5")
