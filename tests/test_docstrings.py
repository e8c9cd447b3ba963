"""The examples in the docstrings of the public classes: each has one, and it does what it shows."""

from __future__ import annotations

import doctest
import importlib
import inspect

from twisted.trial.unittest import SynchronousTestCase

import tcplab.protocols
import tcplab.testing

#: The packages whose classes users subclass or call in tests.
PACKAGES = (tcplab.protocols, tcplab.testing)


class ExampleTests(SynchronousTestCase):
    def test_eachHasOne(self) -> None:
        for package in PACKAGES:
            for name in package.__all__:
                text = inspect.getdoc(getattr(package, name)) or ""
                self.assertTrue(">>> " in text or "::\n" in text, name)

    def test_theyDoWhatTheyShow(self) -> None:
        names = {name: getattr(each, name) for each in PACKAGES for name in each.__all__}
        runner = doctest.DocTestRunner()
        printed: list[str] = []
        for package in PACKAGES:
            for name in ("", *package.__all__):
                found = getattr(package, name) if name else package
                module = importlib.import_module(found.__module__) if name else package
                for test in doctest.DocTestFinder(recurse=False).find(found, name, module):
                    test.globs = {**names, "Shout": self.shout()}
                    runner.run(test, out=printed.append)
        self.assertEqual(runner.summarize(verbose=False).failed, 0, "".join(printed))

    def shout(self) -> type[tcplab.protocols.Conversation]:
        """Return the class that the examples begin with."""

        class Shout(tcplab.protocols.Conversation):
            greeting = b"say something"
            framing = tcplab.protocols.Lines

            def messageReceived(self, message: bytes) -> None:
                self.send(message.upper())

        return Shout
