"""Redis and PostgreSQL behind forward with faults: nothing goes wrong that no fault explains."""

from __future__ import annotations

import random
import re

from tests.support.real_servers import BehindPostgreSQL, BehindRedis
from tests.support.subprocess_server import run

# Late, in small pieces, and few: all arrives, and in order.
SLOW = (
    "--fault latency,latency=2,jitter=2,direction=both"
    " --fault slicer,average_size=1000,size_variation=500,direction=both"
    " --fault bandwidth,rate=20000,direction=both"
    " --seed 6"
)


class RedisTests(BehindRedis):
    def test_whatOnlySlowsBreaksNothing(self) -> None:
        value = random.Random(1).randbytes(500_000).hex().encode()
        said = b"".join(b"SET key:%d %d\r\n" % (each, each * 7) for each in range(5000))
        for faults in ("", SLOW):
            cli = f"{self.client} -p {self.forward(faults)}"
            self.assertEqual(self.output(f"{cli} -x SET key", value), b"OK\n")
            self.assertTrue(self.output(f"{cli} GET key") == value + b"\n", "not what was set")
            self.assertIn(b"errors: 0, replies: 5000", self.output(f"{cli} --pipe", said))
            self.assertEqual(self.output(f"{cli} GET key:4999"), b"34993\n")
            for words in ("-c 20 -P 16 -d 1000 -n 500", "-c 50 -n 5000")[: 1 if faults else 2]:
                bench = f"{self.benchmark} -p {self.lab.port} -q {words} -t set,get,lrange_100"
                heard = self.output(bench)
                counted = heard.count(b"requests per second"), b"rror" in heard
                self.assertEqual(counted, (4, False), heard)
            self.assertEqual(self.hits, 0)

    def test_everyErrorIsAHit(self) -> None:
        """With each of its connections a run of the benchmark ends, or it does not."""
        for fault, error in (
            ("reset_peer,probability=0.4,after=2KiB", b"Error: Connection reset by peer"),
            ("limit_data,bytes=2KiB,probability=0.4", b"Error: Server closed the connection"),
        ):
            port = self.forward(f"--fault {fault} --seed 6")
            # Its first connection, which asks for the configuration, is over by 1 KiB.
            words = f"{self.benchmark} -p {port} -q -c 1 -n 500 -t get"
            runs = [run(words, folder=self.folder) for _ in range(20)]
            failed = [each for each in runs if each.returncode or b"rror" in each.stderr]
            self.assertEqual({each.stderr.strip() for each in failed}, {error})
            self.assertEqual(len(failed), self.hits)
            self.assertIn(len(failed), range(1, 20), "the dice are of no use")


class PostgreSQLTests(BehindPostgreSQL):
    def test_whatOnlySlowsBreaksNothing(self) -> None:
        rows = b"".join(b"%d\t%s\n" % (each, b"x%d" % each * 9) for each in range(10_000))
        for faults, benchmarks in (
            ("", ("-c 8 -j 2", "-c 4 -M prepared", "-C -c 2")),
            (SLOW, ("-c 8 -j 2",)),
        ):
            self.pgbenchIsReady(faults)
            for words in benchmarks:
                said = self.output(f"{self.pgbench} {self.where} -n -T 1 {words} postgres")
                self.assertIn(b"number of failed transactions: 0", said)
            self.assertSumsAgree()
            self.ask("DROP TABLE IF EXISTS words; CREATE TABLE words (number int, word text)")
            copy = f'{self.psql} {self.where} -qc "COPY words'
            self.output(f'{copy} FROM STDIN" postgres', rows)
            heard = self.output(f'{copy} TO STDOUT" postgres')
            self.assertTrue(heard == rows, "not what was copied")
            self.assertEqual(self.hits, 0)

    def test_everyErrorIsAHit(self) -> None:
        """A client of the benchmark aborts when its connection is broken, and only then."""
        for fault in (
            "reset_peer,probability=0.5,after=8KiB",
            "limit_data,bytes=8KiB,probability=0.5",
        ):
            self.pgbenchIsReady(f"--fault {fault} --seed 6")
            words = f"{self.pgbench} {self.where} -n -c 10 -j 2 -t 200 postgres"
            done = run(words, folder=self.folder)
            aborted = re.findall(rb"client \d+ (?:script \d+ )?aborted", done.stderr)
            self.assertEqual(len(aborted), self.hits, done)
            self.assertIn(self.hits, range(1, 10), "the dice are of no use")
            processed = re.search(rb"actually processed: (\d+)", done.stdout)
            assert processed is not None, done
            self.callAt(self.forward())
            # Who was cut off has not heard whether the last one was made.
            made = int(self.ask("SELECT count(*) FROM pgbench_history"))
            unheard = made - int(processed[1])
            self.assertIn(unheard, range(len(aborted) + 1), done)
            self.assertSumsAgree()
