"""How-to pages with programs: each is the file that it shows, and is run as the page says."""

from __future__ import annotations

import re
import shutil
import socket

from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults.spec import parseFault
from tests.support.certificates import localhostPEM
from tests.support.ports import free
from tests.support.rst_pages import blocks, literals, page, table, terminals
from tests.support.subprocess_server import LIMIT, ROOT, Server, needed, run, scratch
from tests.support.tiers import processes

CLASSROOM = page("docs/howto/classroom.rst")
LANGUAGES = page("docs/howto/any-language.rst")
PLUGIN = page("docs/howto/own-service.rst")


class ShownTests(SynchronousTestCase):
    def test_programsAreTheExamples(self) -> None:
        for text in CLASSROOM, LANGUAGES, PLUGIN:
            shown = [block.strip() for _, block in blocks(text)]
            for path in re.findall(r"<\.\./\.\./(examples/[\w./-]+)>", text):
                self.assertIn((ROOT / path).read_text().strip(), shown, path)

    def test_whatToTest(self) -> None:
        rows = table(page("docs/howto/test-your-client.rst"), "What to test")
        self.assertGreater(len(rows), 10)
        for row in rows:
            option, fault = literals(row[0])[0].replace('"', "").split(", ")
            self.assertEqual(option, "--fault")
            parseFault(fault)

    def test_installationIsTheOneOfTheUnit(self) -> None:
        unit = (ROOT / "deploy" / "tcplab.service").read_text()
        for line in blocks(page("docs/howto/service.rst"))[0][1].strip().splitlines():
            self.assertIn(f"#   {line}\n", unit)


@processes
class BalancerTests(SynchronousTestCase):
    """One lab on this machine, which is both of the page's."""

    def test_page(self) -> None:
        needed("haproxy")
        text = page("docs/howto/haproxy.rst")
        [[serve], [ask]] = terminals(text)
        folder = scratch(self)
        (folder / "localhost.pem").write_bytes(localhostPEM())
        lab, secureLab, plain, secure = map(str, _four())
        script = blocks(text)[0][1].replace("deploy", f"{ROOT}/deploy")
        for old, new in (
            (r"10\.0\.0\.1[12]:8080", f"127.0.0.1:{lab}"),
            (r"10\.0\.0\.1[12]:8443", f"127.0.0.1:{secureLab}"),
            ("=:8080", f"=127.0.0.1:{plain}"),
            ("=:8443", f"=127.0.0.1:{secure}"),
            ("(?m)^haproxy", "exec haproxy"),
        ):
            script = re.sub(old, new, script)
        (folder / "script").write_text(script)
        for old, new in (
            ("tcp:8080", f"tcp:{lab}:interface=127.0.0.1"),
            ("/etc/tcplab/certificates:8443", f".:{secureLab}:interface=127.0.0.1"),
            ("10.0.0.1", "127.0.0.1"),
        ):
            serve = serve.replace(old, new)

        def listens(_: Server) -> str:
            with socket.socket() as sock:
                return plain if sock.connect_ex(("127.0.0.1", int(plain))) == 0 else ""

        self.addCleanup(Server(serve, folder, _ready).stop)
        self.addCleanup(Server("sh script", folder, listens).stop)
        # A FIN before HAProxy is connected to the lab ends it all; a terminal would send none.
        done = run(ask.replace("10.0.0.1:8080", f"127.0.0.1:{plain}") + " --no-shutdown")
        [shown] = re.findall("^    (name=blue .*)$", text, re.M)
        self.assertEqual(_addressed(done.stdout.decode().strip()), _addressed(shown), done)


def _four() -> range:
    first = free(4)
    return range(first, first + 4)


def _addressed(line: str) -> str:
    return re.sub(r"name=\S+|[\d.]+:\d+|\d+$", "N", line)


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
class ClassroomTests(SynchronousTestCase):
    """All on one machine, and on other ports."""

    def setUp(self) -> None:
        self.folder = scratch(self) / "chain"
        shutil.copytree(ROOT / "examples" / "chain", self.folder)
        first = free(6)
        places = ("50544", "8080", "8888", "20551", "20552", "20553")
        self.ports = {place: str(first + number) for number, place in enumerate(places)}

    def typed(self, begins: str, changed: str = "", by: str = "") -> list[bytes]:
        """Type a block; return what its clients print. A server may be changed for another."""
        printed = []
        [block] = (each for each in terminals(CLASSROOM) if each[0].startswith(begins))
        for command in block:
            command = re.sub(r"0\.0\.0\.0|192\.0\.2\.10\b|localhost", "127.0.0.1", command)
            command = re.sub(r"connect 127\.0\.0\.1(?!:)", r"\g<0>:50544", command)
            command = by if changed and changed in command else command
            for place, port in self.ports.items():
                command = command.replace(place, port)
            if " connect " in command:
                done = run(command, folder=self.folder)
                self.assertEqual(done.returncode, 0, f"{command}: {done}")
                printed.append(done.stdout)
            else:
                self.addCleanup(Server(command, self.folder, _ready).stop)
        return printed

    def test_oneServerForAll(self) -> None:
        self.assertEqual(self.typed("tcplab serve --interface"), [])
        self.assertEqual(self.typed("tcplab connect 192.0.2.10 "), [b""] * 3)

    def test_chain(self) -> None:
        names = re.search(r"(?:^    \w+,192\..*\n)+", CLASSROOM, re.M)
        assert names is not None
        (self.folder / "names.csv").write_text(re.sub("(?m)^ +", "", names[0]))
        shown = CLASSROOM.partition("    $ tcplab chain --csv names.csv\n")[2].partition("\nEach")[
            0
        ]
        done = run("tcplab chain --csv names.csv", folder=self.folder)
        self.assertEqual(done.stdout.decode(), re.sub("(?m)^    ", "", shown))

    def test_nodes(self) -> None:
        answer = [b"ack hi | ada | bob | cleo\n"]
        self.assertEqual(self.typed("tcplab serve --port 20551"), answer)

    def test_aNodeWithoutTcplab(self) -> None:
        own = "python link.py bob 20552 127.0.0.1 20553"
        printed = self.typed("tcplab serve --port 20551", "name=bob", own)
        self.assertEqual(printed, [b"ack hi | ada | bob | cleo\n"])

    def test_whatToBreak(self) -> None:
        for heading, count in ("What to break", 3), ("Your own server gets", 7):
            rows = table(CLASSROOM, heading)
            faults = [parseFault(each) for row in rows for each in literals(row[0])]
            self.assertEqual(len(faults), count)


def _ready(server: Server) -> str:
    return "1" if "starting up" in server.output or "listens" in server.output else ""


@processes
class LogTests(SynchronousTestCase):
    """One lab, and everything that the page does with its log."""

    def test_page(self) -> None:
        needed("jq")
        text = page("docs/howto/logs.rst")
        [[serve, talk]] = terminals(text)
        folder = scratch(self)
        port = str(free())
        file = folder / "lab.log"

        def ready(server: Server) -> str:
            return port if file.exists() and "starting up" in file.read_text() else ""

        server = Server(f"{serve} --port {port} --idle-timeout 0.2", folder, ready)
        self.addCleanup(server.stop)
        run(f"{talk.replace('localhost', f'localhost:{port}')}", folder=folder)
        with socket.create_connection(("127.0.0.1", server.port), LIMIT) as sock:
            sock.settimeout(LIMIT)
            self.assertRaises(ConnectionError, lambda: [*iter(lambda: sock.recv(99), b"")])
        server.awaited(lambda: file.read_text().count('"closed"') == 2)
        failed, reasons, received, rotate = (
            block for language, block in blocks(text) if language == "sh"
        )
        shown = re.findall(r'^    (\{"time".*)$', text, re.M)
        for line in shown:
            self.assertIn(_same(line), map(_same, file.read_text().splitlines()))
        printed = [run(each, folder=folder).stdout.decode() for each in (failed, reasons, received)]
        self.assertIn('"why":"idle-timeout"', printed[0])
        self.assertEqual(printed[1].split(), ["1", "idle-timeout", "1", "none"])
        self.assertEqual(printed[2], "127.0.0.1 2\n")
        run(rotate.replace('"$pid"', str(server.process.pid)), folder=folder)
        server.awaited(file.exists)
        self.assertIn('"closed"', (folder / "lab.log.1").read_text())


def _same(line: str) -> str:
    return re.sub(r'("time":|:)"[^"]*[TZ:]\d[^"]*"|\d+\.\d+', "N", line)


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
