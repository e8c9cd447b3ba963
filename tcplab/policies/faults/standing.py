"""The faults that stand, with their names, their counts and their dice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from twisted.logger import Logger

from tcplab.policies.faults.dice import Dice, chosenSeed
from tcplab.policies.faults.doors import DoorFault
from tcplab.policies.faults.spec import FaultError, FaultSpec

log = Logger()


class Standing(NamedTuple):
    """A fault that stands: its name, and what was ordered."""

    name: str
    spec: FaultSpec


class Register:
    """
    Know the faults that stand, and whom they hit.

    :ivar seed: of the dice; ``None``: one is chosen, and logged, as soon as it is needed.
    """

    def __init__(self, seed: int | None) -> None:
        self.seed = seed
        self._specs: dict[str, FaultSpec] = {}
        self._counts: dict[str, int] = {}
        self._numbers: dict[str, int] = {}

    def __iter__(self) -> Iterator[Standing]:
        return iter([Standing(name, spec) for name, spec in self._specs.items()])

    def __len__(self) -> int:
        return len(self._specs)

    def __getitem__(self, name: str) -> FaultSpec:
        return self._specs[name]

    def add(self, spec: FaultSpec) -> str:
        """Take a fault in, and name it."""
        if spec.rolls and self.seed is None:
            self.seed = chosenSeed()
            log.info(
                "faults roll dice: --seed {seed} repeats them", log_system="tcplab", seed=self.seed
            )
        # A name is given once: who removes a fault twice removes nobody else's.
        kind = spec.fault.kind
        number = self._numbers[kind] = self._numbers.get(kind, 0) + 1
        name = kind if number == 1 else f"{kind}-{number}"
        self._specs[name] = spec
        self._counts[name] = 0
        return name

    def remove(self, name: str) -> None:
        """
        Forget a fault.

        :raises FaultError: there is none of this name.
        """
        if name not in self._specs:
            there = ", ".join(self._specs) or "none at all"
            raise FaultError(f"there is no fault named {name!r}; there are: {there}")
        del self._specs[name], self._counts[name]

    def dice(self, *whose: object) -> Dice:
        """Return the dice of a fault, on a listener's connection, in a direction."""
        return Dice(self.seed or 0, *whose)

    # Whom they hit

    def arriving(self, listener: str, number: int) -> list[str]:
        """Count a new connection, and name the faults that hit it."""
        hitting = []
        for name, spec in self._specs.items():
            if spec.listener in (None, listener) and not isinstance(spec.fault, DoorFault):
                self._counts[name] += 1
                if self.hits(name, self._counts[name], listener, number):
                    hitting.append(name)
        return hitting

    def hits(self, name: str, count: int | None, listener: str, number: int) -> bool:
        """Tell whether a fault hits a connection; ``None``: that was there before."""
        selection = self._specs[name].selection
        if not selection.includes(count):
            return False
        if selection.probability in (0.0, 1.0):
            return selection.probability == 1.0
        return self.dice(name, listener, number).fraction("hit") < selection.probability
