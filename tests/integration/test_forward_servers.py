"""Redis, nginx and PostgreSQL behind forward, with their own clients and benchmarks."""

from __future__ import annotations

import hashlib
import http.client
import random
import re
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

from tests.support.find_program import needed
from tests.support.real_servers import Behind, BehindPostgreSQL, BehindRedis
from tests.support.subprocess_server import LIMIT


class UnixTests(Behind):
    """A server on a Unix socket that answers and closes, as no package's does at will."""

    def serve(self, answer: bytes) -> threading.Event:
        """Answer one client; return what is set when that is done, and the socket closed."""
        closed = threading.Event()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.socket))
        listener.listen()
        listener.settimeout(LIMIT)

        def hold() -> None:
            with listener, listener.accept()[0] as sock:
                sock.recv(10)
                sock.sendall(answer)
            closed.set()

        threading.Thread(target=hold, daemon=True).start()
        return closed

    def test_whatItSaidArrivesThoughTheClientFinishesLater(self) -> None:
        """Its socket hangs up on whoever waits to write and does not read."""
        answer = random.Random(3).randbytes(16_000_000)
        closed = self.serve(answer)
        heard = bytearray()
        with socket.create_connection(("127.0.0.1", self.forward()), LIMIT) as sock:
            sock.sendall(b"hi")
            while not closed.is_set():
                heard += sock.recv(20_000)
                closed.wait(0.0003)  # slowly: the rest waits in all the buffers on the way
            sock.shutdown(socket.SHUT_WR)
            subprocess.run(["sleep", "0.2"], check=True)  # for forward to hear of it
            heard += b"".join(iter(lambda: sock.recv(65536), b""))
        self.assertTrue(heard == answer, f"{len(heard)} bytes")


class RedisTests(BehindRedis):
    def setUp(self) -> None:
        super().setUp()
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
        for words in ("-n 20000 -c 50", "-n 5000 -c 50 -P 16 -d 1000"):
            said = self.output(f"{self.benchmark} -p {self.port} -q -t set,get,lrange_100 {words}")
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
        nginx = needed("nginx", "nginx-light")
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


class PostgreSQLTests(BehindPostgreSQL):
    def test_itsBenchmark(self) -> None:
        self.pgbenchIsReady()
        for words in ("-c 8 -j 2", "-c 4 -M prepared", "-C -c 2"):
            said = self.output(f"{self.pgbench} {self.where} -n -T 1 {words} postgres")
            self.assertIn(b"number of failed transactions: 0", said)
        self.assertSumsAgree()

    def test_aTable(self) -> None:
        said = b"".join(b"%d\t%s\n" % (each, b"x%d" % each * 9) for each in range(100_000))
        self.callAt(self.forward())
        self.ask("CREATE TABLE words (number int, word text)")
        copy = f'{self.psql} {self.where} -qc "COPY words'
        self.output(f'{copy} FROM STDIN" postgres', said)
        heard = self.output(f'{copy} TO STDOUT" postgres')
        self.assertTrue(heard == said, "not what was copied into it")
