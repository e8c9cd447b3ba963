"""``twistd --uid --gid``: bound as root, served as somebody else who cannot become root again."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import random
import re
import select
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest

import twisted
from tests.support.certificates import localhostFile
from tests.support.subprocess_server import ROOT
from tests.support.tiers import slow
from tests.support.twistd_process import Command, Workers, killer

#: Who serves; every system has these.
USER, GROUP = "nobody", grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name

#: twistd, with any Python.
TWISTD = "from twisted.scripts.twistd import run; run()"


def python() -> str:
    """Find a Python that this user may run, with all that is needed; skip if there is none."""
    if os.getuid() != 0:
        raise SkipTest("only root can become somebody else")
    for program in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        words = [program, "-c", "import OpenSSL, tcplab.tap, twisted.internet.reactor"]
        with contextlib.suppress(OSError):
            settings = {"user": USER, "group": GROUP, "extra_groups": [], "cwd": "/"}
            if not subprocess.run(
                words, env=environment(), stderr=subprocess.DEVNULL, **settings
            ).returncode:
                return program
    raise SkipTest(f"there is no Python here that {USER} may run, with Twisted and tcplab")


def environment() -> dict[str, str]:
    """Return one in which any Python finds what this one does."""
    packages = Path(twisted.__file__).parents[1]
    return {"PYTHONPATH": f"{packages}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}


def low() -> int:
    """Find a free port that is root's."""
    for port in random.sample(range(600, 1024), 424):  # another run may look for one too
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port
    raise SkipTest("every low port is in use")


class Shed(Workers):
    def setUp(self) -> None:
        self.python = python()
        super().setUp()
        os.chmod(self.folder, 0o755)
        self.run_ = os.path.join(self.folder, "run")
        os.mkdir(self.run_, 0o700)
        user = pwd.getpwnam(USER)
        os.chown(self.run_, user.pw_uid, user.pw_gid)
        self.port = low()
        self.always = ("-p", str(self.port), "--port-file", "run/ports")

    def twistd(self, *words: str, how: tuple[str, ...] = ("-n",)) -> Command:
        first = (self.python, "-c", TWISTD, *how, "--uid", USER, "--gid", GROUP, "tcplab")
        return self.start(*first, *self.always, *words, env=environment())

    def assertShed(self, *pids: int) -> None:
        """These are that user, by all of their names, and have no way back."""
        user = pwd.getpwnam(USER)
        for pid in pids:
            told = dict(re.findall(r"(?m)^(\w+):\s*(.*)$", Path(f"/proc/{pid}/status").read_text()))
            self.assertEqual(set(told["Uid"].split()), {str(user.pw_uid)}, told)
            self.assertEqual(set(told["Gid"].split()), {str(user.pw_gid)}, told)
            self.assertNotIn("0", told["Groups"].split())
            self.assertEqual(int(told["CapPrm"], 16) | int(told["CapEff"], 16), 0, told)

    def mode(self, name: str) -> int:
        return stat.S_IMODE(os.stat(os.path.join(self.folder, name)).st_mode)

    async def serves(self) -> None:
        answer = await self.talk(self.connect(self.port), b"hi")
        self.assertEqual(answer, b"You are connected!hi")


class Alone(Shed):
    async def test_low_port(self) -> None:
        command = self.twistd("-s", "ack@unix:run/s")
        await self.until(lambda: os.path.exists(os.path.join(self.run_, "ports")), command)
        self.assertShed(command.transport.pid)
        await self.serves()
        self.assertEqual(os.stat(os.path.join(self.run_, "ports")).st_uid, pwd.getpwnam(USER)[2])
        await self.stop(command)
        self.assertEqual(os.listdir(self.run_), ["ports"])  # the socket and its lock are gone

    async def test_key_is_read_before(self) -> None:
        pem = localhostFile(self.folder)
        os.chmod(pem, 0o600)
        command = self.twistd("-s", f"ack@ssl:0:privateKey={pem}:interface=127.0.0.1")
        await self.until(lambda: os.path.exists(os.path.join(self.run_, "ports")), command)
        self.assertShed(command.transport.pid)

    async def test_what_root_alone_may_remove_stays_and_is_no_hindrance(self) -> None:
        for _ in range(2):
            command = self.twistd("-s", "ack@unix:s")
            await command.line("set uid/gid")
            await self.serves()
            await self.stop(command)
        self.assertIn(f"{self.folder}/s cannot be removed: Permission denied", command.out)

    async def test_background(self) -> None:
        parent = self.twistd("-s", "ack@unix:run/s", how=())
        self.assertEqual(await parent.ended(), 0, parent.err)
        pid = int(self.read("twistd.pid"))
        process = killer(self, pid)
        while not os.path.exists(os.path.join(self.run_, "ports")):
            await deferLater(reactor, 0.005)
        self.assertShed(pid)
        await self.serves()
        modes = {name: self.mode(name) for name in ("twistd.pid", "twistd.log", "run/ports")}
        self.assertEqual(modes, dict.fromkeys(modes, 0o600))
        self.assertEqual(self.mode("run/s"), 0o666)  # a door is for everybody who may come near
        signal.pidfd_send_signal(process, signal.SIGTERM)
        await deferToThread(select.select, [process], [], [])
        self.assertFalse(os.path.exists(os.path.join(self.run_, "s")))
        self.assertNotIn("Traceback", self.read("twistd.log"))


@slow
class Several(Shed):
    async def test_workers_and_those_who_replace_them(self) -> None:
        command = self.twistd("--workers", "2")
        await self.allServe(command, 2)
        await self.until(lambda: len(self.children(command)) == 3, command)
        self.assertShed(command.transport.pid, *self.children(command))
        await self.serves()
        pid = self.serving(command)[1]
        os.kill(pid, signal.SIGKILL)
        await self.until(lambda: self.serving(command)[1] != pid, command)
        command.signal("HUP")
        await command.line("restarted: every worker is a new one")
        self.assertShed(*self.serving(command).values())
        await self.serves()
        await self.stop(command)

    async def test_after_euid_they_have_no_way_back_either(self) -> None:
        command = self.twistd("--workers", "1", how=("-n", "--euid"))
        await command.line("worker 1 .* serves")
        self.assertShed(*self.serving(command).values())
        await self.serves()

    async def test_folder_that_is_closed_to_them(self) -> None:
        self.always = self.always[:2]
        os.chmod(self.folder, 0o700)
        command = self.twistd("--workers", "1")
        await command.line("worker 1 .* serves")
        await self.serves()

    async def test_key_that_only_root_may_read(self) -> None:
        pem = localhostFile(self.folder)
        os.chmod(pem, 0o600)
        endpoint = f"ssl:0:privateKey={pem}:interface=127.0.0.1"
        command = self.twistd("--workers", "1", "-s", f"ack@{endpoint}")
        await command.ended()
        self.assertEqual(command.status, 2, command.out)
        self.assertIn(f"cannot read {pem}: Permission denied", command.out)
        self.assertNotIn("Traceback", command.out)
