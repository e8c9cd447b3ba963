"""Every example says how it is run, is short, is listed, and has a test of its own."""

from __future__ import annotations

import ast
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.terminal_input import ALL, EXAMPLES, commands, docstring, serves

HERE = Path(__file__).parent


class ExamplesTests(SynchronousTestCase):
    def test_everyExampleHasATestThatTypesItsCommands(self) -> None:
        for name in ALL:
            module = HERE / f"test_{name}.py"
            self.assertTrue(module.exists(), f"examples/{name}.py has no {module.name}")
            self.assertIn(name, _typed(module.read_text()), f"{module.name} does not type it")

    def test_everyTestBelongsToAnExample(self) -> None:
        tested = {path.stem.removeprefix("test_") for path in HERE.glob("test_*.py")}
        folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
        self.assertEqual(sorted(tested - {"examples"} - folders), ALL)

    def test_everyExampleBeginsWithHowItIsRun(self) -> None:
        for name in ALL:
            says = commands(name)
            self.assertTrue(any(serves(each) for each in says), f"{name}: nothing serves")
            self.assertTrue(any(f"{name}." in each for each in says), f"{name} is not run")
            self.assertTrue(docstring(name).partition("\n")[0].endswith("."), name)

    def test_everyExampleIsShort(self) -> None:
        for name in ALL:
            lines = (EXAMPLES / f"{name}.py").read_text().splitlines()
            self.assertLessEqual(len(lines), 70, f"{name}.py is no short program")

    def test_theReadmeHasALineForEachExample(self) -> None:
        lines = (EXAMPLES / "README.rst").read_text().splitlines()
        listed = [line.split()[1].strip("`") for line in lines if line.startswith("- `")]
        self.assertEqual(sorted(listed), [f"{name}.py" for name in ALL])


def _typed(source: str) -> set[object]:
    """Find the examples whose commands a test module types: self.typed("name", ...)."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr == "typed"
        and isinstance(call.args[0], ast.Constant)
    }
