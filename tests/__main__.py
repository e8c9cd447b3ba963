"""Run trial on one tier of the tests: ``python -m tests TIER [option of trial ...]``."""

from __future__ import annotations

import os
import sys

from twisted.scripts import trial

from tests.support.tiers import TIERS, VARIABLE, names


def main(*words: str) -> None:
    """
    Run trial; it ends the interpreter, by its own status.

    :raises SystemExit: there is no such tier.
    """
    tier, options = "".join(words[:1]), words[1:]
    if tier not in TIERS:
        raise SystemExit(f"usage: python -m tests {'|'.join(TIERS)} [--jobs N ...]")
    tests = names(tier)
    os.environ[VARIABLE] = tier  # for the processes that trial starts, not for this one
    sys.argv = ["trial", *options, *tests]
    trial.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
