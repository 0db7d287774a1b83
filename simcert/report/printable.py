"""Text from outside (file names, node names, units) made safe to print."""


def printable(text: str) -> str:
    r"""Escapes whatever is not a printable character.

    Control characters (ANSI sequences, newlines), bidirectional overrides, zero-width and
    unassigned characters and lone surrogates become ``\x1b`` or ``\u202e``: what is left cannot
    move the cursor, colour the screen, break a line or reorder it.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )
