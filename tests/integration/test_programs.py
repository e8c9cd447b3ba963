"""Programs that nobody here wrote talk to the servers, half-close, and get all of it back."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from subprocess import CompletedProcess

from twisted.trial.unittest import SkipTest

from tcplab.protocols import Ack, ConversationFactory, Dialogue, Echo
from tests.support.certificates import localhostFile
from tests.support.find_program import needed
from tests.support.socket_server import Serving, Told, readAll
from tests.support.subprocess_server import run
from tests.support.tiers import processes

MEGABYTE = b"".join(b"%07d\n" % number for number in range(125_000))


class Programs(Serving):
    """
    What every program is tried with.

    :cvar command: how it is called.
    :cvar endpoint: where the server listens for it.
    :cvar option: what its help must mention.
    """

    command = ""
    endpoint = "tcp:0:interface=127.0.0.1"
    option = ""

    def setUp(self) -> None:
        name = self.command.partition(" ")[0]
        if not name:
            return
        needed(name)
        told = run(f"{name} -h")
        if not re.search(rf"{self.option}\b", (told.stdout + told.stderr).decode()):
            raise SkipTest(f"this {name} has no option {self.option}")

    async def served(self, behaviour: type, endpoint: str | None = None) -> Told:
        """Serve it where the program will look."""
        where = endpoint or self.endpoint
        if where == "unix:":
            where += self.unixPath()
        elif where == "tls":
            pem = localhostFile(self.folder())
            where = f"ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1"
        return await self.serve(ConversationFactory(behaviour), where)

    async def called(self, say: bytes) -> CompletedProcess[bytes]:
        """Run the program, with something to say and the end of it."""
        place = getattr(self.host, "name", b"").decode() or getattr(self.host, "port", 0)
        done: CompletedProcess[bytes] = await self.talk(run, self.command.format(place), say)
        return done


@processes
class HalfClosing:
    """For programs that say their end and go on reading."""

    async def test_theAnswerComesAfterTheHalfClose(self: Programs) -> None:  # type: ignore[misc]
        told = await self.served(Echo)
        done = await self.called(b"hi\n")
        self.assertEqual((done.returncode, done.stdout), (0, b"hi\n"), done.stderr)
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how, ending.why), ("peer", "fin", None))

    async def test_aMegabyteComesBackIdentical(self: Programs) -> None:  # type: ignore[misc]
        told = await self.served(Echo)
        done = await self.called(MEGABYTE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout == MEGABYTE, f"{len(done.stdout)} bytes came back")
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how, ending.why), ("peer", "fin", None))


class NetcatTests(HalfClosing, Programs):
    command = "nc -N 127.0.0.1 {}"
    option = "-N"


class NetcatOverUnixSocketTests(HalfClosing, Programs):
    command = "nc -N -U {}"
    endpoint = "unix:"
    option = "-N"


class NcatTests(HalfClosing, Programs):
    command = "ncat 127.0.0.1 {}"


class NcatOverTLSTests(HalfClosing, Programs):
    """Its end is a close_notify."""

    command = "ncat --ssl 127.0.0.1 {}"
    endpoint = "tls"
    option = "--ssl"


class SocatTests(HalfClosing, Programs):
    command = "socat -t 30 - TCP:127.0.0.1:{}"


class SocatOverUnixSocketTests(HalfClosing, Programs):
    command = "socat -t 30 - UNIX-CONNECT:{}"
    endpoint = "unix:"


class SocatOverTLSTests(HalfClosing, Programs):
    """Its end is a close_notify."""

    command = "socat -t 30 - OPENSSL:127.0.0.1:{},verify=0"
    endpoint = "tls"
    option = "openssl"


class Whole(Dialogue):
    """Hear a megabyte, say it again, hang up."""

    async def converse(self) -> None:
        self.send(await self.receiveExactly(len(MEGABYTE)))


@processes
class OpenSSLTests(Programs):
    """It never reads after its own end; with -quiet it waits for the server's."""

    command = "openssl s_client -quiet -connect 127.0.0.1:{}"
    endpoint = "tls"

    async def test_aMegabyteComesBackIdenticalAndOurCloseNotifyEndsIt(self) -> None:
        told = await self.served(Whole)
        done = await self.called(MEGABYTE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout == MEGABYTE, f"{len(done.stdout)} bytes came back")
        self.assertNotIn(b"unexpected eof", done.stderr)
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how, ending.why), ("server", "fin", None))

    async def test_aMessageWithItsCloseNotifyRightBehindIsHeard(self) -> None:
        told = await self.served(Ack)
        self.command = "openssl s_client -brief -no_ign_eof -connect 127.0.0.1:{}"
        done = await self.called(b"hi\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        ending = await told.ending()
        self.assertEqual((told.messages, ending.how, ending.why), ([b"hi\n"], "fin", None))


def exchange(sock: socket.socket) -> bytes:
    """Send a megabyte and finish, while it is read back."""

    def send() -> None:
        sock.sendall(MEGABYTE)
        sock.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        return readAll(sock)
    finally:
        sender.join()
        sock.close()


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
        told = await self.served(Echo)
        heard = await self.talk(exchange, self.connect())
        self.assertTrue(heard == MEGABYTE, f"{len(heard)} bytes came back")
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how, ending.why), ("peer", "fin", None))

    async def test_aMegabyteComesBackIdenticalOverTLS(self) -> None:
        told = await self.served(Echo, "tls")
        heard = await self.talk(exchangeOverTLS, self.connect())
        self.assertTrue(heard == MEGABYTE, f"{len(heard)} bytes came back")
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how, ending.why), ("peer", "fin", None))
