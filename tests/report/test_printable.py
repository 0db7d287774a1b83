import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcert.report.printable import printable


@given(st.text(st.characters(codec=None)))
def test_nothing_unprintable_is_left(text: str) -> None:
    assert printable(text).isprintable()


@pytest.mark.parametrize(
    ("hostile", "harmless"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b2J", r"\x9b2J"),
        ("line\n::error::owned", r"line\n::error::owned"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("\udc80", r"\udc80"),
        ("ε ≤ 0.05 m/s, 高度", "ε ≤ 0.05 m/s, 高度"),
    ],
)
def test_escapes(hostile: str, harmless: str) -> None:
    assert printable(hostile) == harmless
