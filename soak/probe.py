"""A behaviour for the server that is tried: how many objects are there?"""

from __future__ import annotations

import gc

from tcplab.protocols import Conversation


class Objects(Conversation):
    """Say how many objects the garbage collector knows, after it has done its work; hang up."""

    def connectionMade(self) -> None:
        """Count."""
        gc.collect()
        self.write(b"%d" % (len(gc.get_objects()) + gc.get_freeze_count()))
        self.hangUp()
