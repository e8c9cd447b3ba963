"""The cookbook, and the page on tests of a client: commands, programs and pictures."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from tests.support.pictures import PICTURES
from tests.support.rst_pages import page, programs
from tests.support.subprocess_server import Server, lab, printed, run, scratch
from tests.support.terminal_input import EXAMPLES
from tests.support.tiers import slow

PAGE = page("docs/howto/cookbook.rst") + page("docs/howto/test-your-client.rst")
FOLDER = EXAMPLES / "cookbook"


def recipes() -> dict[str, str]:
    """Return the text beneath each title that has commands."""
    parts = re.split(r"^([A-Z][^\n]+)\n-{4,}$", PAGE, flags=re.MULTILINE)
    both = zip(parts[1::2], parts[2::2], strict=True)
    return {title: text for title, text in both if any(terminals(text))}


def terminals(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command, and what is shown beneath it."""
    for block in re.findall(r"(?:^    .*\n)+", text, re.MULTILINE):
        if block.startswith("    $ "):
            for command, shown in re.findall(r"^    \$ (.*\n)((?:^    [^$].*\n)*)", block, re.M):
                yield command.strip(), re.sub("^    ", "", shown, flags=re.M)


def faults(command: str) -> str:
    """Return the faults of a command, which tell it from the others."""
    return " ".join(re.findall(r"--fault '?([^ ']+)", command))


class Cook:
    """
    Type the commands of one recipe; the ports are the only change.

    :ivar lab: the lab that runs, if any.
    :ivar logged: what those before it have logged.
    """

    def __init__(self, test: SynchronousTestCase) -> None:
        self.folder = scratch(test) / "cookbook"
        shutil.copytree(FOLDER, self.folder)
        self.lab: Server | None = None
        self.logged = ""
        self._behind: Server | None = None
        test.addCleanup(self.stop)

    def type(self, command: str) -> str:
        """Type a command, and return what it has printed; of a server nothing."""
        if "http.server" in command:
            self._behind = Server(command.replace("8000", "0"), self.folder, printed)
        elif command.startswith("tcplab serve"):
            self._serve(command)
        else:
            assert self.lab is not None or "50544" not in command, command
            done = run(command.replace("50544", str(self.port)), folder=self.folder)
            assert done.returncode == 0, f"{command}: {done!r}"
            return done.stdout.decode()
        return ""

    @property
    def port(self) -> int:
        """Where the lab listens."""
        return 0 if self.lab is None else self.lab.port

    def _serve(self, command: str) -> None:
        self.finish()
        if self._behind is not None:
            command = command.replace(":8000", f":{self._behind.port}")
        self.lab = lab(command.replace("--port 50544", ""), self.folder)

    def finish(self) -> None:
        """End the lab, when it has written its log."""
        if self.lab is not None:
            self.lab.stop(2)  # what is connected still is aborted
            self.logged += self.lab.output

    def stop(self) -> None:
        """End all that serves."""
        for each in self.lab, self._behind:
            if each is not None:
                each.kill()


def _plain(text: str) -> str:
    return re.sub(r"\b\d+\.\d+ s$|(?<=seconds=)[\d.]+", "N", text, flags=re.MULTILINE)


class CookbookTests(SynchronousTestCase):
    def test_whatIsAskedForIsThere(self) -> None:
        titles = [each.lower() for each in recipes()]
        for wish in ("retry", "time out", "reset in the middle of an answer", "half-closes"):
            self.assertTrue(any(wish in each for each in titles), wish)

    def test_itShowsTheExamplesAsTheyAre(self) -> None:
        shown = [each.strip() for each in programs(PAGE)]
        there = {path.read_text().strip() for path in FOLDER.glob("*.py")}
        self.assertEqual(len(shown), len(there))
        self.assertEqual(set(shown), there)

    def test_eachPictureIsLookedAt(self) -> None:
        served = [faults(each) for each, _ in terminals(PAGE) if each.startswith("tcplab serve")]
        self.assertEqual(served, list(PICTURES))

    def test_eachProgramIsRun(self) -> None:
        typed = " ".join(command for command, _ in terminals(PAGE))
        for path in FOLDER.glob("*.py"):
            if path.name != "lab.py":  # which the tests of a client import
                self.assertIn(path.stem, typed)


@slow
class RecipeTests(SynchronousTestCase):
    """Each recipe, as it is typed, and what it prints; then its picture, with plain sockets."""

    def cooked(self, title: str) -> None:
        typed = 0
        cook = Cook(self)
        for command, shown in terminals(recipes()[title]):
            printed = cook.type(command)
            typed += not command.startswith("tcplab serve")
            if shown:
                self.assertEqual(_plain(printed), _plain(shown), command)
                self.notFaster(printed, shown)
        self.assertGreater(typed, 0)
        self.logged(cook, title)

    def notFaster(self, printed: str, shown: str) -> None:
        """A machine that is busy may be slower."""
        seconds = r"(\d+\.\d+) s$"
        for one, other in zip(
            re.findall(seconds, printed, re.M), re.findall(seconds, shown, re.M), strict=True
        ):
            self.assertGreaterEqual(float(one), float(other))

    def logged(self, cook: Cook, title: str) -> None:
        """What the recipe says of the log is there."""
        lines = re.findall(r"^    (\[\w+,.*)$", recipes()[title], re.MULTILINE)
        if lines:
            cook.finish()
        for line in lines:
            self.assertIn(_plain(line), _plain(cook.logged))

    def drawn(self, title: str) -> None:
        cook = Cook(self)
        for command, _ in terminals(recipes()[title]):
            if "http.server" in command:
                cook.type(command)
            elif command.startswith("tcplab serve"):
                cook.type(command)
                PICTURES[faults(command)](self, cook.port)


def _add(number: int, title: str) -> None:
    name = "".join(re.findall(r"\w+", title.title()))
    setattr(RecipeTests, f"test_{number:02}_{name}", lambda self: self.cooked(title))
    if "tcplab serve" in recipes()[title]:
        setattr(RecipeTests, f"test_{number:02}_{name}_picture", lambda self: self.drawn(title))


for _number, _title in enumerate(recipes(), 1):
    _add(_number, _title)
