"""What a lab opens to others: nothing that was not asked for."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path

from tests.support.ports import free
from tests.support.subprocess_server import run
from tests.support.twistd_process import TWISTD, Command, Workers

#: Of /proc/net/tcp: a socket that listens, and 127.0.0.1 and ::1 as they are written there.
_LISTENS = "0A"
_LOOPBACK = ("0100007F", "00000000000000000000000001000000")


def listeners(*pids: int) -> set[tuple[str, int]]:
    """Return where processes listen: addresses as the kernel writes them, and ports."""
    owned = set()
    for pid in pids:
        for each in Path(f"/proc/{pid}/fd").iterdir():
            # It lives on while it is looked at: a file that it closed since is no socket.
            with contextlib.suppress(FileNotFoundError):
                target = os.readlink(each)
                if target.startswith("socket:["):
                    owned.add(target[8:-1])
    found = set()
    for name in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            words = line.split()
            if words[9] in owned and (words[3] == _LISTENS or not name.startswith("tcp")):
                host, _, port = words[1].partition(":")
                found.add((host, int(port, 16)))
    return found


class Exposure(Workers):
    async def opened(self, *words: str) -> tuple[Command, set[tuple[str, int]]]:
        command = self.start(*TWISTD, "tcplab", *words)
        self.port = await self.portOf(command)
        if "--workers" in words:
            await command.line("worker 1 .* serves")
        return command, listeners(command.transport.pid, *self.children(command))

    async def test_loopback_and_nothing_else(self) -> None:
        for place, words in enumerate(((), ("-i", "::1"), ("--workers", "1"))):
            _, found = await self.opened("-p", "0", *words)
            self.assertEqual(found, {(_LOOPBACK[place % 2], self.port)})
        with socket.socket() as peer:
            self.assertNotEqual(peer.connect_ex(("127.0.0.2", self.port)), 0)

    async def test_what_was_asked_for_is_open(self) -> None:
        command, found = await self.opened("-p", "0", "-s", "echo@tcp:0")
        other = await self.portOf(command, "echo")
        self.assertEqual(found, {(_LOOPBACK[0], self.port), ("00000000", other)})

    async def test_key_that_everybody_may_read_is_told_of(self) -> None:
        self.key("server.pem")
        mode = stat.S_IMODE(os.stat(os.path.join(self.folder, "server.pem")).st_mode)
        self.assertEqual(mode, 0o600)  # as the README's command writes it
        words = ("-s", "lab@ssl:0:privateKey=server.pem:interface=127.0.0.1")
        command, _ = await self.opened(*words)
        await command.line("limits: ")
        self.assertNotIn("chmod", command.out)
        os.chmod(os.path.join(self.folder, "server.pem"), 0o644)
        command, _ = await self.opened(*words)
        await command.line("may read the private key in server.pem: chmod 600 server.pem")

    def key(self, name: str) -> None:
        done = run(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1"
            f" -subj /CN=localhost -keyout {name} -out {name}",
            folder=Path(self.folder),
        )
        if done.returncode:
            self.skipTest(f"there is no openssl: {done.stderr!r}")

    async def test_itself_behind_itself(self) -> None:
        port = free()
        there = f"tcp:127.0.0.1:{port}"
        for spec in (f"forward,to={there}", f"relay,name=ann,next={there}"):
            command = self.start(*TWISTD, "tcplab", "-p", str(port), "-b", spec)
            self.assertEqual(await command.ended(), 2, command.out)
            self.assertIn("is where it listens itself", command.err)
