"""What was tried, counted."""

from collections import Counter


class Figures(Counter[str]):
    """How many networks, boxes, points, verdicts; keys are the words that are printed."""
