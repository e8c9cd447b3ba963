"""A lab on a Unix socket that was killed: the next one serves there all the same."""

from __future__ import annotations

import os
import socket

from tests.support.tiers import slow
from tests.support.twistd_process import TWISTD, Command, Workers


@slow
class Killed(Workers):
    async def starts(self, *words: str) -> Command:
        command = self.start(*TWISTD, "tcplab", "-s", "ack@unix:s", *words)
        await command.line("worker 1 .* serves" if words else "serving ack")
        peer = socket.socket(socket.AF_UNIX)
        self.addCleanup(peer.close)
        peer.connect(os.path.join(self.folder, "s"))
        self.assertEqual(await self.talk(peer, b"x"), b"You are connected!")
        return command

    async def test_next_one(self) -> None:
        lock = os.path.join(self.folder, "s.lock")
        for words, number in (((), ""), (("--workers", "1"), ""), ((), str(os.getpid()))):
            command = await self.starts(*words)
            command.signal("KILL")
            await command.ended()
            if number:  # that of the process is another's now
                os.remove(lock)
                os.symlink(number, lock)
                os.utime(lock, (0, 0), follow_symlinks=False)
            await self.stop(await self.starts(*words))
            self.assertEqual(os.listdir(self.folder), [])

    async def test_one_that_lives_is_left_alone(self) -> None:
        await self.starts()
        os.utime(os.path.join(self.folder, "s.lock"), (0, 0), follow_symlinks=False)
        another = self.start(*TWISTD, "tcplab", "-s", "ack@unix:s")
        self.assertEqual(await another.ended(), 2)
        self.assertIn(f"another process serves on {self.folder}/s: stop it", another.err)
