"""The little language of the command line: ``name`` or ``name:key=value,key=value``."""

from collections.abc import Iterable, Mapping

from simcert.errors import ClaimError


def split(text: str, kind: str, known: Iterable[str]) -> tuple[str, dict[str, str]]:
    """The name and the options of ``text``.

    Args:
        text: for example ``"truncated-normal:scale=0.3"``.
        kind: what is named, for the error message.
        known: the names there are.

    Raises:
        ClaimError: an unknown name, or an option that is not ``key=value`` or comes twice.
    """
    name, colon, rest = text.partition(":")
    if name not in (names := sorted(known)):
        raise ClaimError(f"unknown {kind} {name!r}; known: {', '.join(names)}")
    options: dict[str, str] = {}
    for part in rest.split(",") if colon else ():
        key, equals, value = part.partition("=")
        if not (key and equals and value) or key in options:
            raise ClaimError(
                f"{kind} {text!r}: options are written name:key=value,key=value, each key once"
            )
        options[key] = value
    return name, options


def number(options: Mapping[str, str], key: str, default: float | None, what: str) -> float:
    """The number under ``key``; without a default the key must be there.

    Raises:
        ClaimError: a missing key, or a value that is not a number.
    """
    if key not in options:
        if default is None:
            raise ClaimError(f"{what} needs a value: write {what}:{key}=VALUE")
        return default
    try:
        return float(options[key])
    except ValueError:
        raise ClaimError(f"{what}: {key}={options[key]!r} is not a number") from None


def only(options: Mapping[str, str], allowed: Iterable[str], what: str) -> None:
    """Refuse options other than ``allowed``.

    Raises:
        ClaimError: naming the first other option and those that are allowed.
    """
    allowed = sorted(allowed)
    for key in options:
        if key not in allowed:
            raise ClaimError(f"{what} has no option {key!r}; it has {', '.join(allowed) or 'none'}")
