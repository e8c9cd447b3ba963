"""The pages name what there is: options, hooks, reasons, figures."""

from __future__ import annotations

import re
from configparser import ConfigParser

from twisted.trial.unittest import SynchronousTestCase

from tcplab.client.commandline import HELP
from tcplab.observers.lineformat import FIELDS
from tcplab.protocols import Conversation
from tcplab.protocols.factory import settingsOf
from tcplab.tap import Options
from tcplab.wire.reasons import Reason
from tests.support.rst_pages import PAGES, literals, page, table
from tests.support.subprocess_server import ROOT


class NamesTests(SynchronousTestCase):
    """What can be typed is what the tables say."""

    def first(self, name: str, heading: str = "") -> list[str]:
        return [literals(row[0])[0] for row in table(page(name), heading)]

    def test_everyOptionInTheTextIsOne(self) -> None:
        known = {f"--{name.removesuffix('=')}" for name in Options().longOpt}
        known |= {"--behavior", "--log-format", "--reactor", "--listen"}
        known |= {"--uid", "--gid", "--euid", "--umask", "--chroot"}  # twistd's own
        known |= {"--kill-whom", "--signal"}  # of systemctl
        known |= {"--logfile", "--logger", "--syslog"}
        known |= {"--csv", "--framing", "--last"}  # of tcplab chain
        known |= {"--strict"}  # of mypy
        known |= {"--rounds", "--cases", "--bind"}  # of the soak, and of http.server
        known |= {"--test", "--now"}  # of node, and of systemctl
        known |= set(re.findall(r"--[a-z][\w-]*", HELP))
        for name in ("README.rst", *(each for each in PAGES if each.startswith("docs/"))):
            told = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", page(name)))
            self.assertEqual(told - known, set(), name)

    def test_reasons(self) -> None:
        self.assertEqual(
            self.first("docs/reference/log.rst", "Reasons\n"), [str(each) for each in Reason]
        )

    def test_logFields(self) -> None:
        own = {"time", "event", "level", "system", "worker", "text"}
        self.assertEqual(set(self.first("docs/reference/log.rst", "JSON\n")), {*FIELDS, *own})

    def test_hooksAndSettings(self) -> None:
        own = page("docs/reference/python.rst")
        for hook in self.first("docs/reference/python.rst"):
            self.assertTrue(callable(getattr(Conversation, hook)), hook)
        settings = literals(own.partition("Its settings are class attributes:")[2])
        self.assertEqual(sorted(settings[:5]), sorted(settingsOf(Conversation)))

    def test_speed(self) -> None:
        """The figures are those of the last ``make bench``, and the machine is named."""
        results = page("benchmarks/results/table.rst")
        ratios, _ = results.split("\n.. list-table::")
        told = page("docs/explanation/performance.rst")
        self.assertIn(ratios.strip(), told)
        self.assertIn(results.splitlines()[-1], " ".join(told.split()))

    def test_dependencies(self) -> None:
        config = ConfigParser()
        config.read(ROOT / "setup.cfg")
        wanted = config["options"]["install_requires"]
        wanted += "".join(config["options.extras_require"].values())
        text = page("docs/install.rst")
        told = [
            name
            for each in text.split("\n\n")
            if each.startswith("=")
            for name in (literals(row[0])[0] for row in table(each + "\n\n"))
        ]
        self.assertEqual(sorted(told), sorted(re.findall(r"^[\w\[\]-]+", wanted, re.MULTILINE)))
