"""Tests for `tcplab.config.behaviourspec`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.behaviourspec import BehaviourSpec, SpecError, parseServe, parseSpec


class ParseTests(SynchronousTestCase):
    def test_spec(self) -> None:
        """Escaped separators are part of a value; other escapes are left to its reader."""
        for text, arguments in (
            ("my.Chat", {}),
            ("my.Chat,room=a b, size=3", {"room": "a b", "size": "3"}),
            (r"my.Chat,k=a\,b\@c\=d\n\:", {"k": r"a,b@c=d\n\:"}),
            ("my.Chat,k=a\\\\,j=", {"k": "a\\\\", "j": ""}),
        ):
            spec = parseSpec(text)
            self.assertEqual(spec, BehaviourSpec("my.Chat", tuple(arguments.items()), text))
            self.assertEqual(str(spec), text)

    def test_specMistakes(self) -> None:
        for text, problem in (
            ("echo,framing", "'framing' should read framing=value (write \\, within a value)"),
            ("echo,", "'' should read key=value"),
            ("echo,a=1,a=2", "has a twice: give it once"),
            ("echo,a=b\\", "a value ends in a backslash"),
            ("echo@tcp:80", "to name an endpoint use --serve"),
            ("echo," + "k=," * 30_000, "has 90005 characters: write at most 65536"),
            *((text, "write echo,framing=x") for text in ("echo framing=x", "echo(framing=x)")),
            *((text, "begins with no name") for text in ("", ",a=1", " ", "a b", "a=b")),
        ):
            raised = str(self.assertRaises(SpecError, parseSpec, text))
            self.assertIn(problem, raised)
            self.assertNotIn("\n", raised)

    def test_serve(self) -> None:
        """The first ``@`` that is not escaped divides; the endpoint keeps its own escapes."""
        for text, arguments, endpoint in (
            ("lab@unix:/a@b", {}, "unix:/a@b"),
            (r"lab,greeting=a\@b@tcp:1", {"greeting": "a@b"}, "tcp:1"),
            (r"lab@tcp6:1:interface=\:\:1", {}, r"tcp6:1:interface=\:\:1"),
        ):
            spec, found = parseServe(text)
            self.assertEqual((spec.name, dict(spec.arguments)), ("lab", arguments))
            self.assertEqual(found, endpoint)

    def test_serveMistakes(self) -> None:
        for text, problem in (
            ("tcp:8888", "as in echo@tcp:8888"),
            ("lab@", "as in lab@tcp:8888"),
            ("@tcp:8888", "begins with no name"),
            ("echo@tcp:" + "8" * 70_000, "has 70009 characters: write at most 65536"),
        ):
            self.assertIn(problem, str(self.assertRaises(SpecError, parseServe, text)))

    @settings(deadline=None, derandomize=True)
    @given(st.text(st.sampled_from("ab,=@\\ "), max_size=12))
    def test_anything(self, text: str) -> None:
        """It is a SPEC and an endpoint, which make the text again, or a SpecError."""
        try:
            spec, endpoint = parseServe(text)
        except SpecError:
            return
        self.assertTrue(spec.name and endpoint)
        self.assertEqual(f"{spec}@{endpoint}", text)


class GivenTests(SynchronousTestCase):
    def test_of(self) -> None:
        """A text is parsed; a class and an object have the name of the class."""
        spec = parseSpec("echo,a=b")
        self.assertEqual(BehaviourSpec.of("echo,a=b"), spec)
        self.assertIs(BehaviourSpec.of(spec), spec)
        for served in (GivenTests, self):
            given = BehaviourSpec.of(served)
            self.assertEqual((str(given), given.served), ("GivenTests", served))
        self.assertRaises(SpecError, BehaviourSpec.of, "a b")
