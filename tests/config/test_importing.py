"""Dotted names, and what can be wrong with them."""

from __future__ import annotations

import os
import sys
from types import ModuleType

from twisted.protocols.wire import Echo
from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.errors import SettingsError
from tcplab.config.importing import describeImportError, importName
from tests.support.user_modules import standIn


class ImportDotted(SynchronousTestCase):
    def refused(self, name: str) -> str:
        problem = str(self.assertRaises(SettingsError, importName, name))
        self.assertNotIn("\n", problem)
        return problem

    def test_installed_module(self) -> None:
        self.assertIs(importName("twisted.protocols.wire.Echo"), Echo)

    def test_module_of_the_current_folder(self) -> None:
        folder = standIn(self, dotted_here="class Shout: pass")
        found = importName("dotted_here.Shout")
        self.assertIs(found, sys.modules["dotted_here"].Shout)
        self.assertEqual(sys.path[0], folder)

    def test_name_within_a_class(self) -> None:
        standIn(self, dotted_nested="class A:\n    class B: pass")
        found = importName("dotted_nested.A.B")
        self.assertIs(found, sys.modules["dotted_nested"].A.B)

    def test_no_such_module_says_where_it_was_looked_for(self) -> None:
        folder = standIn(self)
        problem = self.refused("dotted_nowhere.Shout")
        self.assertIn("no module dotted_nowhere", problem)
        self.assertIn(folder, problem)

    def test_no_such_module_in_a_package(self) -> None:
        self.assertIn(
            "twisted.protocols has no wier (did you mean wire?)",
            self.refused("twisted.protocols.wier.Echo"),
        )

    def test_module_that_was_made_by_hand(self) -> None:
        made = ModuleType("dotted_made")
        made.Shout = object()  # type: ignore[attr-defined]
        made.__spec__ = None
        self.patch(sys, "modules", {**sys.modules, "dotted_made": made})
        self.assertIs(importName("dotted_made.Shout"), made.Shout)

    def test_no_such_name_in_the_module(self) -> None:
        standIn(self, dotted_near="class Shout: pass")
        self.assertIn(
            "dotted_near has no Shuot (did you mean Shout?)", self.refused("dotted_near.Shuot")
        )

    def test_no_dotted_name_at_all(self) -> None:
        for name in ("a..b", ".a", "a.", "a.b-c", "a.1"):
            self.assertIn("package.module.Name", self.refused(name))

    def test_module_that_raises_is_told_with_file_and_line(self) -> None:
        standIn(self, dotted_raises="\n\nx = {}['key']\n")
        self.assertIn(
            "dotted_raises.py, line 3: KeyError: 'key'", self.refused("dotted_raises.Shout")
        )

    def test_innermost_frame_is_told(self) -> None:
        standIn(self, dotted_outer="import dotted_inner", dotted_inner="\n1 / 0")
        self.assertIn(
            "dotted_inner.py, line 2: ZeroDivisionError", self.refused("dotted_outer.Shout")
        )

    def test_module_that_is_no_Python_is_told_with_file_and_line(self) -> None:
        standIn(self, dotted_syntax="a = 1\nclass class:\n")
        problem = self.refused("dotted_syntax.Shout")
        self.assertIn("dotted_syntax.py, line 2: SyntaxError: invalid syntax", problem)

    def test_module_that_misses_another_is_told_as_such(self) -> None:
        standIn(self, dotted_needs="import dotted_not_there")
        self.assertIn(
            "dotted_needs.py, line 1: ModuleNotFoundError: No module named 'dotted_not_there'",
            self.refused("dotted_needs.Shout"),
        )

    def test_module_that_exits_is_told(self) -> None:
        standIn(self, dotted_exits="raise SystemExit(3)")
        self.assertIn("line 1: SystemExit: 3", self.refused("dotted_exits.Shout"))

    def test_module_with_a_longer_story_gets_one_line(self) -> None:
        standIn(self, dotted_story="raise ValueError('one\\ntwo')")
        self.assertTrue(self.refused("dotted_story.X").endswith("ValueError: one: mend it"))

    def test_what_we_refuse_is_told_where_it_was_written(self) -> None:
        standIn(
            self,
            dotted_hook="import tcplab.protocols as p\n\n"
            "class Wrong(p.Conversation):\n    async def messageReceived(self, message): ...",
        )
        self.assertRegex(self.refused("dotted_hook.Wrong"), r"dotted_hook\.py, line 3: TypeError: ")


class Located(SynchronousTestCase):
    def test_file_elsewhere_is_told_whole(self) -> None:
        try:
            os.path.join(3)  # type: ignore[call-overload]
        except TypeError as e:
            self.assertIn(
                "posixpath.py, line",
                describeImportError(e).replace("<frozen posixpath>", "posixpath.py"),
            )

    def test_exception_that_was_never_raised_has_no_place(self) -> None:
        self.assertEqual(describeImportError(ValueError("x")), "ValueError: x")
        self.assertEqual(describeImportError(ValueError()), "ValueError")
