"""Tests for `tcplab.__main__`: the command, its usage and every exit code."""

from __future__ import annotations

import os
import socket
import subprocess
import sysconfig
from typing import Any

from twisted.trial.unittest import SkipTest

import tcplab
from tests.support.certificates import localhostFile
from tests.support.client_process import Done, Running, tcplabs
from tests.support.ports import refusing
from tests.support.thread_servers import echo, hangingUp, reset, saying, serve


class CommandTests(Running):
    def test_itIsInstalledUnderItsName(self) -> None:
        command = os.path.join(sysconfig.get_path("scripts"), "tcplab")
        if not os.path.exists(command):
            raise SkipTest("tcplab is not installed here")
        done = subprocess.run([command, "--version"], stdout=subprocess.PIPE, check=True)
        self.assertEqual(done.stdout.decode(), f"tcplab {tcplab.__version__}\n")

    def test_itsVersion(self) -> None:
        for arguments in ["--version"], ["connect", "--version"]:
            done = tcplabs(*arguments)
            self.assertEqual(done.stdout.decode(), f"tcplab {tcplab.__version__}\n")
            self.assertEnded(done, 0, "")

    def test_helpIsOnStdout(self) -> None:
        for arguments in ["--help"], ["-h"], ["connect", "--help"]:
            done = tcplabs(*arguments)
            self.assertTrue(done.stdout.startswith(b"usage: tcplab connect HOST"), done.stdout)
            self.assertEnded(done, 0, "")

    def test_anythingElseIsUsage(self) -> None:
        for arguments, word in (
            ([], "which command?"),
            (["conect"], "unknown command 'conect'"),
            (["connect"], "HOST"),
            (["connect", "h", "--sent"], "--sent"),
            (["connect", "nothing:here:x"], "'nothing:here:x' is no address"),
        ):
            done = tcplabs(*arguments)
            self.assertIn(word, self.assertEnded(done, 2, "usage:"))
            self.assertEqual(done.stdout, b"")

    def test_helpToNobodyIsQuiet(self) -> None:
        read, write = os.pipe()
        os.close(read)
        done = tcplabs("--help", stdout=write)
        os.close(write)
        self.assertEnded(done, 141, "")


class OutcomeTests(Running):
    """The exit statuses, through the command; tests.client has every way to them."""

    def connect(self, *arguments: str, say: bytes = b"", **settings: Any) -> Done:
        return tcplabs("connect", *arguments, say=say, **settings)

    def test_ok(self) -> None:
        """The answer is on stdout, the line on stderr; quiet has neither."""
        where = serve(self, echo)
        done = self.connect(where, say=b"hello\n")
        self.assertEqual(done.stdout, b"hello\n")
        line = self.assertEnded(done, 0, "OK")
        self.assertEqual(line, f"OK {where}: sent 6 bytes, received 6")
        done = self.connect(serve(self, saying(b"hello")), "--expect", "hello", "--quiet")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))

    def test_refused(self) -> None:
        with refusing() as port:
            where = f"127.0.0.1:{port}"
            line = self.assertEnded(self.connect(where), 3, "REFUSED")
        self.assertEqual(line, f"REFUSED {where}: nobody listens there; is the server running?")

    def test_timeout(self) -> None:
        """A server whose listen queue is full."""
        with socket.socket() as full, socket.socket() as first, socket.socket() as second:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for waiting in first, second:
                waiting.setblocking(False)
                waiting.connect_ex(full.getsockname())
            done = self.connect(f"127.0.0.1:{full.getsockname()[1]}", "--timeout", "0.2")
        self.assertEnded(done, 4, "TIMEOUT")

    def test_dns(self) -> None:
        self.assertEnded(self.connect("a" * 64 + ".invalid"), 5, "DNS")

    def test_reset(self) -> None:
        self.assertEnded(self.connect(serve(self, reset), say=b"x"), 6, "RESET")

    def test_eof(self) -> None:
        """The beginning that was received is printed; quiet hides it, and not the line."""
        where = serve(self, hangingUp(b"hel"))
        done = self.connect(where, "--expect", "hello")
        self.assertIn("only 'hel'", self.assertEnded(done, 7, "EOF"))
        self.assertEqual(done.stdout, b"hel")
        done = self.connect(where, "--expect", "yes", "--quiet")
        self.assertIn("'hel' came", self.assertEnded(done, 1, "UNEXPECTED"))
        self.assertEqual(done.stdout, b"")

    def test_tls(self) -> None:
        """The certificate is verified, by the trust store of the environment."""
        pem = localhostFile(self.folder())
        where = serve(self, echo, tls=pem)
        self.assertEnded(self.connect(where, "--tls"), 9, "TLS")
        trusting = {**os.environ, "SSL_CERT_FILE": pem}
        done = self.connect(where, "--tls", "--send", "hi", "--expect", "hi", env=trusting)
        self.assertEnded(done, 0, "OK")
