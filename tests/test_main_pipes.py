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
from tests.support.thread_servers import PATIENCE, Handler, echo, hangingUp, serve, silent


class PipeTests(Running):
    def test_aHundredMegabytesComeBackInLittleMemoryThoughStdoutIsSlow(self) -> None:
        size = 100_000_000
        with tempfile.TemporaryFile() as file:
            piece = os.urandom(1_000_000)
            for _ in range(size // len(piece)):
                file.write(piece)
            file.seek(0)
            process = start("connect", serve(self, echo), stdin=file)
            assert process.stdout is not None
            left = size
            with process:
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

    def test_nobodyReadsTheOutput(self) -> None:
        process = start("connect", serve(self, echo), stdin=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        with process:
            process.stdin.write(b"first\n")
            process.stdin.flush()
            self.assertEqual(process.stdout.readline(), b"first\n")
            process.stdout.close()
            self.assertEqual(process.wait(PATIENCE), 141)
            self.assertEqual(process.stderr.read(), b"")

    def leftUnread(self, handle: Handler, **settings: Any) -> None:
        """Read a little of an output that is longer than a pipe, and go."""
        process = start("connect", serve(self, handle), **settings)
        assert process.stdout is not None
        assert process.stderr is not None
        with process:
            self.assertEqual(len(os.read(process.stdout.fileno(), 300)), 300)
            process.stdout.close()
            self.assertEqual(process.wait(PATIENCE), 141)
            self.assertEqual(process.stderr.read(), b"")

    def test_theReaderGoesWhileOutputWaitsForIt(self) -> None:
        with tempfile.TemporaryFile() as file:
            file.write(bytes(3_000_000))
            file.seek(0)
            self.leftUnread(echo, stdin=file)

    def test_theReaderGoesWhenTheServerHasFinished(self) -> None:
        self.leftUnread(hangingUp(bytes(131072)), stdin=subprocess.DEVNULL)

    def test_theReaderGoesWhenTheConversationIsOver(self) -> None:
        over = threading.Event()

        def handle(sock: socket.socket) -> None:
            hangingUp(bytes(100_000))(sock)
            over.set()

        process = start("connect", serve(self, handle), stdin=subprocess.DEVNULL)
        assert process.stdout is not None
        with process:
            self.assertTrue(over.wait(PATIENCE))
            process.stdout.close()
            self.assertEqual(process.wait(PATIENCE), 141)

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
    def interrupted(self, number: int) -> None:
        there = threading.Event()

        def handle(sock: socket.socket) -> None:
            there.set()
            silent(sock)

        process = start("connect", serve(self, handle), stdin=subprocess.PIPE)
        with process:
            self.assertTrue(there.wait(PATIENCE))
            process.send_signal(number)
            self.assertEqual(process.wait(PATIENCE), 128 + number)
            assert process.stderr is not None
            self.assertEqual(process.stderr.read(), b"")

    def test_interruptEndsItWithoutATraceback(self) -> None:
        self.interrupted(signal.SIGINT)

    def test_terminateIsNoSuccess(self) -> None:
        self.interrupted(signal.SIGTERM)


def peakMemory(pid: int) -> int:
    """Return the most memory that a process has used so far, in bytes."""
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise SkipTest("the kernel does not tell")
