"""
The program of a worker, at the place where a lab of the old layout looks for it.

**Limit:** a running lab of the old layout is replaced by one of the new once, by SIGHUP.
"""

from __future__ import annotations

import sys

from tcplab.workers.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
