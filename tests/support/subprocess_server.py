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
from collections.abc import Callable
from pathlib import Path
from unittest import TestCase

from tests.support.find_program import searched

ROOT = Path(__file__).parents[2]
LIMIT = 60.0  # seconds for what takes one; a machine may be busy


def environment() -> dict[str, str]:
    """Return an environment in which this Python's commands come first, and nothing is buffered."""
    here = f"{os.path.dirname(sys.executable)}:{sysconfig.get_path('scripts')}"
    return {**os.environ, "PATH": f"{here}:{searched()}", "PYTHONUNBUFFERED": "1"}


def scratch(test: TestCase) -> Path:
    """Make a folder that is removed after the test."""
    folder = tempfile.mkdtemp(prefix="tcplab")
    test.addCleanup(shutil.rmtree, folder, True)
    return Path(folder)


def run(command: str, say: bytes = b"", folder: Path = ROOT) -> subprocess.CompletedProcess[bytes]:
    """
    Run a shell's command to its end, with something to read.

    :raises AssertionError: it takes too long; what it had printed until then is told.
    """
    with subprocess.Popen(
        command,
        shell=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=environment(),
        start_new_session=True,  # so that a pipeline can be ended as a whole
    ) as process:
        try:
            out, err = process.communicate(say, LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"{command} goes on and on: {out!r} {err!r}") from None
    return subprocess.CompletedProcess(command, process.returncode, out, err)


class Server:
    """
    A server in a process of its own.

    :ivar port: where it listens.
    """

    def __init__(self, command: str, folder: Path, port: Callable[[Server], str]) -> None:
        log, self._log = tempfile.mkstemp(".log", dir=folder)
        self._process = subprocess.Popen(
            f"exec {command}",
            shell=True,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment(),
        )
        os.close(log)
        self.port = int(self._awaited(lambda: port(self)))

    def _awaited(self, ask: Callable[[], str]) -> str:
        # To wait for its end is to wait at most that long, and not in vain if it has failed.
        until = time.monotonic() + LIMIT
        while time.monotonic() < until:
            if answer := ask():
                return answer
            try:
                self._process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
            break
        self.stop()
        raise AssertionError(f"{self._process.args!r} does not listen:\n{self.output}")

    @property
    def output(self) -> str:
        """All that it has printed so far."""
        return Path(self._log).read_text()

    def stop(self) -> int:
        """End it, and return its status."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait(LIMIT)


def lab(command: str, folder: Path) -> Server:
    """Start ``twistd -n tcplab …`` on a port that is free."""
    file = Path(tempfile.mkdtemp(dir=folder)) / "ports"

    def port(server: Server) -> str:
        return file.read_text().split()[2] if file.exists() else ""

    return Server(f"{command} --port 0 --port-file {file}", folder, port)


def program(command: str, folder: Path) -> Server:
    """Start a program that takes an endpoint and prints its port, on one that is free."""

    def port(server: Server) -> str:
        said = re.search(r"listening on port (\d+)$", server.output, re.MULTILINE)
        return said[1] if said else ""

    return Server(f"{command} tcp:0:interface=127.0.0.1", folder, port)
