"""Servers that users have, behind a lab that forwards to them."""

from __future__ import annotations

import glob
import os
import pwd
import re
import signal
import socket
import unittest
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.subprocess_server import Server, lab, needed, run, scratch
from tests.support.tiers import slow

_POSTGRESQL = sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)


@slow
class Behind(SynchronousTestCase):
    """A server on a Unix socket, and a lab that forwards to it."""

    def setUp(self) -> None:
        self.folder = scratch(self)
        self.socket = self.folder / "socket"

    def server(self, command: str, says: str = "") -> None:
        """Start a server, and wait until it listens and has printed that; it ends by SIGINT."""

        def ready(server: Server) -> str:
            with socket.socket(socket.AF_UNIX) as sock:
                listens = sock.connect_ex(str(self.socket)) == 0
            return "0" if listens and says in server.output else ""

        server = Server(command, self.folder, ready, ends=signal.SIGINT)
        self.addCleanup(server.stop)

    def forward(self, faults: str = "") -> int:
        """
        Forward to it, and return the port.

        Nothing but what a fault does may go wrong: at the end the log is read.

        :param faults: options.
        """
        spec = f"forward,to=unix:{self.socket}"
        self.lab = lab(f"twistd -n tcplab --behaviour {spec} {faults}", self.folder)
        self.addCleanup(self._isQuiet, self.lab)
        return self.lab.port

    def _isQuiet(self, server: Server) -> None:
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


class BehindRedis(Behind):
    """Redis, and its clients."""

    def setUp(self) -> None:
        super().setUp()
        server = needed("redis-server")
        self.client = needed("redis-cli", "redis-tools")
        self.benchmark = needed("redis-benchmark", "redis-tools")
        words = f"--port 0 --unixsocket {self.socket} --save '' --dir {self.folder}"
        self.server(f"{server} {words}")


class BehindPostgreSQL(Behind):
    """PostgreSQL, and its clients."""

    def setUp(self) -> None:
        super().setUp()
        initdb, server, self.psql, self.pgbench = (
            needed(each, "postgresql", *_POSTGRESQL)
            for each in ("initdb", "postgres", "psql", "pgbench")
        )
        self.socket = self.folder / ".s.PGSQL.5432"
        unprivileged, data = self._unprivileged(self.folder), self.folder / "data"
        self.output(f"{unprivileged} {initdb} -D {data} -U postgres -A trust --no-sync --locale=C")
        words = f"-D {data} -k {self.folder} -F -c listen_addresses= -c max_connections=30"
        self.server(f"{unprivileged} {server} {words}", says="ready to accept connections")

    def pgbenchIsReady(self, faults: str = "") -> None:
        """Have its tables made, and forward with these faults from then on."""
        self.callAt(self.forward())
        self.output(f"{self.pgbench} {self.where} -i -q postgres")
        if faults:
            self.callAt(self.forward(faults))

    def callAt(self, port: int) -> None:
        """Have the clients call this port."""
        self.where = f"-h 127.0.0.1 -p {port} -U postgres"

    def _unprivileged(self, folder: Path) -> str:
        """Return what runs a command as a user other than root: PostgreSQL refuses to be root."""
        if os.getuid():
            return ""
        for name in ("postgres", "nobody"):
            try:
                user = pwd.getpwnam(name)
            except KeyError:
                continue
            os.chown(folder, user.pw_uid, user.pw_gid)
            setpriv = needed("setpriv", "util-linux")
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
