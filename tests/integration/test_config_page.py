"""The page about options in a file and in the environment, typed as it stands."""

from __future__ import annotations

import re
import socket
import sys
import textwrap

from tests.support.rst_pages import page, terminals
from tests.support.twistd_process import Command, Commands

SERVE = (sys.executable, "-m", "tcplab", "serve")
PAGE = page("docs/howto/config.rst")
FILE = textwrap.dedent(PAGE.partition("code-block:: toml\n\n")[2].partition("\nStart ")[0])


class ConfigPageTests(Commands):
    def file(self, name: str, **changes: str) -> None:
        text = FILE.replace("tcp:7000", "tcp:0")
        for old, new in changes.items():
            self.assertIn(old, text)
            text = text.replace(old, new)
        self.write(name, text)

    def serve(self, *words: str, **variables: str) -> Command:
        return self.start(*SERVE, *words, env=variables)

    async def answer(self, lab: Command, say: bytes) -> bytes:
        return await self.talk(self.connect(await self.portOf(lab, "lab.*")), say)

    async def test_file(self) -> None:
        """Paths are relative to it."""
        self.assertEqual(terminals(PAGE)[0][:1], ["tcplab serve --config lab.toml"])
        self.file("etc/lab.toml")
        lab = self.serve("--config", "etc/lab.toml", TCPLAB_PROT="1")
        self.assertEqual(await self.answer(lab, b"hi"), b"Welcome! hi")
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(f"{self.folder}/etc/echo.sock")
            self.assertEqual(await self.talk(peer, b"hello, world\n"), b"hello")
        self.assertIn("lab 127.0.0.1 ", self.read("etc/ports"))
        self.assertIn("(did you mean TCPLAB_PORT?)", lab.out)
        await self.stop(lab)

    async def test_environment(self) -> None:
        [command] = [each for block in terminals(PAGE) for each in block if "_FAULT" in each]
        variables = dict(re.findall(r"(TCPLAB_\w+)='?([^' ]+)'? ", command))
        lab = self.serve(**{**variables, "TCPLAB_PORT": "0"})
        self.assertEqual(await self.answer(lab, b""), b"You")
        await self.stop(lab)

    async def test_restart(self) -> None:
        """The file is read again; what cannot change is refused, and the workers stay."""
        self.file("lab.toml")
        lab = self.serve("--config", "lab.toml", "--workers", "1")
        await lab.line("worker 1 .* serves")
        for text, line in (
            ("prt = 1", r"no restart: lab.toml, line 1: there is no option prt"),
            ("workers = 2\nport = 0", r"no restart: the endpoints cannot change"),
        ):
            self.write("lab.toml", text)
            lab.signal("HUP")
            await lab.line(line)
        self.file("lab.toml", Welcome="Good day")
        lab.signal("HUP")
        await lab.line("restarted: ")
        # The old one may accept until it has read the command to leave.
        while await self.answer(lab, b"hi") != b"Good day! hi":
            self.assertIsNone(lab.status)
        await self.stop(lab)
