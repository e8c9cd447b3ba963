"""docs/explanation/reliability.rst: what is tried, how, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from soak import table
from soak.figures import Row

_INTRODUCTION = """\
What it withstands
==================

At the end of this page you know what was done to a lab, which result was required, and what was
measured.

A lab on a network meets clients that stop reading, never finish a handshake, or connect by the
thousand. Some break off, and some send any bytes at all. ``make soak`` does all of that to a real
``twistd -n tcplab``. It watches the lab from outside: its sockets, ``/proc``, and its log. Each
case of the table has what was done, what was asked, and what was measured.

After each case the lab must be as it was before. Its log has no traceback. It has no more
descriptors and connections than before, and its memory (RSS) is within the bound of the row.

The commands
------------

::

    $ make soak                           # about twenty minutes; this page comes from it
    $ make soak ARGS='--rounds 3'         # an hour: the worst of three
    $ make soak LONG=1                    # hours: every amount of the list, the worst of three
    $ make soak QUICK=1                   # some minutes: that it works, not what it withstands
    $ make soak ARGS='--cases 1,4,26'     # some cases

Only a full run replaces this page. Any other run writes to ``build/soak.rst``. A case that needs
what the machine lacks (root, ``nft``, ``strace``, ``ss``) is skipped, and its row says so.

The soak uses loopback, and network namespaces that it makes and removes. It ends only processes
that it has started. The exit status is 1 if a figure was not met.

What is left out
----------------

The numbers are those of a longer list. Some of its lines need what the lab does not have. These
are a page of metrics (in 13), HTTP (in 17), and a control port (in 36). The table has the rest of
these cases.

A client that sends a byte now and then is not idle. So in 17 ``--idle-timeout`` ends only silent
clients.

The figures
-----------

"""


def page(rows: Sequence[Row], machine: Mapping[str, str | int], notes: Sequence[str]) -> str:
    """
    Return the page.

    :param machine: what `benchmarks.machine.described` says.
    :param notes: sentences that the figures have to be read with.
    """
    where = (
        f"Measured on {machine['cpu']}, {machine['cores']} cores, {machine['kernel']},"
        f" {machine['python']}, Twisted {machine['twisted']}, {machine['date']}."
    )
    parts = [where, f"{table.summary(rows)}.", *notes]
    return _INTRODUCTION + table.rst(rows) + "\n" + "\n".join(map(table.escaped, parts)) + "\n"
