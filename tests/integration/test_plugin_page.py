"""The page about behaviours, faults and observers of one's own, typed as it stands."""

from __future__ import annotations

import re

from tests.support.rst_pages import page, programs, terminals
from tests.support.twistd_process import TWISTD, Commands

PAGE = page("docs/howto/own-plugin.rst")
TABLE = re.compile(r'\[project.entry-points."([\w.]+)"\]\n +(\w+) = "([\w:]+)"')
METADATA = "Metadata-Version: 2.1\nName: mine\nVersion: 1\n"


class PluginPageTests(Commands):
    def setUp(self) -> None:
        super().setUp()
        [program] = programs(PAGE)
        self.write("mine.py", program)
        groups = [f"[{group}]\n{name} = {to}\n" for group, name, to in TABLE.findall(PAGE)]
        entries = "".join(["[tcplab.behaviours]\necho = mine:Shout\n", *groups])
        self.write("site/mine-1.dist-info/METADATA", METADATA)
        self.write("site/mine-1.dist-info/entry_points.txt", entries)

    async def test_page(self) -> None:
        """The program is served by its dotted names, and by those that it registers."""
        dotted, short = terminals(PAGE)
        installed = f"{self.folder}/site:{self.folder}"
        await self.typed(dotted, "")
        await self.typed(short, installed)
        await self.typed(short, installed, "--workers", "1")

    async def typed(self, commands: list[str], path: str, *options: str) -> None:
        serve, connect = commands
        self.assertEqual(connect, r"tcplab connect localhost --send 'hello\n'")
        words = [*serve.removeprefix("twistd -n ").split(), *options]
        lab = self.start(*TWISTD, *words, "--port", "0", env={"PYTHONPATH": path})
        peer = self.connect(await self.portOf(lab, words[words.index("--behaviour") + 1]))
        self.assertEqual(await self.talk(peer, b"hello\n"), b"HELO\n")
        await lab.line("total: 6")
        await self.stop(lab)
        self.assertIn("gap at=3\n", lab.out)
        self.assertEqual("mine registers echo in tcplab.behaviours" in lab.out, bool(path))
