"""How-to pages with programs: each is the file that it shows, and is run as the page says."""

from __future__ import annotations

import re
import shutil

from twisted.trial.unittest import SynchronousTestCase

from tests.support.ports import free
from tests.support.rst_pages import blocks, page, terminals
from tests.support.subprocess_server import ROOT, Server, needed, run, scratch
from tests.support.tiers import processes

LANGUAGES = page("docs/howto/any-language.rst")
PLUGIN = page("docs/howto/own-service.rst")


class ShownTests(SynchronousTestCase):
    def test_programsAreTheExamples(self) -> None:
        for text in LANGUAGES, PLUGIN:
            shown = [block.strip() for _, block in blocks(text)]
            for path in re.findall(r"<\.\./\.\./(examples/[\w./-]+)>", text):
                self.assertIn((ROOT / path).read_text().strip(), shown, path)


@processes
class LanguageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = scratch(self) / "languages"
        shutil.copytree(ROOT / "examples" / "any-language", self.folder)

    def test_shell(self) -> None:
        [script] = (block for language, block in blocks(LANGUAGES) if language == "sh")
        (self.folder / "script").write_text(script)
        done = run("sh script", folder=self.folder)
        self.assertTrue(done.stdout.endswith(b"he"), done)

    def test_node(self) -> None:
        needed("node", "nodejs")
        done = run("node --test lab.test.mjs", folder=self.folder)
        self.assertEqual(done.returncode, 0, done)

    def test_java(self) -> None:
        needed("java", "default-jdk-headless")
        done = run("java LabTest.java", folder=self.folder)
        self.assertEqual(done.stdout, b"attempts: 3\n", done)

    def test_aListenerForEachFault(self) -> None:
        [[command]] = terminals(LANGUAGES)
        file = self.folder / "ports"

        def port(server: Server) -> str:
            return file.read_text().split()[2] if file.exists() else ""

        server = Server(command, self.folder, port)
        self.addCleanup(server.stop)
        lines = [line.split() for line in file.read_text().splitlines()]
        self.assertEqual([line[0] for line in lines], ["echo", "echo-2"])
        statuses = [
            run(f"tcplab connect {host}:{number} --send hi").returncode for _, host, number in lines
        ]
        self.assertEqual(statuses, [0, 6])


@processes
class PluginTests(SynchronousTestCase):
    """A service of one's own, from a folder with the examples and the two files of the page."""

    def setUp(self) -> None:
        self.folder = scratch(self) / "examples"
        shutil.copytree(ROOT / "examples", self.folder)
        (self.folder / "twisted" / "plugins").mkdir(parents=True)
        shown = [block for language, block in blocks(PLUGIN) if language == "python"]
        for name, program in zip(
            ("twisted/plugins/shout_plugin.py", "shout_tap.py"), shown[1:], strict=True
        ):
            self.assertIn(f"``{name}``:", PLUGIN)
            (self.folder / name).write_text(program)

    def typed(self, number: int, say: bytes) -> tuple[bytes, str]:
        """Type a block of the page: a server, then its client. Return what both print."""
        serve, talk = terminals(PLUGIN)[number]
        port = str(free())
        file = self.folder / "lab.tac"
        file.write_text(file.read_text().replace("50544", port))
        serve = serve.replace("50544", port).replace("twistd ", "twistd --pidfile= ")
        server = Server(
            f"env {serve}",
            self.folder,
            lambda server: port if "starting up" in server.output else "",
        )
        self.addCleanup(server.stop)
        done = run(talk.replace("localhost", f"localhost:{port}"), say, self.folder)
        server.stop()
        return done.stdout, server.output

    def test_tac(self) -> None:
        printed, log = self.typed(0, b"")
        self.assertEqual(printed, b"hi")
        self.assertIn("eager.EagerReactor", log)
        self.assertRegex(log, r"\[echo,1,127\.0\.0\.1\] closed by=peer how=fin received=2 sent=2 ")
        self.assertRegex(log, r"\[stdout#info\] echo 1 lasted 0\.\d{3} s\n")

    def test_plugin(self) -> None:
        printed, log = self.typed(1, b"hi\n")
        self.assertEqual(printed, b"say something\nHI\n")
        self.assertIn("epollreactor.EPollReactor", log)
