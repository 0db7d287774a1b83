"""Where a long run says how far it is."""

from typing import Protocol


class Progress(Protocol):
    """Told about once a box batch or sample chunk; must be cheap and must not raise.

    Masses are probabilities of the region; ``bound`` is the worst case proved so far (infinite
    before there is one).
    """

    def update(
        self,
        stage: str,
        *,
        proved: float = 0.0,
        undecided: float = 1.0,
        boxes: int = 0,
        bound: float = float("inf"),
        samples: int = 0,
    ) -> None:
        """Reports the current state; ``stage`` is a short phrase such as "searching"."""


class Silent:
    """Reports nothing."""

    def update(
        self,
        stage: str,
        *,
        proved: float = 0.0,
        undecided: float = 1.0,
        boxes: int = 0,
        bound: float = float("inf"),
        samples: int = 0,
    ) -> None:
        """Does nothing."""
