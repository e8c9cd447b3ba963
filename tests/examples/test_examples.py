"""Tests for the examples: each as its docstring says, and as its page lists it."""

from __future__ import annotations

import re
import shutil
import smtplib
import socket
import ssl
from typing import NamedTuple

from twisted.trial.unittest import SynchronousTestCase

from tests.support.socket_server import readAll
from tests.support.subprocess_server import run
from tests.support.terminal_input import ALL, EXAMPLES, Typed, commands, docstring, serves

LETTER = "Subject: hello\r\n\r\none\r\ntwo\r\n"


class Session(NamedTuple):
    """
    What is typed into the commands of an example, in their order, and what must come of it.

    :ivar prints: patterns of the output of each command that ends.
    :ivar logs: patterns of the server's log.
    """

    types: tuple[bytes, ...]
    prints: tuple[str, ...]
    logs: tuple[str, ...] = ()


def connected(name: str) -> str:
    return rf"\[{name},1,127\.0\.0\.1\] server: got connection from = 127\.0\.0\.1 and"


SESSIONS = {
    "ack": Session(
        (b"hi",),
        ("You are connected!",),
        (
            connected("ack"),
            r"\[ack,1,127\.0\.0\.1\] Got the message:hi\n",
            r"\[ack,1,127\.0\.0\.1\] closed by=\w+ how=fin received=2 sent=18 ",
        ),
    ),
    "ask": Session((b"",), ("What is your name\\?\nHello, Ada!\n",), ("Got the message:Ada",)),
    "chatroom": Session(
        (b"Ann\nhello\n", b"Bob\n"),
        (
            "What is your name\\?\nAnn is here\nAnn: hello\n",
            "What is your name\\?\nBob is here\n",
        ),
        (r"\[chatroom\.ChatRoom,2,127\.0\.0\.1\] server: got connection",),
    ),
    "echo": Session((b"one\ntwo",), ("one\ntwo",)),
    "hello": Session((b"Hello from client!",), ("Hello from server!",)),
    "interactive": Session((b"hello\nworld\n",), ("hello\nworld\n",)),
    "mail": Session(
        (b"", b"DATA\none\ntwo\n.\nQUIT\n"),
        (".*", ".*354 end with a dot alone\r\n250 2 lines\r\n221 goodbye\r\n"),
        (connected(r"mail\.Mail"),),
    ),
    "plain": Session(
        (b"",),
        ("5 bytes so far\n",),
        (
            connected(r"plain\.Plain"),
            r"\[plain\.Plain,1,127\.0\.0\.1\] closed by=\w+ how=\w+ .*received=5 sent=15 ",
        ),
    ),
    "recipe": Session(
        (b"Ada\n",),
        ("What is your name\\?\nHello, Ada!\n",),
        (r"\[recipe\.Recipe,1,127\.0\.0\.1\] Got the message:Ada\n",),
    ),
    "shout": Session(
        (b"hi\nthere\n",), ("say something\nHI\nTHERE\n",), (connected(r"shout\.Shout"),)
    ),
    "slide": Session((b"",), ("b'Hello, world!'\n",)),
}


class DocstringTests(Typed):
    """One test for each example is added below."""

    def plays(self, name: str) -> None:
        if "openssl" in docstring(name) and shutil.which("openssl") is None:
            self.skipTest("the openssl program is not installed")
        session = SESSIONS[name]
        printed = self.typed(name, *session.types)
        self.assertEqual(len(printed), len(session.prints))
        for pattern, text in zip(session.prints, printed, strict=True):
            self.assertRegex(text, rf"(?s)\A{pattern}\Z")
        log = self.log()
        for pattern in session.logs:
            self.assertRegex(log, pattern)


for _name in SESSIONS:
    setattr(DocstringTests, f"test_{_name}", lambda self, name=_name: self.plays(name))


class ProgramTests(Typed):
    """What else is promised of the examples, as processes."""

    def test_echoServesManyClientsAtOnce(self) -> None:
        port = self.start("python echo.py").port
        clients = [socket.create_connection(("127.0.0.1", port), 30) for _ in range(20)]
        for number, client in reversed(list(enumerate(clients))):
            with client:
                client.sendall(b"%d" % number)
                client.shutdown(socket.SHUT_WR)
                self.assertEqual(readAll(client), b"%d" % number)

    def test_portInUseEndsHello(self) -> None:
        port = self.start("python hello.py").port
        done = run(f"python hello.py tcp:{port}:interface=127.0.0.1", folder=self.folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"Address already in use", done.stdout + done.stderr)

    def test_longFileThroughInteractive(self) -> None:
        said = "".join(f"{number}\n" for number in range(1_000_000))
        self.start("python echo.py")
        (self.folder / "file").write_text(said)
        shown = self.client("python interactive.py tcp:localhost:8888 < file", b"")
        self.assertTrue(shown == said, f"{len(shown)} of {len(said)} characters")

    def test_interactiveEndsWhenTheServerDoes(self) -> None:
        self.start("python hello.py")
        # A pipe that is held open for writing never ends.
        typed = "mkfifo typed; exec 3<>typed; echo hi >&3"
        shown = self.client(f"{typed}; python interactive.py tcp:localhost:8080 <typed", b"")
        self.assertEqual(shown, "Hello from server!")

    def test_interactiveIsRefused(self) -> None:
        port = self.start("python echo.py").port
        self.client("tcplab connect localhost:8888 --send hi", b"")  # by now it heeds signals
        self.log()
        done = run(f"python interactive.py tcp:localhost:{port}", folder=self.folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"refused", done.stdout + done.stderr)

    def test_standardLibrarySendsMail(self) -> None:
        if shutil.which("openssl") is None:
            self.skipTest("the openssl program is not installed")
        certificate, serve, _ = commands("mail")
        self.client(certificate, b"")
        context = ssl.create_default_context(cafile=self.folder / "mail.pem")
        port = self.start(serve).port
        for secure in (True, False):
            with smtplib.SMTP("localhost", port, timeout=30) as client:
                if secure:
                    client.starttls(context=context)
                    client.ehlo()
                self.assertEqual(client.sendmail("me@here", ["you@there"], LETTER), {})
                with self.assertRaises(smtplib.SMTPNotSupportedError):
                    client.login("me", "secret")


class PageTests(SynchronousTestCase):
    def test_everyExampleIsPlayed(self) -> None:
        self.assertEqual(sorted(SESSIONS), ALL)

    def test_everyExampleBeginsWithHowItIsRun(self) -> None:
        for name in ALL:
            says = commands(name)
            self.assertTrue(any(serves(each) for each in says), f"{name}: nothing serves")
            self.assertTrue(any(f"{name}." in each for each in says), f"{name} is not run")
            self.assertTrue(docstring(name).partition("\n")[0].endswith("."), name)

    def test_everyExampleIsShort(self) -> None:
        for name in ALL:
            lines = (EXAMPLES / f"{name}.py").read_text().splitlines()
            self.assertLessEqual(len(lines), 75, f"{name}.py is no short program")

    def test_theReadmeHasALineForEachExample(self) -> None:
        lines = (EXAMPLES / "README.rst").read_text()
        self.assertEqual(sorted(re.findall(r"^- `+(\w+)\.py", lines, re.M)), ALL)
