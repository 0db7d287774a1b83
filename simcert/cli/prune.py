"""``simcert prune``: compress a network."""

import dataclasses
import inspect
import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console

import pruners
from simcert.atomic import resolved, write_atomically
from simcert.cli.verify import verify

_FILE = click.Path(dir_okay=False, path_type=Path)
# Options of verify that mean something else here, or that two files of one network do not need.
_OWN = {"form", "output", "seed", "networks"} | {
    f"{which}_{what}" for which in ("original", "compressed") for what in ("maps", "outputs")
}
VERIFICATION = [
    option
    for option in verify.params
    if isinstance(option, click.Option) and option.name not in _OWN
]
"""The options of ``simcert verify`` that ``--verify`` takes."""


def groups(
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
@click.option("-o", "--output", required=True, type=_FILE, help="Compressed ONNX file.")
@click.option("--method", required=True, type=click.Choice(list(pruners.METHODS)))
@click.option(
    "--sparsity", type=float, metavar="S", help="Share of the weights to prune, 0 ≤ S < 1."
)
@click.option("--keep", type=float, metavar="R", help="agf: share of the channels to keep.")
@click.option(
    "--scope",
    type=click.Choice(["row", "layer", "global"]),
    help="magnitude: what the share is taken of (default: layer; global with convolutions).",
)
@click.option(
    "--nm", callback=groups, metavar="N:M", help="Keep N of every M consecutive weights of a row."
)
@click.option(
    "--propagate",
    type=click.Choice(["pruned", "dense"]),
    help="wanda: where its activations come from (default: the layers that are pruned already).",
)
@click.option("--leak", type=float, help="slamp: leak of the membranes, 0 to 1 (default 1).")
@click.option(
    "--loss",
    type=click.Choice(["labels", "prediction", "norm"]),
    help="agf: what the gradient is of.",
)
@click.option(
    "--batches",
    type=click.IntRange(min=1),
    metavar="T",
    help="agf: into how many batches the calibration data is split (default 1).",
)
@click.option("--bits", type=int, metavar="B", help="Bits of a weight, 2 to 8 (default 8).")
@click.option(
    "--per",
    type=click.Choice(["channel", "tensor"]),
    help="One scale for each output channel (default) or for each tensor.",
)
@click.option(
    "--format",
    type=click.Choice(["fake", "qdq-weight", "qdq"]),
    help="Rounded weights as floats (fake, default), as int8 with a scale, or int8 throughout.",
)
@click.option(
    "--calibration", metavar="DATA", help="Inputs, .npy or .npz (FILE:NAME chooses an array)."
)
@click.option("--labels", metavar="DATA", help="Classes or outputs of the calibration inputs.")
@click.option(
    "--finetune",
    type=click.IntRange(min=1),
    metavar="EPOCHS",
    help="Train what is left on the calibration data and labels.",
)
@click.option("--rate", type=float, help="Learning rate of --finetune (default 0.001).")
@click.option("--exclude", multiple=True, metavar="NODE", help="Leave this node; repeatable.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Of training and --verify.")
@click.option("--report", type=_FILE, help="Write what became smaller as JSON.")
@click.option("--verify", "check", is_flag=True, help="Verify the result; see below.")
@click.pass_context
def prune(ctx: click.Context, /, original: Path, output: Path, **options: Any) -> None:
    """Write a compressed copy of the network ORIGINAL and say what became smaller.

    magnitude, wanda, lamp and slamp set weights to zero: by size (--scope or --nm), by size times
    activation (--calibration; --nm, --propagate), by size relative to the layer, and the same for
    spiking networks over time (--calibration, --leak; a reconstruction). agf removes whole
    channels (--calibration; --keep, --labels, --loss). quantize rounds weights to 2 to 8 bits
    (--bits, --per, --format); float16 rounds every weight and bias to half precision. Compressed
    files can be compressed again: prune, then quantise. What was done is recorded in the metadata.
    --sparsity 0 copies the file byte for byte.

    With --verify the result is verified at once, with the options of `simcert verify`; they, and
    its exit status, are those of that command.
    """
    claim = {option.name: options.pop(str(option.name)) for option in VERIFICATION}
    check, report, seed = options.pop("check"), options.pop("report"), options.pop("seed")
    given = sorted(str(name) for name in claim if _was_given(ctx, str(name)))
    if given and not check:
        raise click.UsageError(f"--{given[0].replace('_', '-')} needs --verify")
    if resolved(output) == resolved(original):
        raise click.UsageError("the compressed file would replace the original")
    stages = compressed(original, seed=seed, **options)
    stages[-1].save(output)
    for stage in stages:
        if len(stages) > 1:
            Console().print(f"[bold]{stage.report.method}[/bold]")
        Console().print(stage.report)
    if report is not None:
        accounts = [dataclasses.asdict(stage.report) for stage in stages]
        write_atomically(report, json.dumps(accounts, indent=2).encode())
    if check:
        click.echo()
        ctx.invoke(verify, original=original, compressed=output, seed=seed, **claim)


prune.params += VERIFICATION


def compressed(
    original: Path,
    *,
    method: str,
    finetune: int | None = None,
    rate: float | None = None,
    labels: str | None = None,
    seed: int = 0,
    **options: Any,
) -> list[pruners.Compressed]:
    """Run a method, and the training that goes with it.

    Raises:
        click.UsageError: an option that the method does not take.
        SimcertError: see the method.
    """
    options = {name: value for name, value in options.items() if value not in (None, ())}
    calibration = options.get("calibration")
    if finetune is not None and (calibration is None or labels is None):
        raise click.UsageError("--finetune needs --calibration and --labels")
    if rate is not None and finetune is None:
        raise click.UsageError("--rate belongs to --finetune")
    if labels is not None and method == "agf":
        options["labels"] = labels
    elif labels is not None and finetune is None:
        raise click.UsageError(f"--labels does not belong to --method {method}")
    known = inspect.signature(pruners.METHODS[method]).parameters
    unused = "calibration" not in known or (method == "quantize" and options.get("format") != "qdq")
    if finetune is not None and unused:
        del options["calibration"]
    if foreign := ", ".join(f"--{name}" for name in options if name not in known):
        raise click.UsageError(f"{foreign} does not belong to --method {method}")
    needed = [
        name
        for name, parameter in known.items()
        if parameter.default is parameter.empty and name != "model" and name not in options
    ]
    if needed:
        raise click.UsageError(f"--method {method} needs --{needed[0]}")
    training = None
    if finetune is not None and calibration is not None and labels is not None:
        given = {} if rate is None else {"rate": rate}
        training = pruners.Training(calibration, labels, finetune, seed=seed, **given)
    return pruners.compress(original, method, options, training)


def _was_given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
