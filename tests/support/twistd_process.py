"""Real commands for a test: started, read line by line, signalled, waited for."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import sys
import sysconfig
import tempfile
import textwrap
import time
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.support.socket_server import readAll
from tests.support.tiers import processes

#: Seconds for what takes well under one: only a machine in trouble needs them.
PATIENCE = 120

_SCRIPTS = sysconfig.get_path("scripts")

#: The ways to start a plugin of Twisted in the foreground.
TWISTD = (os.path.join(_SCRIPTS, "twistd"), "-n")
TWIST = (os.path.join(_SCRIPTS, "twist"), "--log-format=text")
MODULE = (sys.executable, "-m", "twisted", "--log-format=text")
#: And in the background.
DAEMON = (os.path.join(_SCRIPTS, "twistd"),)


class Command(ProcessProtocol):
    """
    A command that runs.

    :ivar out: what it has written to stdout so far.
    :ivar err: what it has written to stderr so far.
    """

    def __init__(self) -> None:
        self.out = ""
        self.err = ""
        self.status: int | str | None = None
        self._lines: list[tuple[str, Deferred[re.Match[str]]]] = []
        self._ending: list[Deferred[int | str]] = []

    @classmethod
    def start(cls, *words: str, folder: str, **settings: Any) -> Command:
        """
        Start it in a folder, which it leaves as it is.

        :param settings: ``env`` adds to the environment; ``childFDs`` are its descriptors.
        """
        command = cls()
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **settings.pop("env", {})}
        reactor.spawnProcess(command, words[0], words, environment, folder, **settings)
        return command

    def outReceived(self, data: bytes) -> None:
        self.out += data.decode()
        for entry in list(self._lines):
            if found := re.search(entry[0], self.out):
                self._lines.remove(entry)
                entry[1].callback(found)

    def errReceived(self, data: bytes) -> None:
        self.err += data.decode()

    def processEnded(self, reason: Failure) -> None:
        value: Any = reason.value
        number = value.signal
        self.status = value.exitCode if number is None else signal.Signals(number).name
        for ending in self._ending:
            ending.callback(self.status)
        for _, waiting in self._lines:
            waiting.errback(AssertionError(f"ended with {self.status}: {self.err or self.out}"))

    def line(self, pattern: str) -> Deferred[re.Match[str]]:
        """Wait until stdout has what the pattern describes; fails if the command ends before."""
        waiting: Deferred[re.Match[str]] = Deferred()
        self._lines.append((pattern, waiting))
        self.outReceived(b"")
        return waiting

    def ended(self) -> Deferred[int | str]:
        """Wait for the end: the exit status, or the name of the signal that killed it."""
        ending: Deferred[int | str] = Deferred()
        if self.status is None:
            self._ending.append(ending)
        else:
            ending.callback(self.status)
        return ending

    def signal(self, name: str) -> None:
        """Send it a signal: ``TERM``, ``INT`` or ``KILL``."""
        self.transport.signalProcess(name)

    async def kill(self) -> None:
        """Make sure that it does not outlive the test."""
        try:
            self.signal("KILL")
        except ProcessExitedAlready:
            return
        await self.ended()


@processes
class Commands(TestCase):
    """Start commands in a folder of the test's own."""

    timeout = PATIENCE

    def setUp(self) -> None:
        # Not mktemp: a Unix socket's path is limited to 107 bytes.
        self.folder = tempfile.mkdtemp(prefix="tcplab")
        self.addCleanup(shutil.rmtree, self.folder)

    def start(self, *words: str, **settings: Any) -> Command:
        """Start a command; it does not outlive the test."""
        command = Command.start(*words, folder=self.folder, **settings)
        self.addCleanup(command.kill)
        return command

    def write(self, name: str, text: str) -> None:
        """Write a file into the folder."""
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(textwrap.dedent(text))

    def read(self, name: str) -> str:
        """Read a file of the folder."""
        with open(os.path.join(self.folder, name)) as file:
            return file.read()

    async def portOf(self, command: Command, name: str = "lab") -> int:
        """Wait until it serves a behaviour, and say on which port."""
        found = await command.line(rf"serving {name} on (?:tcp|tls) \S+:(\d+) ")
        return int(found[1])

    def connect(self, port: int, host: str = "127.0.0.1") -> socket.socket:
        """Connect a plain blocking socket."""
        peer = socket.create_connection((host, port), timeout=PATIENCE)
        self.addCleanup(peer.close)
        return peer

    def talk(self, peer: Any, say: bytes) -> Deferred[bytes]:
        """Say something, finish, and read to the end."""

        def talk() -> bytes:
            peer.sendall(say)
            if not isinstance(peer, ssl.SSLSocket):  # which cannot half-close
                peer.shutdown(socket.SHUT_WR)
            return readAll(peer)

        return deferToThread(talk)

    def hear(self, peer: socket.socket, count: int) -> Deferred[bytes]:
        """Read so many bytes; fewer, if the end comes before."""

        def read() -> bytes:
            data = b""
            while len(data) < count and (piece := peer.recv(count - len(data))):
                data += piece
            return data

        return deferToThread(read)

    async def greeted(self, command: Command, name: str = "lab") -> socket.socket:
        """Connect, and read the greeting: then the reactor runs, and signals are handled."""
        peer = self.connect(await self.portOf(command, name))
        self.assertEqual(await self.hear(peer, 18), b"You are connected!")
        return peer

    async def until(self, condition: Callable[[], bool], command: Command) -> None:
        """Wait until something is so."""
        end = time.monotonic() + PATIENCE / 4
        while not condition():
            running = time.monotonic() < end and command.status is None
            self.assertTrue(running, command.out + command.err)
            await deferLater(reactor, 0.005)

    def children(self, command: Command) -> list[int]:
        """Return all processes that it has started and that live."""
        pid = command.transport.pid
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]

    async def stop(self, command: Command, name: str = "TERM", status: object = 0) -> None:
        """End it by a signal, unless it has had one; see `assertEnded`."""
        if name:
            command.signal(name)
        await command.ended()
        self.assertEnded(command, status)

    def assertEnded(self, command: Command, status: object) -> None:
        """It has ended with this status, without a traceback, and left no pid file."""
        self.assertEqual(command.status, status, command.out + command.err)
        self.assertNotIn("Traceback", command.out + command.err)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "twistd.pid")))


#: Sends the number of its process, and then what it receives; ``die`` ends the process.
WHO = """
    import os
    from tcplab.protocols import Conversation

    class Who(Conversation):
        def connectionMade(self):
            self.send(f"{os.getpid()}\\n".encode())

        def messageReceived(self, message):
            if message == b"die":
                os._exit(3)
            self.send(message)
"""


class Workers(Commands):
    """A lab with workers; see `WHO`."""

    async def lab(self, *words: str, who: str = WHO, **settings: Any) -> Command:
        """Start it, and wait until its workers serve; its port is ``self.port``."""
        self.write("who.py", who)
        spec = () if "-s" in words else ("-p", "0", "-b", "who.Who")
        words = (*TWISTD, "tcplab", *spec, "--port-file", "ports", *words)
        command = self.start(*words, **settings)
        await self.until(lambda: os.path.exists(os.path.join(self.folder, "ports")), command)
        self.port = int(self.read("ports").split()[2])
        if "--workers" in words:
            await self.allServe(command, int(words[words.index("--workers") + 1]))
        return command

    async def allServe(self, command: Command, workers: int) -> None:
        """Wait until each of so many workers serves, not only the first."""
        await self.until(lambda: len(self.serving(command)) == workers, command)

    def serving(self, command: Command) -> dict[int, int]:
        """Return the processes of the workers, by their numbers, as the log tells them."""
        lines = re.findall(r"worker (\d+) \(pid (\d+)\) serves", command.out)
        return {int(number): int(pid) for number, pid in lines}

    def told(self, peer: socket.socket) -> Any:
        """Read a line, in a thread."""

        def line() -> bytes:
            read = b""
            while not read.endswith(b"\n") and (piece := peer.recv(1)):
                read += piece
            return read.rstrip(b"\n")

        return deferToThread(line)

    async def peers(self, number: int) -> dict[socket.socket, int]:
        """Connect so many; return which process serves each."""
        peers = [self.connect(self.port) for _ in range(number)]
        return {peer: int(await self.told(peer)) for peer in peers}

    async def echoed(self, peer: socket.socket) -> bool:
        peer.sendall(b"are you there?\n")
        return bool(await self.told(peer) == b"are you there?")


def killer(test: TestCase, pid: int) -> int:
    """Return a descriptor of a process that is no child; it does not outlive the test."""
    process = os.pidfd_open(pid)

    def kill() -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, signal.SIGKILL)
        os.close(process)

    test.addCleanup(kill)
    return process
