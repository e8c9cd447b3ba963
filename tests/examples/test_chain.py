"""Tests for ``examples/chain``: ten nodes in one process, and in ten."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.test_textbook import slide
from tests.support.ports import free
from tests.support.subprocess_server import LIMIT, Server, run, scratch
from tests.support.terminal_input import EXAMPLES
from tests.support.thread_servers import ThreadServer, echo
from tests.support.tiers import slow

FOLDER = EXAMPLES / "chain"
NAMES = ("ada", "bob", "cleo", "dan", "eve", "fay", "gil", "hana", "ivo", "jo")
SCRIPTS = ("one", "ten")


class Chain(Server):
    """A script that runs; it is ready when all ten listen."""

    def __init__(self, script: str, folder: Path, *words: str) -> None:
        first = str(free(len(NAMES)))

        def port(server: Server) -> str:
            return first if server.output.count("serving relay") == len(NAMES) else ""

        super().__init__(shlex.join(["sh", f"{FOLDER}/{script}.sh", first, *words]), folder, port)

    def refuses(self, number: int) -> bool:
        """Tell whether a node accepts no connections."""
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port + number)) != 0

    def node(self, name: str) -> int:
        """Find the process of a node, a child of the script."""
        parent = self.process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for child in map(int, children):
            if f"name={name}" in Path(f"/proc/{child}/cmdline").read_text():
                return child
        raise AssertionError(f"no process is {name}: {children}")


@slow
class ChainTests(SynchronousTestCase):
    def chain(self, script: str, *words: str) -> Chain:
        chain = Chain(script, scratch(self), *words)
        self.addCleanup(chain.stop)
        return chain

    def said(self, names: tuple[str, ...]) -> str:
        return "".join(f" | {name}" for name in names)

    def test_eachNodeAddsItsNameAndLogsTheMessage(self) -> None:
        for script in SCRIPTS:
            chain = self.chain(script)
            done = run(f"tcplab connect localhost:{chain.port}", b"hi\nho\n")
            names = self.said(NAMES)
            self.assertEqual(done.stdout.decode(), f"ack hi{names}\nack ho{names}\n", script)
            chain.stop()
            log = chain.output
            for number in range(10):
                self.assertIn(f"Got the message:hi{self.said(NAMES[:number])}\n", log)
            self.assertEqual(log.count("Got the message:ack ho"), 9)
            self.assertNotIn("Traceback", log)

    def test_programsThatSendNoNewlineAreLinksToo(self) -> None:
        for script in SCRIPTS:
            server = ThreadServer(self, echo)
            chain = self.chain(script, "stream", f"tcp:127.0.0.1:{server.port}")
            sock = socket.create_connection(("127.0.0.1", chain.port), timeout=LIMIT)
            answer = f"Hello, world!{self.said(NAMES)}".encode()
            self.assertEqual(slide(sock), answer, script)
            self.assertEqual(server.ended(), answer)

    def test_whoeverIsMissingIsNamed(self) -> None:
        chain = self.chain("ten")
        os.kill(chain.node("eve"), signal.SIGTERM)
        chain.awaited(lambda: chain.refuses(4))
        self.assertEqual(self.answer(chain, b"hi\n"), self.broken(chain, "hi", "refused"))

    def test_whoeverIsSlowOrDiesMidwayIsNamed(self) -> None:
        chain = self.chain("ten")
        self.answer(chain, b"they call each other\n")
        eve = chain.node("eve")
        os.kill(eve, signal.SIGSTOP)
        self.addCleanup(self._end, eve)
        self.assertEqual(self.answer(chain, b"hi\n"), self.broken(chain, "hi", "timed out"))
        with socket.create_connection(("127.0.0.1", chain.port), timeout=LIMIT) as sock:
            sock.sendall(b"ho\n")
            chain.awaited(lambda: f"Got the message:ho{self.said(NAMES[:3])}\n" in chain.output)
            self._end(eve)
            said = sock.makefile().readline()
        # Dan may have called anew by then, or have been about to.
        ways = [self.broken(chain, "ho", why) for why in ("reset", "closed", "refused")]
        self.assertIn(said, ways)

    def test_inOneProcessFaultsAreTheBrokenLink(self) -> None:
        for fault, why in (
            ("refuse@relay-5", "refused"),
            ("reset_peer,match=hi,direction=upstream@relay-5", "reset"),
            ("limit_data,bytes=0,direction=upstream@relay-5", "closed"),
        ):
            chain = self.chain("one", "lines", "", "--fault", fault)
            self.assertEqual(self.answer(chain, b"hi\n"), self.broken(chain, "hi", why), fault)
            chain.stop()
            self.assertNotIn("Traceback", chain.output)

    def answer(self, chain: Chain, say: bytes) -> str:
        return run(f"tcplab connect localhost:{chain.port}", say).stdout.decode()

    def broken(self, chain: Chain, message: str, why: str) -> str:
        """Return what is said of the link from dan to eve."""
        return f"error {message}{self.said(NAMES[:4])}: tcp:127.0.0.1:{chain.port + 4} {why}\n"

    def _end(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
