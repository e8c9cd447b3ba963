"""What people nearly typed."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.errors import suggest


class DidYouMean(SynchronousTestCase):
    def test_a_slip_of_the_finger(self) -> None:
        self.assertEqual(suggest("ehco", ["lab", "echo"]), " (did you mean echo?)")

    def test_case_hyphens_and_underscores_make_no_difference(self) -> None:
        for typed in ("linger-timeout", "LINGERTIMEOUT", "linger_timeout"):
            self.assertEqual(
                suggest(typed, ["framing", "lingerTimeout"]), " (did you mean lingerTimeout?)"
            )

    def test_nothing_near_is_nothing_said(self) -> None:
        self.assertEqual(suggest("zzz", ["lab", "echo"]), "")
        self.assertEqual(suggest("lab", []), "")
