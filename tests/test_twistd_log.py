"""A log that takes nothing, or is moved away, and the lab that goes on serving."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket

from twisted.internet.threads import deferToThread

from tests.support.twistd_process import TWIST, TWISTD, WHO, Command, Commands, Workers

#: Says much, a line for each number.
_TALKER = """
    from tcplab.protocols import Conversation, Lines

    class Talker(Conversation):
        framing = Lines

        def messageReceived(self, message):
            for number in range(int(message)):
                print(number, "x" * 1000)
            self.send(b"said")
    """


class Logs(Commands):
    def setUp(self) -> None:
        super().setUp()
        self.write("talker.py", _TALKER)

    def serve(self, log: int, words: tuple[str, ...] = TWISTD) -> Command:
        """Serve on a socket that listens already, for nobody may read where it does."""
        door = socket.create_server(("127.0.0.1", 0))
        self.port = door.getsockname()[1]
        with door:
            return self.start(
                *("sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh"),
                *(*words, "tcplab", "-p", "0", "-b", "talker.Talker"),
                childFDs={0: 0, 1: log, 2: log, 3: door.fileno()},
                env={"LISTEN_FDS": "1"},
            )

    def pipe(self) -> tuple[int, int]:
        """Make the smallest pipe that can be."""
        out, into = os.pipe()
        fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, 4096)
        return out, into

    async def says(self, count: int) -> None:
        answer = await self.talk(self.connect(self.port), b"%d\n" % count)
        self.assertEqual(answer, b"said\n")

    async def ends(self, command: Command) -> None:
        command.signal("TERM")
        self.assertEqual(await command.ended(), 0)

    def serveOnPipe(self, *, words: tuple[str, ...] = TWISTD, full: bool = False) -> Command:
        """Serve with a log that is a pipe, ``self.out``, which is read later or never."""
        self.out, into = self.pipe()
        if full:
            os.write(into, b"x" * 4096)
        command = self.serve(into, words)
        os.close(into)
        return command

    async def test_reader_that_stands_still(self) -> None:
        for words, full in ((TWISTD, False), (TWIST, False), (TWISTD, True)):
            command = self.serveOnPipe(words=words, full=full)
            await self.says(500)
            await self.says(10)
            await self.ends(command)  # until now nothing has been read
            os.close(self.out)

    async def test_reader_that_is_gone(self) -> None:
        command = self.serveOnPipe()
        os.close(self.out)
        await self.says(500)
        await self.ends(command)

    async def test_disk_that_is_full(self) -> None:
        full = os.open("/dev/full", os.O_WRONLY)
        command = self.serve(full)
        os.close(full)
        await self.says(500)
        await self.ends(command)

    async def readTo(self, out: int, pattern: str) -> str:
        def read() -> str:
            text = ""
            while not re.search(pattern, text):
                data = os.read(out, 65536)
                self.assertTrue(data, text)
                text += data.decode()
            return text

        return await deferToThread(read)

    async def after(self, count: int, says: str) -> list[int]:
        """Have it say so many lines to a reader that reads later; return the numbers of those."""
        command = self.serveOnPipe()
        self.addCleanup(os.close, out := self.out)
        await self.says(count)
        text = await self.readTo(out, says)
        command.signal("TERM")
        text += await self.readTo(out, "Server Shut Down.\n")
        self.assertEqual(await command.ended(), 0)
        lost = r"(\d+) lines of the log were lost: it was not read"
        self.lost = sum(map(int, re.findall(lost, text)))
        return [int(each) for each in re.findall(r"\[stdout#info\] (\d+) x{1000}\n", text)]

    async def test_what_waited_is_written_in_its_order(self) -> None:
        numbers = await self.after(500, "closed by=peer")
        self.assertEqual(numbers, list(range(500)))
        self.assertEqual(self.lost, 0)

    async def test_what_was_too_much_is_counted(self) -> None:
        numbers = await self.after(3000, "lines of the log were lost: ")
        self.assertEqual(numbers, list(range(len(numbers))))
        self.assertGreater(len(numbers), 900)
        # What ended the connection was too much too.
        self.assertIn(self.lost - (3000 - len(numbers)), (0, 1))


class LogFiles(Workers):
    """A log file that is moved away is made anew upon SIGUSR1, which ends no process."""

    async def moved(self, *words: str) -> list[str]:
        """Serve, move the file, signal, serve; return the lines of the two files."""
        options = ("-p", "0", "-b", "who.Who", "--port-file", "ports", "--workers", "1")
        self.write("who.py", WHO)
        command = self.start(*TWISTD, *words[:-1], "tcplab", *options, *words[-1].split())
        await self.until(lambda: os.path.exists(os.path.join(self.folder, "ports")), command)
        self.port = int(self.read("ports").split()[2])
        [worker] = (await self.peers(1)).values()
        written = re.compile("opened|got connection").search
        await self.until(lambda: written(self.read("log")) is not None, command)
        os.rename(os.path.join(self.folder, "log"), os.path.join(self.folder, "old"))
        os.kill(worker, signal.SIGUSR1)
        command.transport.signalProcess(signal.SIGUSR1)
        await self.until(lambda: os.path.exists(os.path.join(self.folder, "log")), command)
        self.assertEqual(list((await self.peers(1)).values()), [worker])
        command.signal("TERM")
        self.assertEqual(await command.ended(), 0)
        self.assertEqual(command.out, "")
        return [self.read("old"), self.read("log")]

    async def test_ours_in_JSON(self) -> None:
        """Every line is an object; those of workers have their number."""
        self.write("log", '{"time":"before"}\n')
        files = await self.moved("--log-file log --log-format json")
        old, new = ([json.loads(line) for line in text.splitlines()] for text in files)
        self.assertEqual(old[0], {"time": "before"})
        opened = [(each["worker"], each["number"]) for each in old + new if "number" in each]
        self.assertEqual(opened[0], (1, 1))
        self.assertIn("opened again", new[0]["text"])
        self.assertEqual(new[-1]["text"], "Server Shut Down.")

    async def test_twistds_own(self) -> None:
        """It is opened again too, in text."""
        old, new = await self.moved("--logfile=log", "")
        self.assertIn("[worker 1,who.Who,1,127.0.0.1] server: got connection", old)
        self.assertIn("opened again", new.splitlines()[0])
        self.assertIn("[worker 1,who.Who,2,127.0.0.1] server: got connection", new)
