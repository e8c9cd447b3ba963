"""Tests for `tcplab.__main__` in pipelines and under signals."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from typing import Any

from twisted.trial.unittest import SkipTest

from tests.support.client_process import Running, start, tcplabs
from tests.support.thread_servers import PATIENCE, ThreadServer, echo, hangingUp, serve, silent


class PipeTests(Running):
    def test_aHundredMegabytesComeBackInLittleMemoryThoughStdoutIsSlow(self) -> None:
        size = 100_000_000
        with tempfile.TemporaryFile() as file:
            piece = os.urandom(1_000_000)
            for _ in range(size // len(piece)):
                file.write(piece)
            file.seek(0)
            left = size
            with start("connect", serve(self, echo), stdin=file) as process:
                while left:
                    got = process.stdout.read(min(left, len(piece)))
                    self.assertTrue(got == piece, f"{size - left} bytes were right")
                    left -= len(got)
                    if left == 10_000_000:
                        peak = peakMemory(process.pid)
                self.assertEqual(process.stdout.read(), b"")
            self.assertEqual(process.returncode, 0)
        # The interpreter and Twisted take 45 MB of it.
        self.assertLess(peak, 80_000_000)

    def test_stdinIsNotReadByAScript(self) -> None:
        where = serve(self, echo)
        read, write = os.pipe()
        os.write(write, b"for the next")
        tcplabs("connect", where, "--send", "x", stdin=read)
        self.assertEqual(os.read(read, 100), b"for the next")
        os.close(read)
        os.close(write)

    def test_pipesBlockAgainAfterwards(self) -> None:
        where = serve(self, echo)
        read, write = os.pipe()
        for arguments in [], ["--send", "x"]:
            tcplabs("connect", where, *arguments, stdin=subprocess.DEVNULL, stdout=write)
            self.assertFalse(fcntl.fcntl(write, fcntl.F_GETFL) & os.O_NONBLOCK)
        os.close(read)
        os.close(write)

    def assertUnread(self, process: Any) -> None:
        """Close the output; it ends as by SIGPIPE."""
        process.stdout.close()
        self.assertEqual(process.wait(PATIENCE), 141)
        self.assertEqual(process.stderr.read(), b"")

    def test_readerThatGoesWhileItIsIdle(self) -> None:
        with start("connect", serve(self, echo), stdin=subprocess.PIPE) as process:
            process.stdin.write(b"first\n")
            process.stdin.flush()
            self.assertEqual(process.stdout.readline(), b"first\n")
            self.assertUnread(process)

    def test_readerThatGoes(self) -> None:
        """While output waits for it, and when the server has finished."""
        with tempfile.TemporaryFile() as file:
            file.write(bytes(3_000_000))
            file.seek(0)
            for handle, stdin in ((echo, file), (hangingUp(bytes(131072)), subprocess.DEVNULL)):
                with start("connect", serve(self, handle), stdin=stdin) as process:
                    self.assertEqual(len(os.read(process.stdout.fileno(), 300)), 300)
                    self.assertUnread(process)

    def test_readerThatGoesWhenTheConversationIsOver(self) -> None:
        server = ThreadServer(self, hangingUp(bytes(100_000)))
        words = ("connect", f"127.0.0.1:{server.port}")
        with start(*words, stdin=subprocess.DEVNULL) as process:
            server.ended()
            self.assertUnread(process)

    def test_outputThatCannotBeWrittenIsNoSuccess(self) -> None:
        where = serve(self, echo)
        for arguments in [], ["--send", "hi"], ["--send", "hi", "--expect", "hi"]:
            with open("/dev/full", "wb") as full:
                done = tcplabs("connect", where, *arguments, say=b"hi", stdout=full)
            line = self.assertEnded(done, 10, "OTHER")
            self.assertTrue(line.endswith(": No space left on device"), line)

    def test_descriptorsThatAreClosedAreNotTakenForOthers(self) -> None:
        where = serve(self, echo)
        shell = f'exec "{sys.executable}" -m tcplab connect {where} "$@" 0<&- 1>&- 2>&-'
        for arguments, status in ([], 0), (["--send", "x", "--expect", "y", "--timeout", "1"], 1):
            done = subprocess.run(["sh", "-c", shell, "sh", *arguments], timeout=PATIENCE)
            self.assertEqual(done.returncode, status)

    def test_hexIsExactAtTheEnd(self) -> None:
        done = tcplabs("connect", serve(self, echo), "--hex", say=bytes(range(17)))
        self.assertEqual(
            done.stdout,
            b"00000000  00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f  |................|\n"
            b"00000010  10                                                |.|\n"
            b"00000011\n",
        )


class SignalTests(Running):
    def test_noTraceback(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            there = threading.Event()

            def handle(sock: socket.socket, there: threading.Event = there) -> None:
                there.set()
                silent(sock)

            with start("connect", serve(self, handle), stdin=subprocess.PIPE) as process:
                self.assertTrue(there.wait(PATIENCE))
                process.send_signal(number)
                self.assertEqual(process.wait(PATIENCE), 128 + number)
                self.assertEqual(process.stderr.read(), b"")


def peakMemory(pid: int) -> int:
    """Return the most memory that a process has used so far, in bytes."""
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise SkipTest("the kernel does not tell")
