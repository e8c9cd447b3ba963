"""A page followed from its top to its end: its programs are saved, its commands are typed."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest import TestCase

from tests.support.ports import free
from tests.support.pseudo_terminal import Terminal
from tests.support.subprocess_server import Server, commands, program

_BLOCK = re.compile(r"(?:::|^ *\.\. code-block:: (\w+))\n\n((?: +.*\n|\n)+)", re.M)
_SAVED = re.compile(r"[Ss]ave\s[\w\s]{2,20}\sas\s``(\w+\.py)``")

#: The pages that are followed; each begins in an empty folder.
FOLLOWED = (
    "README.rst",
    "docs/index.rst",
    "docs/howto/troubleshooting.rst",
    "docs/explanation/compared.rst",
    "docs/tutorial/first.rst",
    "docs/tutorial/textbook.rst",
    "docs/tutorial/protocol.rst",
    "docs/tutorial/break-it.rst",
    "docs/explanation/how-tcp-ends.rst",
    "docs/explanation/flow.rst",
)

#: What begins a command that installs something.
INSTALLS = ("make ", "python3 -m venv ", "pip ", "pipx ", ". .venv/")

#: The printed clients, with what is seen of them on the wire made certain.
PRINTED = {
    # Its message and its FIN are in one segment, so that no answer can arrive between them.
    "ack_client": """#!/usr/bin/env python3
import os, socket, sys
sock = socket.create_connection((sys.argv[1], int(os.environ["PORT"])))
print(sock.recv(127).decode())
sock.send(input("What message for the server? : ").encode(), socket.MSG_MORE)
sock.close()
""",
    # An answer is in its socket, unread, when it closes.
    "hello_client": """#!/usr/bin/env python3
import os, select, socket
sock = socket.create_connection(("127.0.0.1", int(os.environ["PORT"])))
print("Received from server:", sock.recv(1024).decode())
sock.send(b"Hello from client!")
select.select([sock], [], [], 10)
sock.close()
""",
}


class PageSession:
    """
    Follow a page as a reader does, in one folder and with one server at a time.

    A program is saved under the name that the text above it has. A command that serves replaces the
    server. Any other is run on a terminal, and prints the lines beneath it; ``...`` stands for any.
    Lines that begin with a bracket are in the server's log. A block of another language is not
    followed. The only change is the port.
    """

    def __init__(self, test: TestCase, folder: Path) -> None:
        self._test, self._folder = test, folder
        self._port = free()
        self._server: Server | None = None
        test.addCleanup(self.stop)
        for name, text in PRINTED.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)

    def follow(self, text: str) -> None:
        """Do all that a page says."""
        end = 0  # of the last program
        for before, kind, block in _blocks(text):
            if kind == "python":
                compile(block, "a page", "exec")
                for name in _SAVED.findall(before, end)[-1:]:
                    (self._folder / name).write_text(self._ported(block))
                end = len(before)
            if kind:
                continue
            for command, shown in _steps(block):
                if command:
                    self._type(command, shown)
                else:
                    self._logged([line for line in shown if line.startswith("[")])

    def stop(self) -> None:
        """End the server, as a reader does before the next one is started."""
        server, self._server = self._server, None
        if server is not None:
            self._test.assertEqual(server.stop(), 0, server.output)
            self._test.assertNotIn("Traceback", server.output)

    def _type(self, command: str, shown: list[str]) -> None:
        if command.startswith(INSTALLS):
            return
        if command.startswith("tcplab serve"):
            self.stop()
            self._server = self._lab(self._ported(command))
        elif self._listens(command):
            self.stop()
            self._server = program(command, self._folder)
            self._port = self._server.port
        else:
            self._run(self._ported(command), shown)
            return
        self._logged(shown)

    def _run(self, command: str, shown: list[str]) -> None:
        # An exit status is not shown, so it matters only where nothing is.
        status, seen = self._printed(command, [*map(_typedIn, shown)])
        if shown:
            parts = "\n".join(_plain(line) for line in shown).split("...\n")
            whole = "(?:.*\n)*?".join(map(re.escape, parts))
            self._test.assertRegex(seen, rf"\A{whole}\Z", f"{command} prints another thing")
        else:
            self._test.assertEqual(status, 0, f"{command}: {seen}")

    def _listens(self, command: str) -> bool:
        name = re.fullmatch(r"python (\w+\.py)", command)
        return name is not None and "listening on port" in (self._folder / name[1]).read_text()

    def _lab(self, command: str) -> Server:
        ports = self._folder / "ports"
        ports.unlink(missing_ok=True)
        port = "" if "--port " in command else f" --port {self._port}"

        def ready(server: Server) -> str:
            return ports.read_text().split()[2] if ports.exists() else ""

        return Server(f"{command}{port} --port-file {ports}", self._folder, ready)

    def _printed(self, command: str, lines: list[tuple[str, str]]) -> tuple[int, str]:
        """Run a command on a terminal; return its status, and what is seen in the end."""
        path = commands()["PATH"]
        line = f"cd {self._folder}; export PATH={path} PORT={self._port}; {command}"
        terminal = Terminal(["sh", "-c", line])
        try:
            for number, (prompt, keys) in enumerate(lines):
                if keys:
                    above = [prompt + typed for prompt, typed in lines[:number]]
                    self._awaitScreen(terminal, [*above, prompt])
                    terminal.type(b"\x04" if keys == "^D" else f"{keys}\n".encode())
            status = terminal.status(b"" if any(keys for _, keys in lines) else b"\x04")
        finally:
            terminal.close()
        return status, "\n".join(_screen(terminal))

    def _awaitScreen(self, terminal: Terminal, lines: list[str]) -> None:
        lines = [_plain(line) for line in lines]
        terminal.waitUntil(lambda: _screen(terminal) == lines, lines)

    def _logged(self, lines: list[str]) -> None:
        if not lines:
            return
        assert self._server is not None, f"{lines} without a server"
        server = self._server
        if "drained=" in lines[-1]:
            self.stop()
        for line in map(_plain, lines):
            server.awaited(partial(_includes, server, line))

    def _ported(self, text: str) -> str:
        text = re.sub(r"\b(50544|20544|8888|8080)\b", str(self._port), text)
        return re.sub(r"(connect localhost)(?!:)", rf"\1:{self._port}", text)


def _blocks(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield what stands before each block, its kind, and the block."""
    for found in _BLOCK.finditer(text):
        yield text[: found.start()], found[1] or "", textwrap.dedent(found[2]).strip("\n") + "\n"


def _steps(block: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of a block with the lines beneath it; first those without a command."""
    command, shown = "", list[str]()
    for line in block.splitlines():
        if line.startswith("$ "):
            yield command, shown
            command, shown = line[2:], []
        elif line:
            shown.append(line)
    yield command, shown


def _includes(server: Server, line: str) -> bool:
    return line in map(_plain, server.output.splitlines())


def _typedIn(line: str) -> tuple[str, str]:
    """Divide a line into what is printed, and what is typed behind a prompt."""
    found = re.match(r"(.*\? : |> )(.+)", line)
    return (found[1], found[2]) if found else (line, "")


def _screen(terminal: Terminal) -> list[str]:
    """Return the lines that are seen; the program erases some."""
    lines = terminal.printed.decode().rstrip().split("\r\n")
    return [_plain(line.rpartition("\r\x1b[J")[2]) for line in lines]


def _plain(line: str) -> str:
    """Take out what differs from one time to the next: the time, the ports, the seconds."""
    line = re.sub(r"^\d{4}-\d\d-\d\d\S* ", "", line.replace("^D", "").rstrip())
    line = re.sub(r"(:|port |port = )\d{4,5}\b", r"\1PORT", line)
    return re.sub(r"seconds=\d+\.\d+", "seconds=N", line)
