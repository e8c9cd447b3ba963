"""``deploy/tcplab.service`` and ``deploy/tcplab.socket``: what they say, and what they start."""

from __future__ import annotations

import os
import re
import shlex
import socket
import ssl
import subprocess
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.listenersettings import BACKLOG
from tcplab.tap import REFUSED, Options
from tests.support.certificates import localhostFile
from tests.support.ports import free
from tests.support.subprocess_server import ROOT, needed, run, scratch
from tests.support.tiers import processes, slow
from tests.support.twistd_process import PATIENCE, Command, Workers

#: Where the unit has it from, and where it is.
_THERE, _HERE = "/opt/tcplab/bin", sysconfig.get_path("scripts")

#: How exposed the service may be, in tenths: systemd calls all up to 2.0 "OK".
_EXPOSED = 15


def unit(name: str) -> str:
    """Read a unit, each setting on one line."""
    return (ROOT / "deploy" / name).read_text().replace("\\\n", "")


def said(name: str, key: str) -> list[str]:
    """Return the values of a setting."""
    return re.findall(rf"(?m)^{key}=(.*)$", unit(name))


def started() -> list[str]:
    """Return the words of ExecStart, with the twistd that is here."""
    [line] = said("tcplab.service", "ExecStart")
    return shlex.split(line.replace(_THERE, _HERE))


class SaidTests(SynchronousTestCase):
    def options(self) -> Options:
        words = started()
        self.patch(os, "environ", dict(os.environ))
        options = Options()
        options.parseOptions(words[words.index("tcplab") + 1 :])
        return options

    def test_whatItSays(self) -> None:
        settings = self.options().given.settings
        [listener] = settings.listeners
        self.assertEqual(
            (str(listener.spec), listener.endpoint), ("lab", "systemd:domain=INET:index=0")
        )
        [patience] = said("tcplab.service", "TimeoutStopSec")
        assert settings.drainTimeout is not None
        self.assertEqual(float(patience), settings.drainDelay + settings.drainTimeout + 5)
        # A connection that had to be aborted is no failure of the service; a wrong option is one.
        self.assertEqual(said("tcplab.service", "SuccessExitStatus"), ["1"])
        self.assertEqual(said("tcplab.service", "RestartPreventExitStatus"), [str(REFUSED)])
        [address] = said("tcplab.socket", "ListenStream")
        self.assertEqual(address.rpartition(":")[0], "127.0.0.1")
        self.assertEqual(said("tcplab.socket", "Backlog"), [str(BACKLOG)])


@processes
class AnalyzedTests(SynchronousTestCase):
    """What systemd itself says of them."""

    def setUp(self) -> None:
        self.analyze = needed("systemd-analyze", "systemd")
        self.folder = scratch(self)
        for name in ("tcplab.service", "tcplab.socket"):
            text = (ROOT / "deploy" / name).read_text()
            (self.folder / name).write_text(text.replace(_THERE, _HERE))

    def analyzed(self, words: str) -> subprocess.CompletedProcess[bytes]:
        return run(f"{self.analyze} {words}", folder=self.folder)

    def test_verify(self) -> None:
        words = "verify --man=no ./tcplab.service ./tcplab.socket"
        done = self.analyzed(words)
        # The machine's own units may have their faults.
        ours = [line for line in done.stderr.splitlines() if b"tcplab" in line]
        self.assertEqual((ours, done.returncode), ([], 0), done)
        self.edit(r"\[Service\]\n", "[Service]\nNoNewPrivilege=yes\n")
        self.assertIn(b"NoNewPrivilege", self.analyzed(words).stderr)

    def test_security(self) -> None:
        words = f"security --offline=true --threshold={_EXPOSED} --no-pager ./tcplab.service"
        done = self.analyzed(words)
        if b"--offline" in done.stderr:
            self.skipTest(f"this systemd is too old: {done.stderr!r}")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn(b"Overall exposure level for tcplab.service", done.stdout)
        self.edit("(?m)^(DynamicUser|Capability|SystemCall).*\n", "")
        self.assertNotEqual(self.analyzed(words).returncode, 0)

    def edit(self, pattern: str, by: str) -> None:
        path = self.folder / "tcplab.service"
        path.write_text(re.sub(pattern, by, path.read_text()))


def _alone(words: list[str]) -> list[str]:
    at = words.index("--workers")
    return words[:at] + words[at + 2 :]


#: The unit's command, with its workers and without; and the line of the log once it serves.
WAYS = {tuple(started()): "worker 2 .* serves", tuple(_alone(started())): "serving lab"}


@slow
class Activated(Workers):
    """Started as systemd does it: with the socket in its hands, held by somebody else too."""

    def setUp(self) -> None:
        super().setUp()
        self.holder = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self.addCleanup(self.holder.close)
        self.port = self.holder.getsockname()[1]

    def activated(self, words: list[str]) -> Command:
        shell = 'LISTEN_PID=$$ exec "$0" "$@"'
        return self.start(
            *("/bin/sh", "-c", shell, *words),
            env={"LISTEN_FDS": "1", "LISTEN_FDNAMES": "tcplab.socket"},
            childFDs={0: "w", 1: "r", 2: "r", 3: self.holder.fileno()},
        )

    async def served(self, command: Command) -> None:
        for _ in range(5):
            answer = await self.talk(self.connect(self.port), b"x" * 100_000)
            self.assertEqual(answer, b"You are connected!" + b"x" * 100_000)
        await self.stop(command)
        self.connect(self.port)  # who holds it still listens

    async def test_served(self) -> None:
        for words, ready in WAYS.items():
            command = self.activated([*words])
            await command.line(ready)
            await self.served(command)

    async def test_TLS_takes_the_socket_too(self) -> None:
        pem = localhostFile(self.folder)
        words = [
            each.replace("systemd:domain=INET:index=0", f"ssl:{self.port}:privateKey={pem}")
            for each in started()
        ]
        command = self.activated(words)
        await command.line("worker 2 .* serves")
        context = ssl.create_default_context(cafile=pem)
        peer = await deferToThread(
            context.wrap_socket, self.connect(self.port), server_hostname="localhost"
        )
        self.addCleanup(peer.close)
        self.assertEqual(await self.hear(peer, 18), b"You are connected!")

    async def test_reload(self) -> None:
        command = self.activated(started())
        await command.line("worker 2 .* serves")
        old = set(self.serving(command).values())
        with self.connecting() as connects:
            command.signal("HUP")
            await command.line("restarted: every worker is a new one")
            await self.some(connects)
        self.assertFalse(old & set(self.serving(command).values()))

    async def test_restart(self) -> None:
        """Stopped and started again, as systemd does it: clients wait in the listen queue."""
        for words, ready in WAYS.items():
            command = self.activated([*words])
            await command.line(ready)
            with self.connecting() as connects:
                for _ in range(3):
                    await self.stop(command)
                    command = self.activated([*words])
                    await command.line(ready)
                    await self.some(connects)
            await self.stop(command)

    @contextmanager
    def connecting(self) -> Iterator[Connects]:
        """Connect again and again; in the end nobody was lost."""
        connects = Connects(self.port)
        threads = [threading.Thread(target=connects.run) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            yield connects
        finally:
            connects.over = True
            for thread in threads:
                thread.join(PATIENCE)
        self.assertEqual(connects.failures, [])

    async def some(self, connects: Connects) -> None:
        """Wait until some more were served."""
        await deferToThread(connects.more, 40)


class Connects:
    """Connects, speaks and hears, one after the other, in several threads."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.over = False
        self.failures: list[str] = []
        self._served = threading.Semaphore(0)

    def run(self) -> None:
        """Go on until it is over."""
        while not self.over:
            try:
                with socket.create_connection(("127.0.0.1", self.port), PATIENCE / 4) as peer:
                    peer.sendall(b"hi")
                    peer.shutdown(socket.SHUT_WR)
                    answer = b"".join(iter(lambda: peer.recv(100), b""))
            except OSError as e:
                self.failures.append(repr(e))
                continue
            if answer != b"You are connected!hi":
                self.failures.append(repr(answer))
            self._served.release()

    def more(self, number: int) -> None:
        """Wait until so many more were served."""
        for _ in range(number):
            assert self._served.acquire(timeout=PATIENCE / 4), self.failures


@slow
class BySystemd(Workers):
    """By the program of systemd's that plays it."""

    async def test_first_who_connects_starts_it(self) -> None:
        program = needed("systemd-socket-activate", "systemd")
        port = free()
        command = self.start(program, "--fdname=lab", "-l", f"127.0.0.1:{port}", *started())
        await self.until(lambda: f":{port}" in command.err, command)
        answer = await self.talk(self.connect(port), b"hi")
        self.assertEqual(answer, b"You are connected!hi")
        await self.stop(command)
