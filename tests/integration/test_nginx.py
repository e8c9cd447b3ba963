"""A real nginx in front of a lab: the PROXY headers that its stream module writes."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from subprocess import Popen
from unittest import SkipTest, TestCase

from tests.support.ports import free
from tests.support.subprocess_server import Server, needed, run, scratch
from tests.support.thread_servers import PATIENCE
from tests.support.tiers import processes

MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"

CONFIGURATION = """
load_module {module};
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
stream {{
    server {{
        listen 127.0.0.1:{port} proxy_protocol;
        set_real_ip_from 127.0.0.1;
        proxy_pass 127.0.0.1:{lab};
        proxy_protocol on;
    }}
}}
"""


@processes
class TwoFamiliesTests(TestCase):
    def test_clientByIPv6(self) -> None:
        """Its line then has one address of each family: the lab takes the client's."""
        nginx = needed("nginx", "nginx-light")
        if not os.path.exists(MODULE):
            raise SkipTest("this nginx has no stream module: apt-get install libnginx-mod-stream")
        folder = scratch(self)
        ports = folder / "ports"

        def bound(server: Server) -> str:
            return ports.read_text().split()[2] if ports.exists() else ""

        options = "--proxy-protocol any --proxy-from 127.0.0.1"
        lab = Server(
            f"tcplab serve --port 0 --behaviour whoami {options} --port-file {ports}", folder, bound
        )
        self.addCleanup(lab.kill)
        port = self.started(nginx, folder, lab.port)
        for address in ("2001:db8::7", "192.0.2.7"):
            family = "TCP6" if ":" in address else "TCP4"
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
                own = "::1" if ":" in address else "127.0.0.1"
                client.sendall(f"PROXY {family} {address} {own} 4000 {port}\r\n".encode())
                answer = client.makefile("rb").readline().decode()
            self.assertIn(f"peer={address}:4000" if own != "::1" else f"[{address}]:4000", answer)

    def started(self, nginx: str, folder: Path, lab: int) -> int:
        """Start it, and return its port once it listens."""
        port = free()
        file = folder / "nginx.conf"
        file.write_text(CONFIGURATION.format(module=MODULE, folder=folder, port=port, lab=lab))
        self.assertEqual(run(f"{nginx} -t -c {file}").returncode, 0)
        process = Popen([nginx, "-c", str(file)])
        self.addCleanup(process.wait, PATIENCE)
        self.addCleanup(process.terminate)
        while True:
            self.assertIsNone(process.poll())
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    return port
