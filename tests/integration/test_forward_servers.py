"""Redis, nginx and PostgreSQL behind forward, with their own clients and benchmarks."""

from __future__ import annotations

import glob
import hashlib
import http.client
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import unittest
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.running import LIMIT, environment, lab, run, scratch

_FOLDERS = [*os.environ["PATH"].split(":"), "/usr/sbin"]
_FOLDERS += sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)


def program(name: str, package: str) -> str:
    """Find a program; skip the test where it is not installed."""
    path = shutil.which(name, path=":".join(_FOLDERS))
    if path is None:
        raise unittest.SkipTest(f"there is no {name}: apt-get install {package}")
    return path


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

    def forward(self) -> int:
        """Forward to it, and return the port."""
        spec = f"forward,to=unix:{self.socket}"
        server = lab(f"twistd -n tcplab --behaviour {spec}", self.folder)
        self.addCleanup(self._quiet, server)
        return server.port

    def _quiet(self, server: object) -> None:
        stop, output = server.stop, lambda: server.output  # type: ignore[attr-defined]
        self.assertEqual(stop(), 0)
        for bad in ("Traceback", "Unhandled", "why="):
            self.assertNotIn(bad, output())

    def output(self, command: str, say: bytes = b"") -> bytes:
        """Run a client to its end, and return what it printed."""
        done = run(command, say, self.folder)
        self.assertEqual(done.returncode, 0, done)
        return done.stdout


def _often() -> Iterator[None]:
    """Try again and again, with a pause in between, not for ever."""
    for _ in range(int(LIMIT / 0.05)):
        yield
        subprocess.run(["sleep", "0.05"], check=True)


class RedisTests(Behind):
    def setUp(self) -> None:
        super().setUp()
        server = program("redis-server", "redis-server")
        self.client = program("redis-cli", "redis-tools")
        self.benchmark = program("redis-benchmark", "redis-tools")
        words = f"--port 0 --unixsocket {self.socket} --save '' --dir {self.folder}"
        self.server(f"{server} {words}")
        self.port = self.forward()

    def test_values(self) -> None:
        value = random.Random(1).randbytes(3_000_000).hex().encode()
        cli = f"{self.client} -p {self.port}"
        self.assertEqual(self.output(f"{cli} -x SET key", value), b"OK\n")
        self.assertTrue(self.output(f"{cli} GET key") == value + b"\n", "not what was set")
        said = b"".join(b"SET key:%d %d\r\n" % (each, each * 7) for each in range(50_000))
        self.assertIn(b"errors: 0, replies: 50000", self.output(f"{cli} --pipe", said))
        self.assertEqual(self.output(f"{cli} GET key:49999"), b"349993\n")
        self.assertEqual(self.output(f"{cli} DBSIZE"), b"50001\n")

    def test_itsBenchmark(self) -> None:
        for words in ("-c 50", "-c 50 -P 16 -d 1000"):
            said = self.output(
                f"{self.benchmark} -p {self.port} -q -n 20000 -t set,get,lrange_100 {words}"
            )
            rates = re.findall(rb"([\d.]+) requests per second", said)
            self.assertEqual((len(rates), b"rror" in said), (4, False), said)


class NginxTests(Behind):
    def setUp(self) -> None:
        super().setUp()
        self.content = random.Random(2).randbytes(5_000_000)
        (self.folder / "file").write_bytes(self.content)
        (self.folder / "conf").write_text(
            "daemon off; master_process off; pid nginx.pid; error_log error.log;"
            "events { } http { access_log off; client_body_temp_path t1; proxy_temp_path t2;"
            " fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;"
            f" server {{ listen unix:{self.socket}; root {self.folder}; }} }}"
        )
        nginx = program("nginx", "nginx-light")
        self.server(f"{nginx} -p {self.folder} -c {self.folder}/conf -e {self.folder}/error.log")
        self.port = self.forward()

    def test_aConnectionThatIsKeptAlive(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        for _ in range(5):
            connection.request("GET", "/file")
            self.assertTrue(connection.getresponse().read() == self.content)
        connection.request("GET", "/nothing")
        self.assertEqual(connection.getresponse().status, 404)
        connection.close()

    def test_manyAtOnce(self) -> None:
        def digest(number: int) -> str:
            with socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT) as sock:
                sock.sendall(b"GET /file HTTP/1.0\r\nRange: bytes=%d-\r\n\r\n" % number)
                # No half-close: nginx takes it for a client that has gone, and stops.
                body = b"".join(iter(lambda: sock.recv(65536), b"")).partition(b"\r\n\r\n")[2]
                return hashlib.sha256(body).hexdigest()

        with ThreadPoolExecutor(20) as threads:
            digests = list(threads.map(digest, range(40)))
        expected = [hashlib.sha256(self.content[each:]).hexdigest() for each in range(40)]
        self.assertEqual(digests, expected)


class PostgreSQLTests(Behind):
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
        self.where = f"-h 127.0.0.1 -p {self.forward()} -U postgres"

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
        return self.output(f'{self.psql} {self.where} -qAtc "{question}" postgres').strip()

    def test_itsBenchmark(self) -> None:
        self.output(f"{self.pgbench} {self.where} -i -q postgres")
        for words in ("-c 8 -j 2", "-c 4 -M prepared", "-C -c 2"):
            said = self.output(f"{self.pgbench} {self.where} -n -T 1 {words} postgres")
            self.assertIn(b"number of failed transactions: 0", said)
        sums = self.ask(
            "SELECT (SELECT sum(abalance) FROM pgbench_accounts),"
            " (SELECT sum(bbalance) FROM pgbench_branches),"
            " (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(delta) FROM pgbench_history)"
        )
        self.assertEqual(len(set(sums.split(b"|"))), 1, sums)

    def test_aTable(self) -> None:
        said = b"".join(b"%d\t%s\n" % (each, b"x%d" % each * 9) for each in range(100_000))
        self.ask("CREATE TABLE words (number int, word text)")
        copy = f'{self.psql} {self.where} -qc "COPY words'
        self.output(f'{copy} FROM STDIN" postgres', said)
        heard = self.output(f'{copy} TO STDOUT" postgres')
        self.assertTrue(heard == said, "not what was copied into it")
