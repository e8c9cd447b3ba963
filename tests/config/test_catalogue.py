"""Tests for `tcplab.config.catalogue`."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.trial.unittest import SynchronousTestCase

from tcplab.config import catalogue
from tcplab.config.catalogue import Entry, Field
from tcplab.entrypoints import Registered
from tcplab.faults import KINDS, Fault
from tcplab.faults.spec import COMMON_FIELDS
from tcplab.wire.names import BEHAVIOURS

ENTRIES = {entry.name: entry for entry in catalogue.behaviours() + catalogue.faults()}


class EntriesTests(SynchronousTestCase):
    def test_complete(self) -> None:
        self.assertEqual([each.name for each in catalogue.behaviours()], list(BEHAVIOURS))
        self.assertEqual([each.name for each in catalogue.faults()], list(KINDS))
        self.assertEqual([each.name for each in catalogue.selectors()], list(COMMON_FIELDS))
        for entry in ENTRIES.values():
            self.assertRegex(entry.summary, "^[A-Z].*[^.]$")
            for field in entry.fields:
                self.assertTrue(field.summary, (entry.name, field.name))

    def test_fields(self) -> None:
        for kind, fields in (
            ("latency", "latency ms, jitter ms [0]"),
            ("limit_time", "time with unit, how fin|reset [fin]"),
            ("corrupt", "every with unit, bits 1-8 [1]"),
            ("stall", ""),
        ):
            self.assertEqual(", ".join(map(str, ENTRIES[kind].fields)), fields)
        settings = {field.name: str(field) for field in ENTRIES["relay"].fields}
        self.assertEqual(settings["timeout"], "timeout s [5]")
        self.assertIn("lines]", settings["framing"])
        quote = next(field for field in ENTRIES["qotd"].fields if field.name == "greeting")
        self.assertIn(r"RFC 793\r\n", quote.default)

    def test_noDocstring(self) -> None:
        """A dataclass has its signature in its place."""

        @dataclass(frozen=True)
        class Drip(Fault):
            kind = "drip"

        self.assertEqual(catalogue._documented(Drip)[0], "")

    def test_texts(self) -> None:
        """A field's text is that of the docstring, without the unit that Python has."""
        [delay] = ENTRIES["slow_close"].fields
        self.assertEqual(delay, Field("delay", "ms", "", "the delay of the end."))


class RegisteredTests(SynchronousTestCase):
    def test_ofPackages(self) -> None:
        """They come last; one that cannot be loaded says so."""
        target = "tcplab.faults.kinds.stall:Stall"
        names = {
            "shout": Registered("shout", "tcplab.protocols:Echo", "shouting"),
            "stall": Registered("stall", target, "shouting"),
            "stale": Registered("stale", target, "shouting"),
        }
        self.patch(catalogue.entrypoints, "registered", lambda group: names)
        shout = next(each for each in catalogue.behaviours() if each.name == "shout")
        self.assertEqual(shout, ENTRIES["echo"]._replace(name="shout"))
        stale = catalogue.faults()[-1]
        self.assertRegex(stale.summary, "^Not usable: stale cannot be used: it is registered as")


class TableTests(SynchronousTestCase):
    """They fit a terminal, and each name begins one line."""

    def test_tables(self) -> None:
        for text, entries in (
            (catalogue.behaviourTable(), catalogue.behaviours()),
            (catalogue.faultTable(), catalogue.faults()),
        ):
            lines = text.splitlines()
            self.assertLessEqual(max(map(len, lines)), 80)
            self.assertEqual(
                [line.split()[0] for line in lines[: len(entries)]],
                [entry.name for entry in entries],
            )
        self.assertIn("\nlimit_data  bytes B, how fin|reset [fin]  End the connection ", text)

    def test_detail(self) -> None:
        text = catalogue.detail(catalogue.faults(), "limit_data")
        self.assertEqual(
            text,
            "limit_data: End the connection after some bytes.\n"
            "  bytes B              the bytes that pass.\n"
            "  how fin|reset [fin]  the end: FIN or RST.\n"
            "Also the fields of every fault (see tcplab faults): after, match, for, conn,\n"
            "count, probability, direction.\n",
        )

    def test_long(self) -> None:
        """A summary that does not fit is cut behind a part of the sentence, or a word."""
        for summary, shown in (
            ("Speak, and close" + " at once" * 10, "mine  Speak"),
            ("Speak" + " again" * 20, "mine  Speak" + " again" * 11 + "..."),
        ):
            self.assertEqual(list(catalogue._table([Entry("mine", summary, ())])), [shown])
