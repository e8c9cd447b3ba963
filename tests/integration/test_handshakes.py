"""Handshakes of TLS that go wrong, with a real lab: each ends, and nobody else notices."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import selectors
import socket
import sys
import time
from contextlib import closing
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from OpenSSL import SSL
from twisted.internet.threads import deferToThread

from benchmarks.machine import allowFiles
from tests.support.certificates import Authority, localhostFile, pem, servesTLS
from tests.support.subprocess_server import run
from tests.support.twistd_process import PATIENCE, TWISTD, Command, Commands

GREETING = b"You are connected!"


def hello(name: bytes = b"localhost") -> bytes:
    """Return what a client says first."""
    client = client_(SSL.Context(SSL.TLS_CLIENT_METHOD))
    client.set_tlsext_host_name(name)
    try:
        client.do_handshake()
    except SSL.WantReadError:
        return client.bio_read(65536)
    raise AssertionError("a client shakes hands with itself")


def client_(context: SSL.Context, sock: socket.socket | None = None) -> SSL.Connection:
    client = SSL.Connection(context, sock)
    client.set_connect_state()
    return client


def heard(peers: list[socket.socket]) -> list[bytes]:
    """Read each to its end, of whatever kind that is."""
    said = dict.fromkeys(peers, b"")
    ends = time.monotonic() + PATIENCE / 4
    with selectors.DefaultSelector() as selector:
        for peer in peers:
            selector.register(peer, selectors.EVENT_READ)
        while selector.get_map() and time.monotonic() < ends:
            for key, _ in selector.select(1):
                peer: Any = key.fileobj
                try:
                    data = peer.recv(65536)
                except ConnectionResetError:
                    data = b""
                said[peer] += data
                if not data:
                    selector.unregister(peer)
        if selector.get_map():
            raise AssertionError(f"{len(selector.get_map())} are not ended")
    return list(said.values())


class Secured(Commands):
    async def serve(
        self, *words: str, endpoint: str = "ssl:0:privateKey=localhost.pem", name: str = "lab"
    ) -> Command:
        """Serve over TLS; the port is kept on the test."""
        localhostFile(self.folder)
        endpoint += ":interface=127.0.0.1:backlog=4096"
        command = self.start(*TWISTD, "tcplab", "--serve", f"{name}@{endpoint}", *words)
        self.port = await self.portOf(command, name)
        return command

    def put(self, name: str, text: bytes) -> None:
        """Write a file into the folder."""
        with open(os.path.join(self.folder, name), "wb") as file:
            file.write(text)


class Handshakes(Secured):
    async def isQuiet(self, command: Command) -> None:
        """It still serves, ends as ever, and has logged no error."""
        self.assertEqual(await deferToThread(self.exchange, b"good"), b"good")
        await self.stop(command)
        self.assertNotIn("Unhandled", command.out)

    def secured(self, context: SSL.Context | None = None) -> SSL.Connection:
        sock = self.connect(self.port)
        sock.settimeout(None)  # or OpenSSL would not wait
        client = client_(context or SSL.Context(SSL.TLS_CLIENT_METHOD), sock)
        client.do_handshake()
        return client

    def exchange(self, data: bytes) -> bytes:
        """Be a good client, and return what is echoed."""
        client = self.secured()
        said = client.recv(len(GREETING))
        client.sendall(data)
        while len(said) < len(GREETING) + len(data):
            said += client.recv(65536)
        client.shutdown()
        with closing(client):
            self.assertRaises(SSL.ZeroReturnError, client.recv, 1)
        return said.removeprefix(GREETING)

    async def cutShort(self, cut: Any, *words: str) -> Command:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        allowFiles()  # 1024 are too few: there is one for each byte
        command = await self.serve(*words)
        whole = hello()
        peers = []
        for length in range(len(whole)):
            peers.append(self.connect(self.port))
            cut(peers[-1], whole[:length])
        # Who is in time is served meanwhile.
        self.assertEqual(await deferToThread(self.exchange, b"me"), b"me")
        said = await deferToThread(heard, peers)
        self.assertGreater(len(said), 100)
        self.assertEqual({each for each in said if each and each[:1] != b"\x15"}, set())  # alerts
        return command

    async def test_cutShortAtEachLengthAndFinished(self) -> None:
        def cut(peer: socket.socket, data: bytes) -> None:
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)

        await self.isQuiet(await self.cutShort(cut, "--handshake-timeout", "none"))

    async def test_cutShortAtEachLengthAndStalled(self) -> None:
        command = await self.cutShort(socket.socket.sendall, "--handshake-timeout", "5")
        await command.line("why=handshake-timeout")
        await self.isQuiet(command)

    async def test_stalledOnesHoldNoPlace(self) -> None:
        command = await self.serve("--max-connections", "2", "--handshake-timeout", "none")
        stalled = [self.connect(self.port) for _ in range(5)]
        self.assertEqual(await deferToThread(self.exchange, b"me"), b"me")
        await self.isQuiet(command)
        for each in stalled:
            each.close()

    async def test_oldVersionsWeakCiphersAndRenegotiationAreRefused(self) -> None:
        command = await self.serve()

        def context(ciphers: bytes = b"", version: int = SSL.TLS1_2_VERSION) -> SSL.Context:
            made = SSL.Context(SSL.TLS_CLIENT_METHOD)
            made.set_min_proto_version(version)
            made.set_max_proto_version(version)
            if ciphers:
                made.set_cipher_list(ciphers + b":@SECLEVEL=0")
            return made

        def renegotiate() -> None:
            with closing(self.secured(context())) as client:
                self.assertEqual(client.get_protocol_version_name(), "TLSv1.2")
                self.assertEqual(client.recv(100), GREETING)
                client.renegotiate()
                client.do_handshake()

        weak = (b"aNULL", b"eNULL", b"kRSA", b"SHA1", b"SHA256", b"SHA384")
        for says, refused in (
            *((("handshake failure"), context(each)) for each in weak),
            ("alert protocol version", context(b"ALL", SSL.TLS1_VERSION)),
            ("alert protocol version", context(b"ALL", SSL.TLS1_1_VERSION)),
        ):
            problem = await self.assertFailure(deferToThread(self.secured, refused), SSL.Error)
            self.assertIn(says, str(problem))
        await self.assertFailure(deferToThread(renegotiate), SSL.Error)
        await self.isQuiet(command)

    async def test_garbageBehindIt(self) -> None:
        command = await self.serve()

        def client() -> None:
            for size in (1, 5, 300, 20_000):
                with closing(self.secured()) as tls:
                    os.write(tls.fileno(), os.urandom(size))  # past its cipher
                    # The server may have reset the connection by now.
                    with contextlib.suppress(SSL.Error, OSError):
                        tls.sock_shutdown(socket.SHUT_WR)
                        while tls.recv(65536):
                            pass

        await deferToThread(client)
        await self.isQuiet(command)

    async def test_aHundredMebibytes(self) -> None:
        command = await self.serve()

        def client() -> None:
            tls = self.secured()
            self.assertEqual(tls.recv(100), GREETING)
            said = os.urandom(1 << 18)
            for _ in range(400):
                tls.sendall(said)
                answer = bytearray()
                while len(answer) < len(said):
                    answer += tls.recv(1 << 18)
                self.assertTrue(answer == said)
            tls.close()

        await deferToThread(client)
        await self.isQuiet(command)

    @servesTLS
    async def test_certificatesAreRenewed(self) -> None:
        """`tests.server.test_certificates` has how one is chosen by its name."""
        self.write("served/readme", "")
        self.put("served/a.pem", pem("a.example"))
        command = await self.serve(endpoint="tls:served:0")
        self.put("served/a.pem", pem("a.example"))
        ends = time.monotonic() + PATIENCE / 4
        while "certificates read again" not in command.out:  # which a connection may cause
            self.assertLess(time.monotonic(), ends)
            self.assertEqual(await deferToThread(self.exchange, b"me"), b"me")
        await self.isQuiet(command)


class ClientCertificates(Secured):
    """The endpoint says who must have signed them."""

    def ran(self, command: str) -> CompletedProcess[bytes]:
        return run(command, b"hi", Path(self.folder))

    def said(self, file: str | None) -> bytes:
        """Speak with openssl, and return what the application has said."""
        mine = f"-cert {file} -key {file}" if file else ""
        return self.ran(f"openssl s_client -quiet -connect 127.0.0.1:{self.port} {mine}").stdout

    def ours(self) -> tuple[int, bytes]:
        """Connect with our own client and no certificate; return its status and first words."""
        words = f"connect --tls --insecure localhost:{self.port} --send hi"
        done = self.ran(f"{sys.executable} -m tcplab {words}")
        return done.returncode, done.stderr[:14]

    async def asked(self, endpoint: str) -> None:
        ours = Authority()
        for name, text in (
            ("ca.pem", ours.pem),
            ("good.pem", ours.signed("good")),
            ("old.pem", ours.signed("old", days=-1)),
            ("wrong.pem", Authority("another").signed("wrong")),
        ):
            self.put(name, text)
        command = await self.serve("--linger-timeout", "0.1", endpoint=endpoint, name="ack")
        for file in (None, "old.pem", "wrong.pem"):
            self.assertEqual(await deferToThread(self.said, file), b"", file)
        self.assertEqual(await deferToThread(self.ours), (9, b"TLS localhost:"))
        self.assertNotIn("server: got connection", command.out)
        self.assertEqual(await deferToThread(self.said, "good.pem"), GREETING)
        command.signal("TERM")
        await command.ended()
        self.assertNotIn("Traceback", command.out)
        self.assertEqual(len(re.findall("why=handshake ", command.out)), 4)
        self.assertEqual(command.out.count("server: got connection"), 1)

    @servesTLS
    async def test_required(self) -> None:
        await self.asked("ssl:0:privateKey=localhost.pem:ca=ca.pem")
        self.write("served/readme", "")
        localhostFile(os.path.join(self.folder, "served"))
        await self.asked("tls:served:0:ca=ca.pem")
