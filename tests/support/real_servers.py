"""Redis, nginx and PostgreSQL behind forward: how tests start them, and with which faults."""

from __future__ import annotations

import glob
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import unittest
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.subprocess_server import LIMIT, Server, environment, lab, run, scratch
from tests.support.tiers import slow

_FOLDERS = [*os.environ["PATH"].split(":"), "/usr/sbin"]
_FOLDERS += sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)


def program(name: str, package: str) -> str:
    """Find a program; skip the test where it is not installed."""
    path = shutil.which(name, path=":".join(_FOLDERS))
    if path is None:
        raise unittest.SkipTest(f"there is no {name}: apt-get install {package}")
    return path


@slow
class Behind(SynchronousTestCase):
    """A server on a Unix socket, and a lab that forwards to it."""

    def setUp(self) -> None:
        self.folder = scratch(self)
        self.socket = self.folder / "socket"

    def server(self, command: str) -> None:
        """Start a server; it does not outlive the test."""
        with (self.folder / "server.log").open("wb") as log:
            process = subprocess.Popen(
                f"exec {command}",
                shell=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(),
            )
        self.addCleanup(self._stop, process)
        for _ in _often():
            if process.poll() is not None:
                break
            with socket.socket(socket.AF_UNIX) as sock:
                if sock.connect_ex(str(self.socket)) == 0:
                    return
        self.fail(f"{command} does not listen: {(self.folder / 'server.log').read_text()}")

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def forward(self, faults: str = "") -> int:
        """
        Forward to it, and return the port.

        Nothing but what a fault does may go wrong: at the end the log is read.

        :param faults: options.
        """
        spec = f"forward,to=unix:{self.socket}"
        self.lab = lab(f"twistd -n tcplab --behaviour {spec} {faults}", self.folder)
        self.addCleanup(self._quiet, self.lab)
        return self.lab.port

    def _quiet(self, server: Server) -> None:
        self.assertEqual(server.stop(), 0)
        for bad in ("Traceback", "Unhandled"):
            self.assertNotIn(bad, server.output)
        whys = re.findall(r"why=(\S+)", server.output)
        self.assertEqual(whys, ["fault"] * _hits(server), server.output)

    @property
    def hits(self) -> int:
        """How often a fault has ended a connection; the lab is ended, so that its log is whole."""
        self.lab.stop()
        return _hits(self.lab)

    def output(self, command: str, say: bytes = b"") -> bytes:
        """Run a client to its end, and return what it printed."""
        done = run(command, say, self.folder)
        self.assertEqual(done.returncode, 0, done)
        return done.stdout


def _hits(server: Server) -> int:
    return len(re.findall(r"\] fault (?:reset_peer|limit_data)\b", server.output))


def _often() -> Iterator[None]:
    """Try again and again, with a pause in between, not for ever."""
    for _ in range(int(LIMIT / 0.05)):
        yield
        subprocess.run(["sleep", "0.05"], check=True)


class BehindRedis(Behind):
    """Redis, and its clients."""

    def setUp(self) -> None:
        super().setUp()
        server = program("redis-server", "redis-server")
        self.client = program("redis-cli", "redis-tools")
        self.benchmark = program("redis-benchmark", "redis-tools")
        words = f"--port 0 --unixsocket {self.socket} --save '' --dir {self.folder}"
        self.server(f"{server} {words}")


class BehindPostgreSQL(Behind):
    """PostgreSQL, and its clients."""

    def setUp(self) -> None:
        super().setUp()
        initdb, server = program("initdb", "postgresql"), program("postgres", "postgresql")
        self.psql = program("psql", "postgresql")
        self.pgbench = program("pgbench", "postgresql")
        self.socket = self.folder / ".s.PGSQL.5432"
        as_, data = self._asSomebody(self.folder), self.folder / "data"
        self.output(f"{as_} {initdb} -D {data} -U postgres -A trust --no-sync --locale=C")
        words = f"-D {data} -k {self.folder} -F -c listen_addresses= -c max_connections=30"
        self.server(f"{as_} {server} {words}")
        log = self.folder / "server.log"
        for _ in _often():
            if "ready to accept connections" in log.read_text():
                break

    def pgbenchIsReady(self, faults: str = "") -> None:
        """Have its tables made, and forward with these faults from then on."""
        self.callAt(self.forward())
        self.output(f"{self.pgbench} {self.where} -i -q postgres")
        if faults:
            self.callAt(self.forward(faults))

    def callAt(self, port: int) -> None:
        """Have the clients call this port."""
        self.where = f"-h 127.0.0.1 -p {port} -U postgres"

    def _asSomebody(self, folder: Path) -> str:
        """Return what runs a command as one who is not root: PostgreSQL refuses to."""
        if os.getuid():
            return ""
        for name in ("postgres", "nobody"):
            try:
                user = pwd.getpwnam(name)
            except KeyError:
                continue
            os.chown(folder, user.pw_uid, user.pw_gid)
            setpriv = program("setpriv", "util-linux")
            return f"{setpriv} --reuid={user.pw_uid} --regid={user.pw_gid} --clear-groups"
        raise unittest.SkipTest("there is no user but root to run PostgreSQL as")

    def ask(self, question: str) -> bytes:
        """Ask the database."""
        return self.output(f'{self.psql} {self.where} -qAtc "{question}" postgres').strip()

    def assertSumsAgree(self) -> None:
        """Every transaction was made whole, or not at all."""
        sums = self.ask(
            "SELECT (SELECT sum(abalance) FROM pgbench_accounts),"
            " (SELECT sum(bbalance) FROM pgbench_branches),"
            " (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(delta) FROM pgbench_history)"
        )
        self.assertEqual(len(set(sums.split(b"|"))), 1, sums)
