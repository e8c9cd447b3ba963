"""The pages of the reference have all that there is; Sphinx writes their tables from the code."""

from __future__ import annotations

import re
import socket
import time

from twisted.trial.unittest import SynchronousTestCase

from tcplab.client.commandline import HELP
from tcplab.client.result import Outcome
from tcplab.config.options import OPTIONS, SOURCES
from tcplab.faults.fault import SIZE_UNITS, TIME_UNITS
from tcplab.faults.spec import parseFault
from tcplab.tap import Options
from tcplab.wire.names import BEHAVIOURS, FAULTS, FRAMINGS
from tests.support.rst_pages import literals, page, section, table
from tests.support.subprocess_server import LIMIT, ROOT, Server, scratch
from tests.support.tiers import processes

BEHAVIOURS_PAGE, FAULTS_PAGE, OPTIONS_PAGE, CONNECT_PAGE = (
    page(f"docs/reference/{name}.rst") for name in ("behaviours", "faults", "options", "connect")
)

LADDER = "::\n\n    client                          server\n"


def generated(text: str, kind: str) -> list[str]:
    """Return what the directives of a kind name."""
    found = re.findall(rf"^\.\. {kind}:: (.+)", text, re.M)
    return [name for each in found for name in each.split()]


class ReferenceTests(SynchronousTestCase):
    def test_everyOneHasAHeading(self) -> None:
        for kind, text, known in (
            ("behaviour", BEHAVIOURS_PAGE, BEHAVIOURS),
            ("fault", FAULTS_PAGE, FAULTS),
        ):
            self.assertEqual(sorted(generated(text, kind)), sorted(known))
            for name in known:
                mark = "~" * len(name)
                top = f".. _{kind}-{name}:\n\n{name}\n{mark}\n\n.. {kind}:: {name}\n"
                self.assertIn(top, text)

    def test_everyFaultHasALadder(self) -> None:
        for each in FAULTS_PAGE.split(".. fault:: ")[1:]:
            self.assertEqual(each.partition("\n\n.. _fault-")[0].count(LADDER), 1, each)

    def test_examplesAreFaults(self) -> None:
        text = section(FAULTS_PAGE, "When it acts, and on which connections")
        rows = re.findall(r"^``(.+?)``  ", text, re.M)
        self.assertGreater(len(rows), 3)
        for each in rows:
            self.assertEqual(parseFault(each).text, each)

    def test_units(self) -> None:
        sentence = section(FAULTS_PAGE, "How a fault is written").partition("required:")[2]
        told = {re.sub(r"[\d ]", "", each) for each in literals(sentence)}
        self.assertEqual(told, set(f"{TIME_UNITS}, {SIZE_UNITS}".split(", ")))

    def test_framings(self) -> None:
        rows = table(BEHAVIOURS_PAGE, "In a framing")
        self.assertEqual([literals(row[0])[0] for row in rows], list(FRAMINGS))

    def test_optionsOfTheServer(self) -> None:
        told = generated(OPTIONS_PAGE, "options")
        self.assertEqual(sorted(told), sorted({**SOURCES, **OPTIONS}))
        known = {f"--{name.removesuffix('=')}" for name in Options().longOpt if len(name) > 2}
        self.assertEqual(known - _serverFlags(), {"--help", "--version"})

    def test_optionsOfTheClient(self) -> None:
        told = re.findall(
            r"--?[a-zC][\w-]*", " ".join(re.findall(r"^\.\. option:: .*", CONNECT_PAGE, re.M))
        )
        self.assertEqual(set(told), _clientFlags())

    def test_exitStatuses(self) -> None:
        rows = table(section(page("docs/reference/exit-status.rst"), "The client"))
        told = {literals(row[0])[0]: int(row[1]) for row in rows}
        self.assertEqual(told, {each.name: each.value for each in Outcome})


class ManualTests(SynchronousTestCase):
    """The pages of the manual, as ``make man`` has written them."""

    def test_options(self) -> None:
        for name, flags in (("serve", _serverFlags()), ("connect", _clientFlags())):
            text = page(f"man/tcplab-{name}.1").replace("\\-", "-")
            self.assertEqual({each for each in flags if each not in text}, set(), name)

    def test_installed(self) -> None:
        pages = sorted(path.name for path in (ROOT / "man").iterdir())
        self.assertEqual(sorted(re.findall(r"man/(.*\S)", page("setup.cfg"))), ["man1 =", *pages])


def _serverFlags() -> set[str]:
    return {each.flag for each in {**SOURCES, **OPTIONS}.values()}


def _clientFlags() -> set[str]:
    return set(re.findall(r"(?<!\S)--?[a-zC][\w-]*", HELP))


@processes
class EndpointTests(SynchronousTestCase):
    def test_anyServerCanMisbehave(self) -> None:
        text = page("docs/reference/specs.rst")
        command = next(each for each in literals(text) if each.startswith("twistd -n web"))
        inner = "tcp:0:interface=127.0.0.1"
        server = Server(command.replace("tcp:8080", inner), scratch(self), _webPort)
        self.addCleanup(server.stop)
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", server.port), LIMIT) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            self.assertEqual(sock.makefile("rb").read(7), b"HTTP/1.")
        self.assertGreaterEqual(time.monotonic() - began, 0.1)


def _webPort(server: Server) -> str:
    found = re.search(r"Site starting on (\d+)", server.output)
    return found[1] if found else ""
