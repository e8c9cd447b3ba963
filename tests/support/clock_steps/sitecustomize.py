"""
Set the wall clock of a process back an hour; with this folder in ``PYTHONPATH`` Python has it.

It happens once the file exists that ``CLOCK_STEP`` names. Workers have it too.
"""

import os
import time

_real, _file = time.time, os.environ["CLOCK_STEP"]


def _stepped() -> float:
    return _real() - 3600 * os.path.exists(_file)


time.time = _stepped
