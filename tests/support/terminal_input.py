"""The examples, imported for tests in memory, and run as their docstrings say."""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.subprocess_server import ROOT, Server, lab, program, run, scratch
from tests.support.tiers import processes

EXAMPLES = ROOT / "examples"
ALL = sorted(path.stem for path in EXAMPLES.glob("*.py"))


def example(name: str) -> Any:
    """Import an example afresh."""
    spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def docstring(name: str) -> str:
    """Return what an example says of itself, without running it."""
    return ast.get_docstring(ast.parse((EXAMPLES / f"{name}.py").read_text())) or ""


def commands(name: str) -> list[str]:
    """Return the commands in an example's docstring."""
    return re.findall(r"^ *\$ (.*)$", docstring(name), re.MULTILINE)


def serves(command: str) -> bool:
    """Tell whether a command starts a server."""
    if command.startswith(("twistd ", "tcplab serve ")):
        return True
    script = re.match(r"python (\w+\.py)", command)
    text = (EXAMPLES / script[1]).read_text() if script is not None else ""
    return "serverFromString" in text or "Lab(" in text


@processes
class Typed(SynchronousTestCase):
    """Run the commands of an example's docstring, in a copy of the folder."""

    def setUp(self) -> None:
        self.folder = scratch(self) / "examples"
        shutil.copytree(EXAMPLES, self.folder, ignore=shutil.ignore_patterns("__pycache__"))
        self.server: Server | None = None
        self.addCleanup(self._ended)

    def typed(self, name: str, *says: bytes) -> list[str]:
        """
        Type every command of an example, and return what each that ends has printed.

        The only change is the port: the server takes a free one, and the client is told.

        :param says: what is typed into each that ends, in their order; one for each.
        """
        left, outputs = list(says), []
        for command in commands(name):
            if serves(command):
                self.start(command)
            else:
                outputs.append(self.client(command, left.pop(0)))
        self.assertEqual(left, [], "there is no command to say it to")
        return outputs

    def start(self, command: str) -> Server:
        """Start an example's server, on a free port."""
        start = lab if command.startswith(("twistd ", "tcplab serve ")) else program
        self.server = start(command, self.folder)
        return self.server

    def client(self, command: str, say: bytes) -> str:
        """Run a command to its end, told the server's port, and return what it printed."""
        if self.server is not None:
            command = re.sub(r"localhost(:\d+)?", f"localhost:{self.server.port}", command)
        done = run(command, say, self.folder)
        self.assertEqual(done.returncode, 0, f"{command}: {done!r}")
        return done.stdout.decode()

    def log(self) -> str:
        """End the server, and return all that it has printed."""
        server, self.server = self.server, None
        assert server is not None
        self.assertEqual(server.stop(), 0, server.output)
        for bad in ("Traceback", "Unhandled"):
            self.assertNotIn(bad, server.output)
        return server.output

    def _ended(self) -> None:
        if self.server is not None:
            self.log()
