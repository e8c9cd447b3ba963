"""Nginx and a server that closes early, behind forward; `test_forward_faults` has the databases."""

from __future__ import annotations

import hashlib
import http.client
import random
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

from tests.support.real_servers import Behind
from tests.support.subprocess_server import LIMIT, needed


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
