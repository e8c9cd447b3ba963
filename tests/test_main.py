"""Tests for `tcplab.__main__`: the command its usage and its exit statuses."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import sysconfig
from contextlib import ExitStack
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

    def test_texts(self) -> None:
        version, usage = f"tcplab {tcplab.__version__}\n", "usage: tcplab COMMAND"
        for words, begins in (
            ("--version", version),
            ("connect --version", version),
            ("--help", usage),
            ("-h", usage),
            ("chain --help", "usage: tcplab chain --csv FILE"),
            ("connect --help", "usage: tcplab connect HOST"),
            ("serve --version", version),
            ("serve --help", "Usage: tcplab serve [options]"),
            ("behaviours", "lab       Send "),
            ("faults", "latency     latency ms, "),
            ("faults stall latency", "stall: Stop reading, until the window closes.\nAlso the "),
            ("behaviours relay", "relay: Pass each message to the next node with"),
        ):
            done = tcplabs(*words.split())
            self.assertTrue(done.stdout.decode().startswith(begins), done.stdout)
            self.assertLessEqual(max(map(len, done.stdout.decode().splitlines())), 80, words)
            self.assertEnded(done, 0, "")

    def test_mistakes(self) -> None:
        for words, says in (
            ("", "give a command; the commands are serve, connect, behaviours, faults, chain"),
            ("conect", "there is no command 'conect' (did you mean connect?)"),
            ("start", "(did you mean serve?)"),
            ("--port 1", "--port stands before the command: write tcplab serve --port"),
            ("faults rst", "there is no 'rst' (did you mean reset_peer?); tcplab faults lists all"),
            ("connect", "HOST"),
            ("connect h --sent", "--sent"),
            ("chain", "give the list of names: --csv FILE"),
            ("connect nothing:here:x", "'nothing:here:x' is no address"),
        ):
            done = tcplabs(*words.split())
            self.assertIn(says, self.assertEnded(done, 2, "usage:"))
            self.assertEqual(done.stdout, b"")

    def test_imports(self) -> None:
        """No command imports what it does not use."""
        code = (
            "import atexit, sys; from tcplab.__main__ import main; names = sys.argv[1].split();"
            " atexit.register(lambda: print(*(each for each in names if each in sys.modules)));"
            " main(sys.argv[2:])"
        )
        rooms = ("client", "faults", "protocols", "server", "tap", "testing", "workers")
        names = " ".join(["twisted", "OpenSSL", *(f"tcplab.{each}" for each in rooms)])
        for words, used in (
            ("--help", ""),
            ("connect 127.0.0.1:1 -q", "twisted OpenSSL tcplab.client"),
            ("faults", "tcplab.faults"),
            ("behaviours", "twisted OpenSSL tcplab.faults tcplab.protocols"),
            ("serve -x", "twisted OpenSSL tcplab.faults tcplab.protocols tcplab.server tcplab.tap"),
        ):
            command = [sys.executable, "-c", code, names, *words.split()]
            done = subprocess.run(command, capture_output=True, check=False)
            self.assertEqual(done.stdout.decode().splitlines()[-1:], [used], words)

    def test_helpWithoutAReader(self) -> None:
        for words in (("--help",), ("faults",), ("serve", "--help"), ("serve", "--version")):
            read, write = os.pipe()
            os.close(read)
            done = tcplabs(*words, stdout=write)
            os.close(write)
            self.assertEnded(done, 141, "")


class OutcomeTests(Running):
    """The exit statuses, through the command; tests.client has every way to them."""

    def connect(self, *arguments: str, say: bytes = b"", **settings: Any) -> Done:
        return tcplabs("connect", *arguments, say=say, **settings)

    def test_ok(self) -> None:
        where = serve(self, echo)
        done = self.connect(where, say=b"hello\n")
        self.assertEqual(done.stdout, b"hello\n")
        line = self.assertEnded(done, 0, "OK")
        self.assertEqual(line, f"OK {where}: sent 6 bytes, received 6")
        done = self.connect(where, "--send", r"one\n", "--send", "two")
        self.assertEqual(done.stdout, b"one\ntwo")
        self.assertEnded(done, 0, "OK")
        done = self.connect(serve(self, saying(b"hello")), "--expect", "hello", "--quiet")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))

    def test_others(self) -> None:
        with ExitStack() as stack:
            refused = f"127.0.0.1:{stack.enter_context(refusing())}"
            full, *clients = (stack.enter_context(socket.socket()) for _ in range(3))
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for client in clients:
                client.setblocking(False)
                client.connect_ex(full.getsockname())
            backlog = f"127.0.0.1:{full.getsockname()[1]}"
            hel, resets = serve(self, hangingUp(b"hel")), serve(self, reset)
            for words, say, status, word, says in (
                (f"{hel} --expect yes --quiet", b"", 1, "UNEXPECTED", "'hel' arrived"),
                (refused, b"", 3, "REFUSED", ": no server listens there; is it running?"),
                (f"{backlog} --timeout 0.2", b"", 4, "TIMEOUT", ""),
                ("a" * 64 + ".invalid", b"", 5, "DNS", ""),
                (resets, b"x", 6, "RESET", ""),
                (f"{hel} --expect hello", b"", 7, "EOF", "only 'hel'"),
            ):
                done = self.connect(*words.split(), say=say)
                self.assertIn(says, self.assertEnded(done, status, word), words)
                self.assertEqual(done.stdout, b"hel" if word == "EOF" else b"", words)

    def test_tls(self) -> None:
        pem = localhostFile(self.folder())
        where = serve(self, echo, tls=pem)
        self.assertEnded(self.connect(where, "--tls"), 9, "TLS")
        trusting = {**os.environ, "SSL_CERT_FILE": pem}
        done = self.connect(where, "--tls", "--send", "hi", "--expect", "hi", env=trusting)
        self.assertEnded(done, 0, "OK")
