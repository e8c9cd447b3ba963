"""The commands that start a lab and talk to it, typed as they stand but for the port."""

from __future__ import annotations

import re
import shlex
import shutil
import unittest
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.pages.test_commands import ALONE, OF_YOUR_OWN
from tests.support.page_session import FOLLOWED
from tests.support.rst_pages import (
    PAGES,
    literals,
    page,
    programs,
    simple,
    terminals,
)
from tests.support.subprocess_server import ROOT, Server, lab, run, scratch
from tests.support.tiers import processes

TLS = page("docs/howto/tls.rst")
OWN = page("docs/howto/twisted-tests.rst")


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
        if _serves(last):
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
    return re.match(r"twistd? |tcplab serve\b(?!.*--help)", simple(command)[0]) is not None


#: For each block of a page that begins with a server: what its clients print on stdout.
PRINTED = {
    "docs/howto/limits.rst": [[]],
    "docs/howto/workers.rst": [[]],
    "docs/reference/specs.rst": [["You are connected!hi\n", "You are connected!"]],
    "docs/reference/faults.rst": [["he"]],
    "docs/reference/connect.rst": [
        ["You are connected!one\ntwo\n", "You are connected!ping\n", ""],
    ],
    "docs/reference/log.rst": [["You are connected!hi"]],
}

#: Typed by a module of their own.
ELSEWHERE = {
    **dict.fromkeys(FOLLOWED, "tests.pages.test_sessions"),
    "CONTRIBUTING.rst": "tests.test_contributing",
    "docs/howto/config.rst": "tests.integration.test_config_page",
    "docs/howto/cookbook.rst": "tests.examples.test_cookbook",
    "docs/howto/test-your-client.rst": "tests.examples.test_cookbook",
    "docs/howto/any-language.rst": "tests.pages.test_howto",
    "docs/howto/logs.rst": "tests.pages.test_howto",
    "docs/howto/classroom.rst": "tests.pages.test_howto",
    "docs/howto/own-plugin.rst": "tests.integration.test_plugin_page",
    "docs/howto/own-service.rst": "tests.pages.test_howto",
    "docs/howto/haproxy.rst": "tests.pages.test_howto",
    "docs/howto/real-server.rst": "tests.integration.test_forward_page",
    "docs/howto/tls.rst": "TypedTests.test_theCertificate",
    "docs/howto/twisted-tests.rst": "TypedTests.test_testsOfYourOwnAreRunFromTheirFolder",
}

#: What begins a block that sets something up.
INSTALLS = (".", "make", "python3", "pip", "pipx", "pydoctor")


_ALONE = [f"tcplab {' '.join(each)}" for each in ALONE if each[0] != "chain"]


class TypedTests(Typing):
    def test_everyTerminal(self) -> None:
        printed = {}
        for name in {*PAGES} - {*ELSEWHERE}:
            blocks = [each for each in terminals(page(name)) if _serves(each[0])]
            if blocks:
                printed[name] = [self.typed(*each)[1:] for each in blocks]
        self.assertEqual(printed, PRINTED)

    def test_onlyWhatInstallsIsNotTyped(self) -> None:
        for name in {*PAGES} - {*ELSEWHERE}:
            others = [each for each in terminals(page(name)) if not _serves(each[0])]
            plain = [simple(command)[0] for each in others for command in each]
            left = {each for each in plain if each.split()[0] not in INSTALLS} - {*_ALONE}
            self.assertEqual(left, set(), name)

    def test_whatNeedsNoServer(self) -> None:
        for command in _ALONE:
            done = run(command, folder=self.folder)
            self.assertEqual((done.returncode, done.stderr), (0, b""), command)

    def test_theCertificate(self) -> None:
        if shutil.which("openssl") is None:
            raise unittest.SkipTest("the openssl program is not installed")
        (make, serve, *clients), *_ = (
            each for each in terminals(TLS) if each[0].startswith("openssl")
        )
        self.assertEqual(run(make, folder=self.folder).returncode, 0)
        text = TLS.partition("--insecure")[2]
        folder = next(each for each in literals(text) if "@tls:" in each)
        for command in serve, f"tcplab serve --serve {folder}":
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
        program = next(each for each in programs(OWN) if "class ShoutTests" in each)
        (self.folder / "test_shout.py").write_text(program)
        for words in OF_YOUR_OWN:
            done = run(shlex.join(["python", *words]), folder=self.folder)
            self.assertEqual(done.returncode, 0, done)

    def test_theTextbooksPrograms(self) -> None:
        text = page("docs/tutorial/textbook.rst").partition("list-table")[2].partition("\n\n\n")[0]
        commands = [each for each in literals(text) if " " in each]
        pairs = zip(commands[::2], commands[1::2], strict=True)
        printed = [self.typed(*pair)[1] for pair in pairs]
        self.assertEqual(
            printed, ["Hello from server!", "You are connected!", "hi\n", "Hello, world!"]
        )
