"""``simcert prune``: compress a network."""

import inspect
from pathlib import Path

import click
from rich.console import Console

import pruners


def _groups(
    ctx: click.Context,  # noqa: ARG001 - click's signature
    param: click.Parameter,  # noqa: ARG001
    value: str | None,
) -> tuple[int, int] | None:
    """Read N:M as two whole numbers."""
    if value is None:
        return None
    kept, _, group = value.partition(":")
    if not (kept.isdecimal() and group.isdecimal()):
        raise click.BadParameter(f"{value!r} is not of the form N:M, for example 2:4")
    return int(kept), int(group)


@click.command("prune")
@click.argument("original", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Compressed ONNX file."
)
@click.option("--method", required=True, type=click.Choice(list(pruners.METHODS)))
@click.option(
    "--sparsity", type=float, metavar="S", help="Share of the weights to prune, 0 ≤ S < 1."
)
@click.option(
    "--scope",
    type=click.Choice(["row", "layer", "global"]),
    help="What the share is taken of: each row, each layer (default), or all layers together.",
)
@click.option(
    "--nm", callback=_groups, metavar="N:M", help="Keep N of every M consecutive weights of a row."
)
@click.option("--bits", type=int, metavar="B", help="Bits of a weight, 2 to 8 (default 8).")
@click.option(
    "--per",
    type=click.Choice(["channel", "tensor"]),
    help="One scale for each output channel (default) or for each tensor.",
)
@click.option(
    "--format",
    type=click.Choice(["fake", "qdq-weight"]),
    help="Store the rounded weights as floats (fake, default) or as int8 with a scale.",
)
@click.option("--exclude", multiple=True, metavar="NODE", help="Leave this node; repeatable.")
@click.option(
    "--seed", type=int, metavar="N", help="Seed of methods that draw; these three draw nothing."
)
def prune(original: Path, output: Path, method: str, **options: object) -> None:
    """Write a compressed copy of the network ORIGINAL and say what became smaller.

    magnitude sets the smallest weights to zero (--sparsity with --scope, or --nm); quantize rounds
    weights to 2 to 8 bits (--bits, --per, --format); float16 rounds every weight and bias to half
    precision. What was done is recorded in the metadata of the compressed file. --sparsity 0
    copies the file byte for byte.
    """
    compress = pruners.METHODS[method]
    known = inspect.signature(compress).parameters
    given = {name: value for name, value in options.items() if value not in (None, ())}
    if "seed" not in known:
        given.pop("seed", None)
    foreign = ", ".join(f"--{name}" for name in given if name not in known)
    if foreign:
        raise click.UsageError(f"{foreign} does not belong to --method {method}")
    compressed = compress(original, **given)
    compressed.save(output)
    Console().print(compressed.report)
