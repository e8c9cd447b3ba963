"""Dotted names, and what can be wrong with them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from twisted.protocols.wire import Echo
from twisted.trial.unittest import SynchronousTestCase

from tcplab.importing import ImportFailed, describeImportError, importName, meantName
from tests.support.user_modules import standIn


class ImportTests(SynchronousTestCase):
    def test_found(self) -> None:
        """An installed module; one of the current folder; a name within a class."""
        self.assertIs(importName("twisted.protocols.wire.Echo"), Echo)
        folder = standIn(self, dotted_here="class Shout:\n    class Loud: pass")
        found = importName("dotted_here.Shout")
        self.assertIs(found, sys.modules["dotted_here"].Shout)
        self.assertIs(importName("dotted_here.Shout.Loud"), found.Loud)  # type: ignore[attr-defined]
        self.assertEqual(sys.path[0], folder)

    def test_madeByHand(self) -> None:
        """A module without a file."""
        made = ModuleType("dotted_made")
        made.Shout = object()  # type: ignore[attr-defined]
        made.__spec__ = None
        self.patch(sys, "modules", {**sys.modules, "dotted_made": made})
        self.assertIs(importName("dotted_made.Shout"), made.Shout)

    def test_refused(self) -> None:
        """In one line, with the file and the line of what is wrong in it."""
        folder = standIn(
            self,
            dotted_near="class Shout: pass",
            dotted_raises="\n\nx = {}['key']\n",
            dotted_outer="import dotted_inner",
            dotted_inner="\n1 / 0",
            dotted_syntax="a = 1\nclass class:\n",
            dotted_needs="import dotted_not_there",
            dotted_exits="raise SystemExit(3)",
            dotted_story="raise ValueError('one\\ntwo')",
            dotted_hook="import tcplab.protocols as p\n\n"
            "class Wrong(p.Conversation):\n    async def messageReceived(self, message): ...",
        )
        needs = "ModuleNotFoundError: No module named 'dotted_not_there'"
        for name, problem in (
            ("dotted_nowhere.Shout", "no module dotted_nowhere"),
            ("dotted_nowhere.Shout", folder),
            ("twisted.protocols.wier.Echo", "twisted.protocols has no wier (did you mean wire?)"),
            ("dotted_near.Shuot", "dotted_near has no Shuot (did you mean Shout?)"),
            *((name, "package.module.Name") for name in ("a..b", ".a", "a.", "a.b-c", "a.1")),
            ("dotted_raises.Shout", "dotted_raises.py, line 3: KeyError: 'key'"),
            ("dotted_outer.Shout", "dotted_inner.py, line 2: ZeroDivisionError"),
            ("dotted_syntax.Shout", "dotted_syntax.py, line 2: SyntaxError: invalid syntax"),
            ("dotted_needs.Shout", f"dotted_needs.py, line 1: {needs}"),
            ("dotted_exits.Shout", "line 1: SystemExit: 3"),
            ("dotted_story.X", "ValueError: one: mend it"),
            ("dotted_hook.Wrong", "dotted_hook.py, line 3: TypeError: "),
        ):
            refused = str(self.assertRaises(ImportFailed, importName, name))
            self.assertIn(problem, refused)
            self.assertNotIn("\n", refused)

    def test_interrupted(self) -> None:
        """The line that waits is named."""
        standIn(self, dotted_waits="def wait():\n    raise KeyboardInterrupt\n\nwait()")
        refused = str(self.assertRaises(ImportFailed, importName, "dotted_waits.Shout"))
        self.assertIn("interrupted in dotted_waits.py, line 2: put that under if __name", refused)

    def test_runsTheReactor(self) -> None:
        """It is stopped as it starts, and the line is named; else it stays as it was."""
        reactor = _Reactor()
        self.patch(sys, "modules", {**sys.modules, "twisted.internet.reactor": reactor})
        run = "import sys\n\nsys.modules['twisted.internet.reactor'].started()()"
        react = "from twisted.internet.task import react\n\n\nreact(lambda: None)"
        standIn(self, dotted_runs=run, dotted_reacts=react, dotted_fine="class Shout: ...")
        for name, line in (("runs", 3), ("reacts", 4)):
            problem = self.assertRaises(ImportFailed, importName, f"dotted_{name}.Shout")
            self.assertEqual(
                str(problem),
                f"dotted_{name}.py, line {line} runs the reactor while dotted_{name} is imported:"
                " put that under if __name__ == '__main__'",
            )
        self.assertEqual((reactor.stops, reactor.triggers), (1, []))
        importName("dotted_fine.Shout")
        self.assertEqual(reactor.triggers, [])

    def test_otherForms(self) -> None:
        """What is typed in another form, or has the name of another module, is recognized."""
        standIn(self, dotted_form="x = 1\nclass Shout: pass", json="class Shout: pass")
        for typed in ("dotted_form", "dotted_form.py", "dotted_form:Shout", "./dotted_form.Shout"):
            self.assertEqual(meantName(typed), "dotted_form.Shout")
        self.assertEqual(meantName("dotted_form.Loud()"), "dotted_form.Loud")
        for typed in ("dotted_form.Shout", "dotted_nowhere", "a b", "dotted_form.a.b"):
            self.assertEqual(meantName(typed), "")
        for name, says in (
            ("dotted_form.py", "dotted_form.py is no class: write dotted_form.Shout"),
            ("dotted_form.Shout()", "is no name: write dotted_form.Shout"),
            ("json.Shout", "json is another module, with that name already: rename json.py"),
        ):
            self.assertIn(says, str(self.assertRaises(ImportFailed, importName, name)))


class _Reactor:
    """What importing and the modules of these tests use of a reactor."""

    running = False
    stops = 0

    def __init__(self) -> None:
        self.triggers: list[Callable[[], None]] = []

    def addSystemEventTrigger(self, phase: str, event: str, call: Callable[[], None]) -> Any:
        self.triggers.append(call)
        return call

    def removeSystemEventTrigger(self, trigger: Any) -> None:
        self.triggers.remove(trigger)

    def started(self) -> Callable[[], None]:
        """Return what a start calls, so that the module itself calls it."""
        return self.triggers.pop()

    def stop(self) -> None:
        self.stops += 1


class DescribeTests(SynchronousTestCase):
    def test_otherFile(self) -> None:
        try:
            os.path.join(3)  # type: ignore[call-overload]
        except TypeError as e:
            self.assertIn(
                "posixpath.py, line",
                describeImportError(e).replace("<frozen posixpath>", "posixpath.py"),
            )

    def test_notRaised(self) -> None:
        self.assertEqual(describeImportError(ValueError("x")), "ValueError: x")
        self.assertEqual(describeImportError(ValueError()), "ValueError")
