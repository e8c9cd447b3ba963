"""Clients of other programs that offer protocols in the TLS handshake (ALPN)."""

from __future__ import annotations

import shlex
from unittest import TestCase

from tests.support.certificates import localhostFile
from tests.support.subprocess_server import Server, needed, run, scratch
from tests.support.tiers import processes


@processes
class ProgramTests(TestCase):
    """Other programs' clients, which offer protocols (ALPN)."""

    def asked(self, endpoint: str, command: str) -> bytes:
        folder = scratch(self)
        localhostFile(str(folder))
        ports = folder / "ports"

        def port(server: Server) -> str:
            return ports.read_text().split()[2] if ports.exists() else ""

        spec = f"ack,greeting=HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok@{endpoint}"
        serve = f"tcplab serve --serve {shlex.quote(spec)} --port-file {ports}"
        server = Server(serve, folder, port)
        self.addCleanup(server.kill)
        done = run(command.format(port=server.port), folder=folder)
        return done.stdout + done.stderr

    def test_curl(self) -> None:
        needed("curl")
        for endpoint in ("ssl:0:privateKey=localhost.pem", "limit:max=9:ssl:0:localhost.pem"):
            asked = self.asked(
                f"{endpoint}:interface=127.0.0.1",
                "curl --silent --insecure --http2 --max-time 9 https://localhost:{port}/",
            )
            self.assertEqual(asked, b"ok")

    def test_openssl(self) -> None:
        """One that offers only others than the listener has is refused by the alert for it."""
        needed("openssl")
        for protocols, printed in (
            ("h2", b"alert no application protocol"),
            ("h2,http/1.1", b"ALPN protocol: http/1.1"),
        ):
            asked = self.asked(
                "ssl:0:privateKey=localhost.pem:alpn=http/1.1:interface=127.0.0.1",
                f"openssl s_client -alpn {protocols} -connect localhost:{{port}} </dev/null",
            )
            self.assertIn(printed, asked)

    def test_gnutls(self) -> None:
        needed("gnutls-cli", "gnutls-bin")
        asked = self.asked(
            "ssl:0:privateKey=localhost.pem:interface=127.0.0.1",
            "printf 'GET / HTTP/1.1\\r\\n\\r\\n' | gnutls-cli --insecure --alpn h2 --port {port}"
            " localhost",
        )
        self.assertIn(b"Content-Length: 2", asked)
