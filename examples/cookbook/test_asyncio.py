"""Tests of an asyncio client; the lab is a process of its own, as for any other client."""

import asyncio
import unittest

from lab import lab


async def ask(port, question):  # yours
    async with asyncio.timeout(1):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(question + b"\n")
            return await reader.readuntil(b"\n")
        finally:
            writer.close()


class AskTests(unittest.IsolatedAsyncioTestCase):
    async def test_silence(self):
        with lab("--fault", "timeout") as port, self.assertRaises(TimeoutError):
            await ask(port, b"hello")

    async def test_halfAnAnswer(self):
        cut = self.assertRaises(asyncio.IncompleteReadError)
        with lab("--fault", "limit_data,bytes=2B") as port, cut as raised:
            await ask(port, b"hello")
        self.assertEqual(raised.exception.partial, b"Yo")
