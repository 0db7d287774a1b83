"""Renderers of a result: one a file, pure functions from a result to text."""
