"""A lab that was killed leaves nothing that keeps the next one from its Unix socket."""

from __future__ import annotations

import os
import socket

from tests.support.tiers import slow
from tests.support.twistd_process import TWISTD, Command, Workers


@slow
class Killed(Workers):
    async def serving_(self, *words: str) -> Command:
        command = self.start(*TWISTD, "tcplab", "-s", "ack@unix:s", *words)
        await command.line("worker 1 .* serves" if words else "serving ack")
        peer = socket.socket(socket.AF_UNIX)
        self.addCleanup(peer.close)
        peer.connect(os.path.join(self.folder, "s"))
        self.assertEqual(await self.talk(peer, b"x"), b"You are connected!")
        return command

    async def nextOne(self, *words: str, lock: str = "") -> None:
        command = await self.serving_(*words)
        command.signal("KILL")
        await command.ended()
        if lock:
            path = os.path.join(self.folder, "s.lock")
            os.remove(path)
            os.symlink(lock, path)
            os.utime(path, (0, 0), follow_symlinks=False)
        another = await self.serving_(*words)
        await self.stop(another)
        self.assertEqual(os.listdir(self.folder), [])

    async def test_alone(self) -> None:
        await self.nextOne()

    async def test_with_workers(self) -> None:
        await self.nextOne("--workers", "1")

    async def test_its_number_is_another_processs_now(self) -> None:
        await self.nextOne(lock=str(os.getpid()))

    async def test_one_that_lives_is_left_alone(self) -> None:
        await self.serving_()
        path = os.path.join(self.folder, "s.lock")
        os.utime(path, (0, 0), follow_symlinks=False)
        another = self.start(*TWISTD, "tcplab", "-s", "ack@unix:s")
        self.assertEqual(await another.ended(), 1)
        self.assertIn(f"another process serves on {self.folder}/s: stop it", another.err)
