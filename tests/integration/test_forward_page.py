"""The page about forward: its commands as they stand, but for the ports, and its program."""

from __future__ import annotations

import re
import socket

from twisted.trial.unittest import SynchronousTestCase

from tests.support.ports import free
from tests.support.rst_pages import page, programs, terminals
from tests.support.subprocess_server import LIMIT, Server, run, scratch
from tests.support.tiers import processes

PAGE = page("docs/howto/real-server.rst")
PLACES = ("50544", "50545", "50546")
ECHO = "tcplab serve --port 50545 --behaviour echo"


def freePorts() -> dict[str, str]:
    """Find a free port for each that is in the page."""
    first = free(len(PLACES))
    return {place: str(first + number) for number, place in enumerate(PLACES)}


def last(server: Server) -> str:
    """Return the port of the last listener of a lab, once all listen."""
    served = re.findall(r"serving .* on tcp 127\.0\.0\.1:(\d+) ", server.output)
    return str(served[-1]) if "starting up" in server.output and served else ""


@processes
class PageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = scratch(self)
        self.ports = freePorts()

    def start(self, command: str) -> None:
        server = Server(self.placed(command), self.folder, last)
        self.addCleanup(self.stop, server)

    def stop(self, server: Server) -> None:
        server.stop()
        self.assertNotIn("Traceback", server.output)

    def placed(self, command: str) -> str:
        for place, port in self.ports.items():
            command = command.replace(place, port)
        return re.sub("connect localhost(?!:)", f"connect localhost:{self.ports['50544']}", command)

    def typed(self, words: str, *before: str) -> list[str]:
        """Type the commands of the block that has these words, the servers first."""
        [block] = [each for each in terminals(PAGE) if words in each[0] + each[-1]]
        for command in (*before, *(each for each in block if each.startswith("tcplab serve"))):
            self.start(command)
        return [
            run(self.placed(command)).stdout.decode()
            for command in block
            if not command.startswith("tcplab serve")
        ]

    def exchange(self, said: bytes, place: str = "50544") -> bytes:
        with socket.create_connection(("127.0.0.1", int(self.ports[place])), LIMIT) as sock:
            sock.sendall(said)
            sock.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: sock.recv(65536), b""))

    def test_theClientDoesNotNotice(self) -> None:
        self.assertEqual(self.typed("--send hello"), ["hello"])

    def test_whatTheClientHears(self) -> None:
        self.typed("reset_peer", ECHO)
        said = bytes(20_000)
        self.assertEqual([self.exchange(said) for _ in range(2)], [said, said])
        self.assertRaises(ConnectionResetError, self.exchange, said)

    def test_whatTheServerHears(self) -> None:
        self.typed("half_close", ECHO)
        self.assertEqual(self.exchange(bytes(20_000)), bytes(4096))

    def test_theLinkBehind(self) -> None:
        self.typed("bandwidth", ECHO)
        self.assertEqual(self.exchange(b"x" * 30_000), b"x" * 30_000)

    def test_aDoorForEachWeather(self) -> None:
        self.typed("@forward-2", ECHO)
        self.assertEqual([self.exchange(b"hi", each) for each in ("50544", "50546")], [b"hi"] * 2)

    def test_whoTheClientIs(self) -> None:
        [said] = self.typed("whoami")
        self.assertRegex(said, r"peer=127\.0\.0\.1:\d+ via=127\.0\.0\.1:\d+ ")

    def test_aServerThatCannotBeReached(self) -> None:
        self.start("tcplab serve --port 50544 --behaviour forward,to=tcp:localhost:50545")
        address = ("127.0.0.1", int(self.ports["50544"]))
        # The reset may be here before connect() has returned.
        with (
            self.assertRaises(ConnectionResetError),
            socket.create_connection(address, LIMIT) as sock,
        ):
            sock.recv(1)

    def test_theProgram(self) -> None:
        (self.folder / "censor.py").write_text(programs(PAGE)[0])
        self.start(ECHO)
        self.start("tcplab serve --port 50544 --behaviour censor.Censor,to=tcp:localhost:50545")
        self.assertEqual(self.exchange(b"a secret\nquit\nbye"), b"a ******\nbye")
