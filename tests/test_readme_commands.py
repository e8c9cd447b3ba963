"""The commands in the pages: those of the README are typed, the others understood."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import unittest
from configparser import ConfigParser
from pathlib import Path

from twisted.application.reactors import getReactorTypes
from twisted.internet.endpoints import serverFromString
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from tcplab.client.commandline import parseOptions
from tcplab.tap import Options
from tests.support.pseudo_terminal import Terminal
from tests.support.recipes import RECIPES
from tests.support.rst_pages import (
    PAGES,
    literals,
    page,
    programs,
    screens,
    section,
    simple,
    terminals,
)
from tests.support.subprocess_server import ROOT, Server, lab, run, scratch
from tests.support.tiers import processes

README = page("README.rst")


class UnderstoodTests(SynchronousTestCase):
    """No command in any page is a mere wish."""

    def test_everyCommand(self) -> None:
        typed = [command for recipe in RECIPES.values() for command in recipe.commands]
        for name in PAGES:
            for command in _commands(page(name)):
                if command in typed:
                    continue  # by tests.test_contributing
                for each in simple(command):
                    self.understood(each)

    def understood(self, command: str) -> None:
        word, *words = shlex.split(re.sub(r"^[A-Z_]+=\S+ ", "", command))
        known = getattr(self, f"understood_{word}", None)
        self.assertIsNotNone(known, f"no test knows {command!r}")
        known(*words)

    def understood_make(self, target: str) -> None:
        text = (ROOT / "Makefile").read_text()
        self.assertRegex(text, rf"(?m)^{target}:", f"make {target}")

    def understood_python3(self, *words: str) -> None:
        self.assertEqual(words, ("-m", "venv", ".venv"))

    def understood_pip(self, *words: str) -> None:
        *install, what = words
        self.assertEqual(install, ["install", "-e"])
        extras = re.fullmatch(r"\.(?:\[(\w+)\])?", what)
        assert extras is not None
        if extras[1]:
            self.assertIn(extras[1], _config()["options.extras_require"])

    def understood_trial(self, tests: str) -> None:
        path = ROOT / tests.replace(".", "/")
        self.assertTrue(path.is_dir() or path.with_suffix(".py").exists(), tests)

    def understood_python(self, *words: str) -> None:
        if words[:3] == ("-m", "pytest", "-q"):
            self.assertTrue((ROOT / words[3]).is_dir(), words[3])
        elif words[0] == "-m":
            self.assertIn(words, [("-m", "twisted", "tcplab"), *_OF_YOUR_OWN, *_OF_THE_COOKBOOK])
        else:
            examples = ROOT / "examples"
            there = [(each / words[0]).exists() for each in (examples, examples / "cookbook")]
            self.assertIn(True, there, words[0])

    def understood_twistd(self, *words: str) -> None:
        if words == ("--reactor", "eager", "web"):
            self.assertIn("eager", [each.shortName for each in getReactorTypes()])
            return
        if "web" in words:
            serverFromString(MemoryReactor(), words[words.index("--listen") + 1])
            return
        options = words[words.index("tcplab") + 1 :]
        if "--help" not in options:
            Options().parseOptions(options)

    def understood_tcplab(self, command: str, *words: str) -> None:
        self.assertEqual(command, "connect")
        parseOptions(["localhost"] if words == ("HOST",) else list(words))

    def understood_printf(self, text: str) -> None: ...

    def understood_openssl(self, *words: str) -> None:
        self.assertEqual(words[:2], ("req", "-x509"))

    def understood_tool(self, *words: str) -> None: ...

    understood_twist = understood_twistd
    understood_ruff = understood_pydoctor = understood_mypy = understood_tool

    def test_toolsAreInstalledForChecks(self) -> None:
        for tool in ("ruff", "pydoctor", "mypy"):
            self.assertIn(f"\n{tool}>=", _config()["options.extras_require"]["check"])


_OF_YOUR_OWN = [("-m", "twisted.trial", "test_shout"), ("-m", "pytest", "test_shout.py")]

_OF_THE_COOKBOOK = [  # typed by tests.examples.test_cookbook
    ("-m", "http.server", "8000", "--bind", "127.0.0.1"),
    ("-m", "pytest", "test_client.py"),
    ("-m", "unittest", "test_client"),
    ("-m", "twisted.trial", "test_faults"),
]


def _config() -> ConfigParser:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config


def _commands(text: str) -> list[str]:
    """Find what is typed: after a prompt, or in the middle of a sentence."""
    typed = [command for terminal in terminals(text) for command in terminal]
    first = r"(make|trial|twistd|twist|tcplab|python|pip|ruff|pydoctor)"
    inline = [re.sub(r"^\.venv/bin/", "", each) for each in literals(text)]
    inline = [each for each in inline if re.match(rf"{first} ", each)]
    return typed + [each for each in inline if each != "tcplab connect"]


@processes
class MakeTests(SynchronousTestCase):
    def does(self, target: str) -> str:
        if shutil.which("make") is None:
            raise unittest.SkipTest("make is not installed")
        done = run(f"make --dry-run VENV={scratch(self)}/new {target}")
        self.assertEqual(done.returncode, 0, done)
        return done.stdout.decode()

    def test_serveIsThePlainLines(self) -> None:
        does = self.does("serve")
        for part in ("-m venv ", "--editable .\n", "twistd -n tcplab --port 50544"):
            self.assertIn(part, does)

    def test_testIsThePlainLines(self) -> None:
        does = self.does("test")
        for part in ("-m venv ", "--editable '.[test]'", "-m tests test "):
            self.assertIn(part, does)


@processes
class Typing(SynchronousTestCase):
    """Type commands in a copy of the examples; the only change is the port."""

    def setUp(self) -> None:
        self.folder = scratch(self) / "examples"
        shutil.copytree(ROOT / "examples", self.folder)
        self.server: Server | None = None
        self.addCleanup(self.stop)

    def typed(self, *commands: str) -> list[str]:
        """Type a server's command and its clients', and return what these have printed."""
        return [self._typed(simple(each)[-1], each) for each in commands]

    def _typed(self, last: str, command: str) -> str:
        if re.match("twistd? ", last):
            self.start(last)
            return ""
        assert self.server is not None, f"{command!r} has no server"
        command = re.sub(r"localhost(:\d+)?", f"localhost:{self.server.port}", command)
        done = run(command, b"hi\n", self.folder)
        self.assertEqual(done.returncode, 0, f"{command}: {done!r}")
        return done.stdout.decode()

    def start(self, command: str) -> Server:
        self.stop()
        self.server = lab(command.replace("tcp:8888", "tcp:0"), self.folder)
        return self.server

    def stop(self) -> None:
        server, self.server = self.server, None
        if server is not None:
            self.assertEqual(server.stop(), 0, server.output)
            self.assertNotIn("Traceback", server.output)


def tlsLab(command: str, folder: Path) -> Server:
    """Start a command that serves on one port, a free one."""
    file = folder / f"ports-{len(list(folder.glob('ports-*')))}"

    def port(server: Server) -> str:
        return file.read_text().split()[2] if file.exists() else ""

    return Server(f"{command} --port-file {file}", folder, port)


def _serves(command: str) -> bool:
    return re.match("twistd? ", simple(command)[0]) is not None


class TypedTests(Typing):
    def test_theReadmesTerminals(self) -> None:
        ack = "You are connected!"
        printed = [self.typed(*each)[1:] for each in terminals(README) if _serves(each[0])]
        self.assertEqual(
            printed,
            [
                [],  # the transcript below
                ["say something\nHI\n"],
                [f"{ack}hi\n", ack],
                ["he"],
                [f"{ack}one\ntwo\n", f"{ack}ping\n", ""],
                [f"{ack}hi"],
                ["What is your name?\nHello, Ada!\n"],
            ],
        )

    def test_onlyWhatInstallsIsNotTyped(self) -> None:
        others = [command for each in terminals(README) if not _serves(each[0]) for command in each]
        first = [simple(each)[0].split()[0] for each in others]
        # These, and the tests of your own, are typed below.
        tls = ["openssl", "twistd", "SSL_CERT_FILE=server.pem", "tcplab"]
        self.assertEqual(
            first, ["make", "make", "python3", "pip", "tcplab", *tls, "python", "python"]
        )

    def test_theCertificate(self) -> None:
        if shutil.which("openssl") is None:
            raise unittest.SkipTest("the openssl program is not installed")
        (make, serve, *clients), *_ = (
            each for each in terminals(README) if each[0].startswith("openssl")
        )
        self.assertEqual(run(make, folder=self.folder).returncode, 0)
        text = section(README, "The server").partition("--insecure")[2]
        folder = next(each for each in literals(text) if "@tls:" in each)
        for command in serve, f"twistd -n tcplab --serve {folder}":
            server = self.startTLS(command)
            for client in clients:
                done = run(client.replace("4433", str(server.port)), b"hi\n", self.folder)
                self.assertEqual((done.returncode, done.stdout), (0, b"hi\n"), done)
            stranger = clients[1].replace("4433", str(server.port)).replace(" --insecure", "")
            self.assertEqual(run(stranger, b"", self.folder).returncode, 9)

    def startTLS(self, command: str) -> Server:
        self.stop()
        self.server = tlsLab(command.replace(":4433", ":0"), self.folder)
        return self.server

    def test_testsOfYourOwnAreRunFromTheirFolder(self) -> None:
        program = next(each for each in programs(README) if "class ShoutTests" in each)
        (self.folder / "test_shout.py").write_text(program)
        for words in _OF_YOUR_OWN:
            done = run(shlex.join(["python", *words]), folder=self.folder)
            self.assertEqual(done.returncode, 0, done)

    def test_theTextbooksPrograms(self) -> None:
        text = section(README, "The textbooks' programs").partition("list-table")[2]
        commands = [each for each in literals(text) if " " in each]
        pairs = zip(commands[::2], commands[1::2], strict=True)
        printed = [self.typed(*pair)[1] for pair in pairs]
        self.assertEqual(
            printed, ["Hello from server!", "You are connected!", "hi\n", "Hello, world!"]
        )


class TranscriptTests(Typing):
    """Ten seconds of a real terminal."""

    def test_itIsReal(self) -> None:
        shownByServer, shownByClient = screens(README)
        server = self.start(shownByServer[0].removeprefix("$ .venv/bin/"))
        word, *words = shownByClient[0].removeprefix("$ .venv/bin/").split()
        self.assertEqual(word, "tcplab")
        words[-1] = f"localhost:{server.port}"
        terminal = Terminal([sys.executable, "-m", "tcplab", *words])
        self.addCleanup(terminal.close)
        terminal.wait(b"connected!\r\nWhat message for the server? : ")
        terminal.type(b"hi\n")
        terminal.wait(b"\x1b[Khi\r\nWhat message for the server? : ")
        terminal.type(b"\x04")  # ^D
        self.assertEqual(terminal.status(), 0, terminal.printed)
        seen = _screen(terminal.printed.decode())
        self.stop()
        log = [line[25:] for line in server.output.splitlines()]
        self.assertEqual(
            [_plain(each) for each in log if each.startswith(("[lab,", "[tcplab] serving"))],
            [_plain(each) for each in shownByServer[1:]],
        )
        self.assertEqual(
            [_plain(each) for each in seen],
            [_plain(each) for each in shownByClient[1:]],
        )


def _screen(printed: str) -> list[str]:
    """Return the lines that are seen; the program erases some."""
    lines = printed.rstrip().split("\r\n")
    return [line.rpartition("\r\x1b[K")[2] for line in lines]


def _plain(line: str) -> str:
    """Take out what differs from one time to the next."""
    line = re.sub(r"(:|port = )\d{4,5}\b", r"\1PORT", line.replace("^D", "").rstrip())
    return re.sub(r"seconds=\d+\.\d{3}", "seconds=N", line)
