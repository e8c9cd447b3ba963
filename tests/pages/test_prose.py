"""The prose of the pages, of ``--help`` and of the code is plain: see `tests.prose`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.prose import prose, refused, sentences, texts, words

_PAGE = """\
A title
=======

One sentence; ``code. With a stop.`` is one word. And another::

    who says nothing

====  ====
who   none
====  ====

- A list has `sentences <page.rst>`_, too.
"""


class ProseTests(SynchronousTestCase):
    def test_connectionsAreThings(self) -> None:
        found = [f"{name}: {each}" for name, said in texts() for each in said if refused(each)]
        self.assertEqual(found, [])

    def test_refused(self) -> None:
        for sentence, wrong in {
            "Who comes later is refused.": True,
            "Who answered?": False,
            "A client who waits is served.": True,
            "A user who waits reads the log.": False,
            "Nobody is connected.": True,
            "The peer says nothing.": True,
            "The log names the peer.": False,
            "``who`` says nothing here.": False,
            "It ends politely.": True,
        }.items():
            self.assertEqual(refused(sentence), wrong, sentence)

    def test_onlyProseIsRead(self) -> None:
        found = [each for block in prose(_PAGE) for each in sentences(block)]
        self.assertEqual(
            found,
            [
                "A title",
                "One sentence; ``code. With a stop.`` is one word.",
                "And another::",
                "A list has sentences, too.",
            ],
        )
        self.assertEqual([words(each) for each in found], [2, 6, 2, 5])
