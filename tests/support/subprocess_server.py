"""Programs run as a user runs them, from a shell, with time limits; for tests."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import SkipTest, TestCase

ROOT = Path(__file__).parents[2]
LIMIT = 60.0  # seconds for what takes one; a machine may be busy


_ADMINISTRATORS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def searched(*folders: str) -> str:
    """Return a PATH: the user's, the administrator's folders, which it may lack, then some more."""
    return ":".join([os.environ.get("PATH", os.defpath), *_ADMINISTRATORS, *folders])


def found(name: str, *folders: str) -> str | None:
    """Find a program, there or in some more folders."""
    return shutil.which(name, path=searched(*folders))


def needed(name: str, package: str | None = None, *folders: str) -> str:
    """Find a program; skip the test where it is not installed."""
    path = found(name, *folders)
    if path is None:
        raise SkipTest(f"there is no {name}: apt-get install {package or name}")
    return path


def commands() -> dict[str, str]:
    """Return an environment in which this Python's commands come first, and nothing is buffered."""
    here = f"{os.path.dirname(sys.executable)}:{sysconfig.get_path('scripts')}"
    return {**os.environ, "PATH": f"{here}:{searched()}", "PYTHONUNBUFFERED": "1"}


def scratch(test: TestCase) -> Path:
    """Make a folder that is removed after the test."""
    folder = tempfile.mkdtemp(prefix="tcplab")
    test.addCleanup(shutil.rmtree, folder, True)
    return Path(folder)


def run(
    command: str,
    say: bytes = b"",
    folder: Path = ROOT,
    *,
    environment: Mapping[str, str] | None = None,
    limit: float = LIMIT,
) -> subprocess.CompletedProcess[bytes]:
    """
    Run a shell's command to its end, with something to read.

    :param environment: what is added to it.
    :raises AssertionError: it takes too long; what it had printed until then is told.
    """
    with subprocess.Popen(
        command,
        shell=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env={**commands(), **(environment or {})},
        start_new_session=True,  # so that a pipeline can be ended as a whole
    ) as process:
        try:
            out, err = process.communicate(say, limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"{command} does not end: {out!r} {err!r}") from None
    return subprocess.CompletedProcess(command, process.returncode, out, err)


class Server:
    """
    A server in a process of its own.

    :param port: returns its port once it listens, and nothing before.
    :param ends: the signal that ends it.
    :ivar port: where it listens.
    """

    def __init__(
        self,
        command: str,
        folder: Path,
        port: Callable[[Server], str],
        ends: signal.Signals = signal.SIGTERM,
    ) -> None:
        self._ends = ends
        log, self._log = tempfile.mkstemp(".log", dir=folder)
        self.process = subprocess.Popen(
            f"exec {command}",
            shell=True,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=commands(),
        )
        os.close(log)
        self.port = int(self.awaited(lambda: port(self)))

    def awaited(self, ask: Callable[[], Any]) -> Any:
        """
        Return the answer as soon as there is one.

        :raises AssertionError: there is none in time, or the server has ended.
        """
        # To wait for its end is to wait at most that long, and not in vain if it has failed.
        until = time.monotonic() + LIMIT
        while time.monotonic() < until:
            if answer := ask():
                return answer
            try:
                self.process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
            break
        self.stop()
        raise AssertionError(f"{self.process.args!r} is not ready:\n{self.output}")

    @property
    def output(self) -> str:
        """All that it has printed so far."""
        return Path(self._log).read_text()

    def stop(self, times: int = 1) -> int:
        """End it, by so many signals, and return its status."""
        for _ in range(times):
            if self.process.poll() is None:
                self.process.send_signal(self._ends)
        try:
            return self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End it at once."""
        if self.process.poll() is None:
            self.process.kill()
        return self.process.wait(LIMIT)


def lab(command: str, folder: Path) -> Server:
    """Start ``twistd -n tcplab …`` on a port that is free."""
    file = Path(tempfile.mkdtemp(dir=folder)) / "ports"

    def port(server: Server) -> str:
        return file.read_text().split()[2] if file.exists() else ""

    return Server(f"{command} --port 0 --port-file {file}", folder, port)


def printed(server: Server) -> str:
    """Return the port that a server has printed."""
    found = re.search(r" port (\d+)\b", server.output)
    return found[1] if found else ""


def program(command: str, folder: Path) -> Server:
    """Start a program that takes an endpoint and prints its port, on one that is free."""
    return Server(f"{command} tcp:0:interface=127.0.0.1", folder, printed)
