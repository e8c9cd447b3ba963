"""Programs that users have: netcat, socat, openssl and Python's own sockets, against our server."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from subprocess import CompletedProcess
from unittest import SkipTest

from tcplab.protocols import Ack, ConversationFactory, Dialogue, Echo
from tests.support.certificates import localhostFile
from tests.support.pseudo_terminal import Terminal
from tests.support.socket_server import Serving, Told, readAll
from tests.support.subprocess_server import needed, run
from tests.support.tiers import processes

MEGABYTE = b"".join(b"%07d\n" % number for number in range(125_000))
OPENSSL = "openssl s_client -quiet -connect 127.0.0.1:{}"

#: Those that finish and go on reading: how each is called, where the server listens for it, and
#: an option that its help must mention. On TLS, the end is a close_notify.
HALF_CLOSING = {
    "netcat": ("nc -N 127.0.0.1 {}", "tcp", "-N"),
    "netcatOverUnixSocket": ("nc -N -U {}", "unix", "-N"),
    "ncat": ("ncat 127.0.0.1 {}", "tcp", ""),
    "ncatOverTLS": ("ncat --ssl 127.0.0.1 {}", "tls", "--ssl"),
    "socat": ("socat -t 30 - TCP:127.0.0.1:{}", "tcp", ""),
    "socatOverUnixSocket": ("socat -t 30 - UNIX-CONNECT:{}", "unix", ""),
    "socatOverTLS": ("socat -t 30 - OPENSSL:127.0.0.1:{},verify=0", "tls", "openssl"),
}


class Whole(Dialogue):
    """Receive a megabyte, send it back, hang up."""

    async def converse(self) -> None:
        self.send(await self.receiveExactly(len(MEGABYTE)))


class Programs(Serving):
    async def served(self, behaviour: type, kind: str) -> Told:
        """Serve it where the program connects."""
        if kind == "unix":
            endpoint = f"unix:{self.unixPath()}"
        elif kind == "tls":
            pem = localhostFile(self.folder())
            endpoint = f"ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1"
        else:
            endpoint = "tcp:0:interface=127.0.0.1"
        return await self.serve(ConversationFactory(behaviour), endpoint)

    async def called(self, command: str, say: bytes) -> CompletedProcess[bytes]:
        """Run the program, with something to send and the end of it."""
        place = getattr(self.host, "name", b"").decode() or getattr(self.host, "port", 0)
        done: CompletedProcess[bytes] = await self.talk(run, command.format(place), say)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    async def assertWhole(self, answer: bytes, said: bytes, told: Told, by: str = "peer") -> None:
        """The answer is what was sent, and the connection was closed by FIN."""
        self.assertTrue(answer == said, f"{len(answer)} of {len(said)} bytes came back")
        ending = await told.ending(len(told.opened))
        self.assertEqual((ending.by, ending.how, ending.why), (by, "fin", None))


@processes
class HalfClosingTests(Programs):
    """One test for each program is added below."""

    async def exchanges(self, command: str, kind: str, option: str) -> None:
        name = command.partition(" ")[0]
        needed(name)
        told = run(f"{name} -h")
        if not re.search(rf"{option}\b", (told.stdout + told.stderr).decode()):
            raise SkipTest(f"this {name} has no option {option}")
        observed = await self.served(Echo, kind)
        for said in (b"hi\n", MEGABYTE):
            done = await self.called(command, said)
            await self.assertWhole(done.stdout, said, observed)


for _name, _words in HALF_CLOSING.items():
    setattr(HalfClosingTests, f"test_{_name}", lambda self, words=_words: self.exchanges(*words))


@processes
class OtherTests(Programs):
    async def test_telnet(self) -> None:
        """It prints the greeting, and its line ends arrive; here the server closes."""
        needed("telnet")
        told = await self.served(Ack, "tcp")
        await self.talk(typed, ["telnet", "127.0.0.1", str(self.host.port)], b"hi\n")
        ending = await told.ending()
        self.assertEqual((told.messages, ending.by), ([b"hi\r\n"], "server"))

    async def test_nmap(self) -> None:
        """Its probes, resets among them, hold up no client."""
        needed("nmap")
        told = await self.served(Echo, "tcp")
        scan = f"nmap -Pn -n -sV --version-light -p {self.host.port} 127.0.0.1"
        done = await self.talk(run, scan, b"")
        self.assertRegex(done.stdout.decode(), rf"{self.host.port}/tcp +open +echo")
        self.assertEqual(await self.talk(exchange, self.connect()), MEGABYTE)
        await told.ending(len(told.opened))


@processes
class OpenSSLTests(Programs):
    """It never reads after its own end; with -quiet it waits for the server's."""

    def setUp(self) -> None:
        needed("openssl")

    async def test_closeNotifyBehindAMegabyte(self) -> None:
        told = await self.served(Whole, "tls")
        done = await self.called(OPENSSL, MEGABYTE)
        await self.assertWhole(done.stdout, MEGABYTE, told, by="server")
        self.assertNotIn(b"unexpected eof", done.stderr)

    async def test_messageWithItsCloseNotifyRightBehind(self) -> None:
        told = await self.served(Ack, "tls")
        await self.called("openssl s_client -brief -no_ign_eof -connect 127.0.0.1:{}", b"hi\n")
        ending = await told.ending()
        self.assertEqual((told.messages, ending.how, ending.why), ([b"hi\n"], "fin", None))


def typed(command: list[str], keys: bytes) -> None:
    """Type at a program on a terminal, once it has shown the greeting; wait for its end."""
    terminal = Terminal(command)
    try:
        terminal.wait(b"You are connected!")
        terminal.type(keys)
        terminal.status()
    finally:
        terminal.close()


def exchange(sock: socket.socket) -> bytes:
    """Send a megabyte and finish, while it is read back."""

    def send() -> None:
        sock.sendall(MEGABYTE)
        sock.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    with sock:
        try:
            return readAll(sock)
        finally:
            sender.join()


def exchangeOverTLS(sock: socket.socket) -> bytes:
    """Send a megabyte in pieces, read each back, and end with a close_notify, answered."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    heard = b""
    with context.wrap_socket(sock) as tls:
        for start in range(0, len(MEGABYTE), 50_000):
            tls.sendall(MEGABYTE[start : start + 50_000])
            while len(heard) < start + 50_000:
                heard += tls.recv(65536)
        tls.unwrap().close()
    return heard


class StandardLibraryTests(Programs):
    async def test_aMegabyteComesBackIdentical(self) -> None:
        for kind, client in (("tcp", exchange), ("tls", exchangeOverTLS)):
            told = await self.served(Echo, kind)
            await self.assertWhole(await self.talk(client, self.connect()), MEGABYTE, told)
