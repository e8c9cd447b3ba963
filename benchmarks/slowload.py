"""
The load where there is no C compiler: the command line of ``load.c``, in Python.

Slower than some of what it measures, so that its figures are marked as the generator's own limit.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from asyncio import StreamReader, StreamWriter

KIND, PORT, CONNECTIONS, SIZE = sys.argv[1], *map(int, sys.argv[2:5])
SECONDS = float(sys.argv[5])
GREETING = b"".join(each.encode() for each in sys.argv[6:])
PATTERN = os.urandom(65521)
PATTERN += PATTERN + PATTERN


class Count:
    """What came, and when it counts."""

    def __init__(self) -> None:
        self.begin = time.perf_counter() + min(0.5, SECONDS / 4)
        self.end = self.begin + SECONDS
        self.counted = self.all = 0
        self.latencies: list[float] = []

    def going(self) -> bool:
        return time.perf_counter() < self.end

    def add(self, amount: int, begun: float) -> None:
        """Count an amount that was asked for at a time."""
        now = time.perf_counter()
        self.all += amount
        if self.begin <= now < self.end:
            self.counted += amount
            self.latencies.append(1e6 * (now - begun))


async def opened() -> tuple[StreamReader, StreamWriter]:
    """Connect, and read the greeting."""
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT, limit=1 << 20)
    check(await reader.readexactly(len(GREETING)), GREETING)
    return reader, writer


def check(came: bytes, wanted: bytes) -> None:
    if came != wanted:
        raise SystemExit("load: what came back is not what was sent")


async def echoed(reader: StreamReader, writer: StreamWriter, start: int, size: int) -> None:
    data = PATTERN[start : start + size]
    writer.write(data)
    check(await reader.readexactly(size), data)


async def request(count: Count, reader: StreamReader, writer: StreamWriter) -> None:
    """Ask again and again, on one connection; bulk is the same with large requests."""
    position = 0
    while count.going():
        begun = time.perf_counter()
        await echoed(reader, writer, position % 65521, SIZE)
        position += SIZE
        count.add(SIZE if KIND == "bulk" else 1, begun)
    writer.close()


async def storm(count: Count, number: int) -> None:
    """Connect, one echo, close; again and again."""
    while count.going():
        begun = time.perf_counter()
        reader, writer = await opened()
        await echoed(reader, writer, number, SIZE)
        writer.close()
        await writer.wait_closed()
        count.add(1, begun)


async def idle() -> None:
    """Say "warm" with a few connections, and after a line of stdin "held" with all the others."""
    held = []
    for word, connections in (("warm", 32), ("held", CONNECTIONS)):
        for number in range(connections):
            held.append(await opened())
            await echoed(*held[-1], number % 65521, 16)
        print(word, flush=True)
        sys.stdin.readline()


async def main() -> None:
    if KIND == "idle":
        await idle()
        return
    for _, writer in [await opened() for _ in range(100)]:
        writer.close()
    some = [] if KIND == "storm" else [await opened() for _ in range(CONNECTIONS)]
    print("begun", flush=True)
    count = Count()
    if KIND == "storm":
        await asyncio.gather(*(storm(count, number) for number in range(CONNECTIONS)))
    else:
        await asyncio.gather(*(request(count, *each) for each in some))
    figures = {"rate": count.counted / SECONDS, "all": count.all, "generator": 1.0}
    if KIND != "bulk":
        ordered = sorted(count.latencies) or [0.0]
        figures |= {"p50": ordered[len(ordered) // 2], "p99": ordered[len(ordered) * 99 // 100]}
    print(json.dumps(figures), flush=True)


asyncio.run(main())
