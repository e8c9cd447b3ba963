"""The pages that are followed from their top to their end do what they show."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.support.page_session import FOLLOWED, PageSession
from tests.support.rst_pages import page, programs
from tests.support.subprocess_server import ROOT, scratch
from tests.support.tiers import processes

SHORT = ("howto/troubleshooting", "explanation/compared")


@processes
class SessionTests(SynchronousTestCase):
    """One test for each page, so that a run may divide them."""

    def follow(self, *names: str) -> None:
        for name in names:
            self.assertIn(name, FOLLOWED)
            session = PageSession(self, scratch(self))
            session.follow(page(name))
            session.stop()

    def test_shortPages(self) -> None:
        self.follow("docs/index.rst", *(f"docs/{name}.rst" for name in SHORT))

    def test_readme(self) -> None:
        self.follow("README.rst")

    def test_first(self) -> None:
        self.follow("docs/tutorial/first.rst")

    def test_textbook(self) -> None:
        self.follow("docs/tutorial/textbook.rst")

    def test_protocol(self) -> None:
        self.follow("docs/tutorial/protocol.rst")

    def test_breakIt(self) -> None:
        self.follow("docs/tutorial/break-it.rst")

    def test_howTCPEnds(self) -> None:
        self.follow("docs/explanation/how-tcp-ends.rst")

    def test_flow(self) -> None:
        self.follow("docs/explanation/flow.rst")


class ExamplesTests(SynchronousTestCase):
    """The class of the first screen is an example."""

    def test_shout(self) -> None:
        example = (ROOT / "examples" / "shout.py").read_text()
        example = example.replace("message: bytes) -> None", "message)")
        _, *lines = programs(page("README.rst"))[0].splitlines()  # the import differs
        for line in lines:
            self.assertIn(line, example)
