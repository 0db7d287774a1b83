"""How many threads or workers a run may have."""

MOST_THREADS = 1024
"""More are a slip: each takes memory and has nothing to do."""
