"""
The prose in figures: ``make prose`` prints what to look at on each page.

For each page, help text and package: sentences, their mean length in words, the longest, those of
more than 25 words, and those with a word that the field has another for. ``--long`` prints both.
What the tests refuse is printed below, with its sentence:

- a sentence that begins with "Who", unless it is a question;
- a connection, or one end of it, spoken of as a person: "a client who", "nobody", "the peer says".

Code, drawings and tables of figures are no prose.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.rst_pages import PAGES, ROOT, page

LONGEST = 25

_THINGS = r"(?:client|peer|server|connection|listener|worker|lab|node|newcomer|balancer)s?"
_HUMAN = (
    r"(?:user|reader|author|teacher|student|learner|operator|engineer|developer|people|person)s?"
)

#: What no page has: a connection is a thing.
PERSONS = re.compile(
    r"\b(?:whoever|whom|somebody|nobody|anybody|everybody|someone|anyone|everyone|no one)\b"
    r"|(?<![\w-])who\b(?![^.]*\?)|\bpolite(?:ly)?\b"
    rf"|\b{_THINGS}(?: that| which)? (?:hears?|says?|said|(?:is|are|was|were) told)\b",
    re.I,
)
#: Words that the field has others for: only printed.
WORDS = re.compile(
    r"\b(?:(?:is|are|was|were|be) (?:told|asked for)|newcomers?|manners|dice|rolls? |door|in one go"
    r"|gives? way|is none|our own|stands? (?:a|it)\b|takes? nothing|so many|patience)\b",
    re.I,
)
_OF_HUMANS = re.compile(rf"\b{_HUMAN},? who\b", re.I)


def prose(text: str) -> Iterator[str]:
    """Yield the paragraphs of a page: no code, no drawing, no table."""
    text = re.sub(r"^={2,}(?:  +=+)+\n.*?^={2,}(?:  +=+)+\n(?=\n|\Z)", "", text, flags=re.M | re.S)
    text = re.sub(r"\n(?= *(?:(?:[-*]|\d+\.) |:\w+[^:\n]*: ))", "\n\n", _withoutLiterals(text))
    for block in re.split(r"\n\s*\n", text):
        block = re.sub(r"^([=~^-])\1{2,}$", "", block, flags=re.M)
        if re.match(r"\s*\.\. |\s*[|+]", block):
            continue
        block = re.sub(r"^ *(?:[-*] |\d+\. |:\w+[^:]*: )+", "", block.strip(), flags=re.M)
        if block.strip():
            yield " ".join(block.split())


def _withoutLiterals(text: str) -> str:
    """Leave out what is indented below a double colon or a directive that holds code."""
    kept: list[str] = []
    depth = -1
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if depth >= 0 and (not line.strip() or indent > depth):
            continue
        depth = -1
        kept.append(line)
        starts = re.match(r"\s*(?:[-*] |\* - |- )*", line)
        if re.search(r"::$", line) or re.match(
            r"\s*\.\. (?:code-block|image|toctree|options)", line
        ):
            depth = indent if starts is None or "-" not in starts[0] else starts.end()
    return "\n".join(kept)


def sentences(paragraph: str) -> Iterator[str]:
    """Yield the sentences of a paragraph."""
    plain = re.sub(r":doc:`[^`<]+`", "Page", paragraph)
    plain = re.sub(r":[\w:]+:`([^`<]*?)(?: ?<[^`]*>)?`", r"\1", plain)
    plain = re.sub(r"`([^`<]+?) ?<[^`]*>`_", r"\1", plain).replace("**", "")
    hidden = re.sub(r"``.+?``", lambda code: code[0].translate(_HIDDEN), plain)
    begin = 0
    for end in re.finditer(_STOP, hidden):
        yield plain[begin : end.end()].strip()
        begin = end.end()
    if plain[begin:].strip():
        yield plain[begin:].strip()


_STOP = r"(?<!e\.g)(?<!i\.e)[.:?!]['\")]*(?=\s+(?:[A-Z*`'\"(\d]|tcplab\b)|$)"
_HIDDEN = str.maketrans(".:?!", "____")


def words(sentence: str) -> int:
    """Count the words; a piece of code is one."""
    return len(re.findall(r"[\w'-]+", re.sub(r"``.+?``", "code", sentence)))


def refused(sentence: str) -> bool:
    """Tell whether the tests refuse a sentence."""
    plain = _OF_HUMANS.sub("", re.sub(r"``.+?``|[\"'].*?[\"'](?!\w)", "code", sentence))
    begins = re.match(r"Who(?:ever)?\b", sentence) and not sentence.endswith("?")
    return bool(begins or PERSONS.search(plain))


def helpTexts() -> dict[str, str]:
    """Return what ``--help`` prints."""
    from tcplab.__main__ import HELP
    from tcplab.client.commandline import HELP as CONNECT
    from tcplab.config.catalogue import behaviourTable, faultTable
    from tcplab.tap import Options

    found = {
        "tcplab --help": HELP,
        "tcplab connect --help": CONNECT,
        "tcplab serve --help": str(Options()),
        "tcplab behaviours": behaviourTable(),
        "tcplab faults": faultTable(),
    }
    return {name: re.sub(r"\n(?= {0,6}[\w-])", "\n\n", text) for name, text in found.items()}


def codeTexts(path: Path) -> Iterator[str]:
    """Yield the docstrings, the comments, and the texts of several words in a module."""
    source = path.read_text("utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.value
    for comment in re.findall(r"(?:^ *# ?[^\n!]*\n)+", source, re.M):
        yield re.sub(r"^ *#:? ?", "", comment, flags=re.M)


def texts() -> Iterator[tuple[str, list[str]]]:
    """Yield each page, help text and package with its sentences."""
    for name in PAGES:
        yield name, [each for block in prose(page(name)) for each in sentences(block)]
    for name, text in helpTexts().items():
        yield name, [each for block in prose(text) for each in sentences(block)]
    for package in sorted({path.parent for path in (ROOT / "tcplab").rglob("*.py")}):
        yield (
            package.relative_to(ROOT).as_posix(),
            [
                each
                for path in sorted(package.glob("*.py"))
                for text in codeTexts(path)
                for block in prose(text)
                for each in sentences(block)
            ],
        )


def main() -> None:
    """Print the figures, the sentences to look at if ``--long`` is given, and what is refused."""
    print(f"{'':44} sentences  mean  longest  above {LONGEST}  old words")
    found = []
    for name, each in texts():
        lengths = [words(sentence) for sentence in each] or [0]
        long = [sentence for sentence in each if words(sentence) > LONGEST]
        old = [sentence for sentence in each if WORDS.search(sentence)]
        mean = sum(lengths) / len(lengths)
        figures = f"{len(each):9} {mean:5.1f} {max(lengths):8} {len(long):9} {len(old):10}"
        print(f"{name:44} {figures}")
        found += [f"{name}: {sentence}" for sentence in each if refused(sentence)]
        if "--long" in sys.argv:
            print(*(f"    {sentence}" for sentence in dict.fromkeys(long + old)), sep="\n")
    print(*found, sep="\n")


if __name__ == "__main__":
    main()
