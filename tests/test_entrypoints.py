"""Tests for `tcplab.entrypoints`."""

from __future__ import annotations

import sys

from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.behaviours import Behaviour
from tcplab.config.behaviourspec import parseSpec
from tcplab.config.errors import SettingsError
from tcplab.entrypoints import BEHAVIOURS, FAULTS, Registered, clashes, registered
from tcplab.importing import ImportFailed
from tests.support.user_modules import install

SHOUT = "from tcplab import Conversation\nclass Shout(Conversation): pass\n"


class RegisteredTests(SynchronousTestCase):
    """What packages register."""

    def test_none(self) -> None:
        """Nothing is read where no package registers a name, or a folder is not there."""
        sys.modules.pop("importlib.metadata", None)
        sys.path.insert(0, "/not/there")
        self.addCleanup(sys.path.remove, "/not/there")
        self.assertEqual(registered(BEHAVIOURS), {})
        self.assertFalse("importlib.metadata" in sys.modules)

    def test_found(self) -> None:
        """By group and name, without an import; loaded on request."""
        install(self, {BEHAVIOURS: "shout = ep_found:Shout\naha = ep_found:No"}, ep_found=SHOUT)
        found = registered(BEHAVIOURS)
        self.assertEqual(list(found), ["aha", "shout"])
        self.assertEqual(found["shout"], Registered("shout", "ep_found:Shout", "my-package"))
        self.assertEqual(registered(FAULTS), {})
        self.assertFalse("ep_found" in sys.modules)
        self.assertIs(found["shout"].load(), sys.modules["ep_found"].Shout)

    def test_broken(self) -> None:
        """One line names the package; only what names it is refused."""
        entries = {BEHAVIOURS: "ok = ep_ok:Shout\nbad = ep_bad:Shout\nno = ep_ok:Nothing"}
        install(self, entries, ep_ok=SHOUT, ep_bad="\n1 / 0")
        for name, problem in (
            ("bad", "ep_bad.py, line 2: ZeroDivisionError: division by zero: mend it"),
            ("no", "AttributeError: module 'ep_ok' has no attribute 'Nothing'"),
        ):
            error = self.assertRaises(ImportFailed, registered(BEHAVIOURS)[name].load)
            self.assertIn(f"{name}, which my-package registers as ep_", str(error))
            self.assertIn(problem, str(error))
        Behaviour(parseSpec("ok,greeting=hi")).factory()
        self.assertRaises(SettingsError, Behaviour, parseSpec("bad"))
        error = self.assertRaises(SettingsError, Behaviour, parseSpec("okk"))
        self.assertIn("did you mean ok?", str(error))

    def test_clashes(self) -> None:
        """A name that is taken is named once."""
        install(self, {BEHAVIOURS: "echo = ep_x:Echo\nshout = ep_x:Shout"})
        self.assertEqual(
            clashes(),
            [
                "my-package registers echo in tcplab.behaviours: tcplab has that name already,"
                " and its echo is used"
            ],
        )
