"""docs/explanation/reliability.rst: what is tried, how, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from soak import table
from soak.figures import Row

_INTRODUCTION = """\
What it stands
==============

A lab that is left alone meets peers that stop reading, that never finish, that come by thousands,
that break off, and that say anything at all. ``make soak`` is all of that against a real
``twistd -n tcplab`` on this machine, started as you would start it, and seen from outside: over its
sockets, in ``/proc``, in its log. For each case the table says what was done, what is asked, and
what was measured. After each case the server must be as it was before: no traceback in its log, not
a descriptor and not a connection more, and its memory (RSS) within the bound that stands there.

The commands
------------

::

    $ make soak                           # about twenty minutes; this page comes from it
    $ make soak ARGS='--rounds 3'         # an hour: the worst of three
    $ make soak LONG=1                    # hours: every amount of the list, the worst of three
    $ make soak QUICK=1                   # some minutes: that it works, not what it stands
    $ make soak ARGS='--cases 1,4,26'     # some cases

All but a full run writes to ``build/soak.rst``, so that it does not replace this page. A case that
needs what is not there (root, ``nft``, ``strace``, ``ss``) is skipped, and its row says so. Traffic
stays on loopback and in network namespaces that the soak makes for itself, and that are gone when
it is, whatever happens. Only processes are ended that it has started. The exit status is 1 when a
figure was not met.

What is left out
----------------

The numbers are those of a longer list, of which some lines ask for what the lab does not have: a
page of metrics (in 13), HTTP (in 17), a control port (in 36). Of these the table has the rest.
A peer that says a byte now and then is not idle: in 17 only who is silent is ended by
``--idle-timeout``.

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
