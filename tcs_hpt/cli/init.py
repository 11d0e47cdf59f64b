"""`tcs-hpt init SCRIPT`: a task from a training script that stays as it is."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tcs_hpt.catalog import load_task
from tcs_hpt.cli._shared import open_model
from tcs_hpt.cli.options import ModelOption
from tcs_hpt.errors import ModelError, UserError
from tcs_hpt.report.words import count
from tcs_hpt.space import SearchSpace, format_value
from tcs_hpt.spec import CategoricalParameter, Direction
from tcs_hpt.summary import scale_text

if TYPE_CHECKING:
    from tcs_hpt.importing.describe import Description
    from tcs_hpt.importing.draft import Draft
    from tcs_hpt.importing.metric_found import MetricFound
    from tcs_hpt.importing.ranges import Proposal
    from tcs_hpt.importing.script import Script

_MARK = "check"


def init(
    script: Annotated[Path, typer.Argument(help="The training script, Python or shell.", show_default=False)],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[-- ARGS]...",
            help="After `--`: what the script is to be given, as you type it.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing; mark guesses with `# check`.")
    ] = False,
    describe: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="Model, data and goal in your words; a local model reads it.",
            show_default=False,
        ),
    ] = "",
    metric: Annotated[str, typer.Option(metavar="NAME", help="What to tune on.", show_default=False)] = "",
    direction: Annotated[
        str, typer.Option(metavar="maximize|minimize", help="Which way is better.", show_default=False)
    ] = "",
    model: ModelOption = "auto",
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing task.toml.")] = False,
) -> None:
    """Read a training script, without running it, and write the task.toml that tunes it."""
    from tcs_hpt.importing import draft as drafts
    from tcs_hpt.importing import manifest, measured
    from tcs_hpt.importing.script import open_script

    console = Console(highlight=False)
    way = _direction(direction)
    read = open_script(script)
    manifest.refuse_existing(read.folder, script.name, force=force)
    found = measured.gather(read)
    said = _described(read, describe, found, model, console) if describe.strip() else None
    asking = not yes and at_terminal(console)
    wanted = metric or (said.metric if said is not None else "")
    if asking and not wanted and found:
        wanted, way = _ask_metric(read, found, way)
    draft = drafts.read(
        read,
        found,
        arguments=arguments or (),
        metric=wanted,
        direction=way or (said.direction if said is not None and not metric else None),
        title=said.title if said is not None else "",
        description=said.description if said is not None else "",
        priorities=said.priorities if said is not None else "",
        memory_mb=said.memory_mb if said is not None else None,
    )
    if asking:
        draft = _ask_ranges(draft)
    written = manifest.write(draft, force=force)
    load_task(written[0])  # what init writes has to be sound
    _show(draft, written, console)


def at_terminal(console: Console) -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and console.is_terminal


def _direction(given: str) -> Direction | None:
    if not given:
        return None
    if given not in get_args(Direction):
        raise UserError(
            f"--direction must be maximize or minimize, got {given!r}", hint="Write `--direction maximize`."
        )
    return cast(Direction, given)


# -- the user's words -----------------------------------------------------------------------------------------


def _described(
    read: Script, text: str, found: Sequence[MetricFound], model: str, console: Console
) -> Description:
    from tcs_hpt.importing import describe, words

    try:
        opened, reason = open_model(model, console)
    except (ModelError, UserError) as error:
        said = describe.without_model(text, found, f"no model could read them ({error.message})")
    else:
        console.print(Text(f"model {opened.name} ({reason})", style="dim"))
        try:
            said = describe.ask(opened, text, found, script=read.name, about=words.describe(read))
        finally:
            opened.close()
    table = Table(box=None, pad_edge=False, title="from your words", title_justify="left")
    for column in ("field", "value", "from"):
        table.add_column(column)
    for item in said.fields:
        table.add_row(item.name, Text(item.value), Text(item.source, style="dim"))
    console.print(table)
    for sentence in said.refused:
        console.print(Text(sentence, style="yellow"))
    console.print()
    return said


# -- questions ------------------------------------------------------------------------------------------------


def _ask_metric(
    read: Script, found: Sequence[MetricFound], way: Direction | None
) -> tuple[str, Direction | None]:
    """The metric and its direction; asked only where the best guess leaves a doubt."""
    from tcs_hpt.importing import goals, measured

    guess = measured.choose(found, read, "", way or "maximize")
    name = ""
    if guess.doubts and len(found) > 1:
        names = [m.name for m in found]
        typer.echo(f"The script writes {', '.join(names)}.")
        name = typer.prompt("Which one to improve", default=found[0].name).strip()
    shown = name or guess.metric.name
    if way is None and goals.measure(shown) is None:
        answer = typer.prompt(f"Is a higher {shown} better", default="yes").strip().lower()
        way = "minimize" if answer in ("n", "no") else "maximize"
    return (name if name != found[0].name else ""), way


def _ask_ranges(draft: Draft) -> Draft:
    """The draft with the ranges of guessed parameters as the user wants them."""
    kept = []
    for proposal in draft.proposals:
        if not proposal.check or isinstance(proposal.spec, CategoricalParameter):
            kept.append(proposal)
            continue
        low, high = proposal.spec.low, proposal.spec.high
        while True:
            answer = typer.prompt(
                f"{proposal.found.name} is {proposal.found.default}: try from which value to which (n: leave it alone)",
                default=f"{low:g} {high:g}",
            ).strip()
            if answer.lower() in ("n", "no"):
                break
            changed = _with_range(proposal, answer)
            if changed is not None:
                kept.append(changed)
                break
            typer.echo("Write two numbers with the script's own value between them, e.g. 0.1 10, or n.")
    if not kept:
        raise UserError("nothing is left to tune", hint="Keep at least one parameter.")
    return dataclasses.replace(draft, proposals=tuple(kept))


def _with_range(proposal: Proposal, answer: str) -> Proposal | None:
    """The proposal with the two numbers of an answer as its range; None when they are none."""
    assert not isinstance(proposal.spec, CategoricalParameter)
    try:
        low, high = (float(p) for p in answer.replace(",", " ").split())
        log = proposal.spec.log and low > 0
        raw = proposal.spec.model_dump() | {"low": low, "high": high, "log": log}
        spec = type(proposal.spec).model_validate(raw)
    except ValueError:  # pydantic's is one too
        return None
    return dataclasses.replace(proposal, spec=spec, check="", source="your range")


# -- what was found -------------------------------------------------------------------------------------------


def _show(draft: Draft, written: Sequence[Path], console: Console) -> None:
    space = SearchSpace({p.found.name: p.spec for p in draft.proposals})
    table = Table(box=None, pad_edge=False)
    for column in ("parameter", "default", "range", "reaches the script by", "range from", ""):
        table.add_column(column, no_wrap=column == "parameter")
    for proposal in draft.proposals:
        table.add_row(
            Text(proposal.found.name),
            Text(format_value(proposal.spec.default)),
            Text(scale_text(space, proposal.found.name)),
            Text(str(proposal.found.route)),
            Text(proposal.source, style="dim"),
            Text(_MARK if proposal.check else "", style="yellow"),
        )
    console.print(table)
    chosen = draft.measured
    place = chosen.metric.place
    where = "its own report" if place.format == "report" else f"{place.source} ({place.format})"
    console.print()
    console.print(Text(f"{chosen.direction} {chosen.metric.name}, read from {where}"))
    for doubt in chosen.doubts:
        console.print(Text(f"  {_MARK}: {doubt}", style="yellow"))
    others = ", ".join(m.name for m in chosen.others)
    if others:
        console.print(Text(f"  beside it: {others}", style="dim"))
    left = ", ".join(o.name for o in draft.left_out)
    if left:
        console.print(Text(f"not tuned: {left}", style="dim"))
    console.print()
    names = " and ".join(p.name for p in written)
    more = f"; {count(draft.doubts, 'line')} marked `# check` to look at" if draft.doubts else ""
    console.print(Text(f"wrote {names} in {_near(written[0].parent)}{more}"))
    console.print("next:")
    folder = shlex.quote(_near(written[0].parent))
    console.print(Text(f"  tcs-hpt tasks check {folder}"))
    console.print(Text(f"  tcs-hpt tune {folder}"))


def _near(folder: Path) -> str:
    """A folder as a command line names it from here."""
    here = Path.cwd()
    if folder == here:
        return "."
    return str(folder.relative_to(here)) if folder.is_relative_to(here) else str(folder)
