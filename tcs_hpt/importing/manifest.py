"""Writes a draft as a commented `task.toml`. Lines that are guesses end in `# check`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from tcs_hpt.catalog import MANIFEST
from tcs_hpt.errors import UserError
from tcs_hpt.importing import run_with
from tcs_hpt.importing.draft import LAUNCHER, Draft
from tcs_hpt.importing.found import Route
from tcs_hpt.importing.ranges import Proposal
from tcs_hpt.spec import CategoricalParameter

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_WIDTH = 100


def write(draft: Draft, *, force: bool = False) -> tuple[Path, ...]:
    """Write the manifest beside the script, and the launcher where it is needed; the files that were written.

    Raises:
        UserError: There is a manifest already and `force` is not given, or the folder cannot be written.
    """
    folder = draft.script.folder
    refuse_existing(folder, draft.script.name, force=force)
    files = {folder / MANIFEST: text(draft)}
    if draft.needs_launcher:
        files[folder / LAUNCHER] = Path(run_with.__file__).read_text(encoding="utf-8")
    for path, content in files.items():
        new = path.with_name(f".{path.name}.new")
        try:
            new.write_text(content, encoding="utf-8")
            os.replace(new, path)
        except OSError as error:
            raise UserError(
                f"{path} cannot be written: {error.strerror}", hint="Check the permissions of the folder."
            ) from error
    return tuple(files)


def refuse_existing(folder: Path, script: str, *, force: bool) -> None:
    """Raise when there is a manifest that may not be overwritten.

    Raises:
        UserError: There is one.
    """
    if not force and (folder / MANIFEST).exists():
        raise UserError(
            f"there is a {MANIFEST} beside {script} already, and it may hold your changes",
            hint=f"Edit it, move it away, or write it anew with `tcs-hpt init {script} --force`.",
        )


def text(draft: Draft) -> str:
    """The manifest."""
    return "\n".join(_lines(draft)) + "\n"


def command(draft: Draft) -> list[str]:
    """The script's command line with placeholders."""
    script = draft.script
    first = [word for word in draft.prefix if not word.startswith("-")]
    own = [*first, *_arguments(draft), *(word for word in draft.prefix if word not in first)]
    for proposal in draft.proposals:
        route, name = proposal.found.route, proposal.found.name
        if route.way == "flag":
            own += [route.key, f"{{{name}}}"]
        elif route.way == "toggle":
            own.append(_switch(route, name))
        elif route.way == "override":
            own.append(f"{route.key}={{{name}}}")
    if draft.seed is not None and draft.seed.route.way == "flag":
        own += [draft.seed.route.key, "{seed}"]
    elif draft.seed is not None and draft.seed.route.way == "override":
        own.append(f"{draft.seed.route.key}={{seed}}")
    if draft.config is not None and draft.config.flag:
        own += [draft.config.flag, "{config}"]
    if script.kind == "shell":
        return ["bash", script.name, *own]
    if not draft.needs_launcher:
        return ["{python}", script.name, *own]
    settings = [
        f"{p.found.route.key}={{{p.found.name}}}" for p in draft.proposals if p.found.route.way == "setting"
    ]
    if draft.config is not None and not draft.config.flag and not draft.config.argument:
        settings.append(f'"{draft.config.literal}"={{config}}')
    return ["{python}", LAUNCHER, script.name, *settings, *(["--", *own] if own else [])]


def _switch(route: Route, name: str) -> str:
    """A pair of flags by the one that is meant; a lone one by whether it is given."""
    if route.off:
        return f"{{{name}}}"
    return f"{{{name}?{route.key}}}" if route.gives else f"{{{name}?:{route.key}}}"


def _arguments(draft: Draft) -> list[str]:
    """What the user gives the script, with the config file replaced by the trial's."""
    config = draft.config
    if config is None or not config.argument:
        return list(draft.arguments)
    return ["{config}" if a == config.literal else a for a in draft.arguments]


def _lines(draft: Draft) -> Iterator[str]:
    script = draft.script
    yield f"# Written by `tcs-hpt init {script.name}`, which read the script and did not run it."
    yield "# Lines that end in `# check` are guesses; the others were found in the script or are usual for what they name."
    yield ""
    yield "schema = 1"
    yield f"name = {toml(draft.name)}"
    if draft.title:
        yield f"title = {toml(draft.title)}"
    hint = (
        ""
        if draft.description and len(draft.description) > 60
        else "  # what the model and the data are; travels into every prompt"
    )
    described = " ".join(p for p in (draft.description, draft.priorities) if p)
    yield f"description = {toml(described)}{hint}"
    yield _list("command", command(draft))
    if draft.needs_launcher:
        yield f"# {LAUNCHER} sets what stands in the code of {script.name}; the script itself stays as it is."
    yield f'run_in = "{draft.run_in}"  # {draft.why_there}'
    yield from _ways(draft)
    yield from _measured(draft)
    for proposal in draft.proposals:
        yield from _parameter(proposal)
    yield ""
    yield "[limits]"
    yield "# trial_seconds = 3600  # ends a trial that hangs; a few times what one takes"
    if draft.memory_mb is not None:
        yield f"memory_mb = {draft.memory_mb}  # of the whole process tree, in MiB"
    yield from _left_out(draft)


def _ways(draft: Draft) -> Iterator[str]:
    variables = {
        p.found.route.key: f"{{{p.found.name}}}" for p in draft.proposals if p.found.route.way == "env"
    }
    if draft.seed is not None and draft.seed.route.way == "env":
        variables[draft.seed.route.key] = "{seed}"
    if draft.interpreter:
        variables[draft.interpreter] = "{python}"
    if variables:
        yield ""
        yield "[env]"
        for name, value in variables.items():
            yield f"{name} = {toml(value)}"
    config = draft.config
    if config is None:
        return
    yield ""
    yield "[config]  # the trial's copy of the script's config file"
    yield f"template = {toml(config.path.relative_to(draft.script.folder).as_posix())}"
    keys = {p.found.name: p.found.route.key for p in draft.proposals if p.found.route.way == "config"}
    if draft.seed is not None and draft.seed.route.way == "config":
        keys["seed"] = draft.seed.route.key
    keys = {name: key for name, key in keys.items() if name != key or name == "seed"}
    if keys:
        yield ""
        yield "[config.keys]"
        for name, key in keys.items():
            yield f"{toml_key(name)} = {toml(key)}"


def _measured(draft: Draft) -> Iterator[str]:
    chosen = draft.measured
    metric = chosen.metric
    yield ""
    yield "[objective]"
    doubt = f"  # check: {'; '.join(chosen.doubts)}" if chosen.doubts else ""
    yield f"metric = {toml(metric.name)}{doubt}"
    yield f"direction = {toml(chosen.direction)}"
    rest = [m.script_name for m in draft.metrics if m.script_name != metric.script_name]
    if rest:
        yield f"# also written by the script: {', '.join(dict.fromkeys(rest))}"
    place = metric.place
    if place.format == "report":
        return
    yield ""
    yield f"[metrics]  # {_line_of(draft)}"
    yield f"source = {toml(place.source)}"
    yield f"format = {toml(place.format)}"
    if place.format == "pattern":
        patterns = [chosen.headline, *(m.pattern for m in (metric, *chosen.others))]
        yield _list("patterns", [p for p in dict.fromkeys(patterns) if p], literal=True)
    if chosen.score == "best":
        yield 'score = "best"  # the script itself reports its best epoch'
    names = {m.name: m.written_name for m in (metric, *chosen.others) if m.written_name}
    if names and place.format != "pattern":
        yield ""
        yield "[metrics.names]  # our name = the script's"
        for name, written in names.items():
            yield f"{toml_key(name)} = {toml(written)}"


def _line_of(draft: Draft) -> str:
    line = draft.measured.metric.line
    return (
        f"from line {line} of {draft.script.name}"
        if line and draft.script.kind == "python"
        else "as the script writes it"
    )


def _parameter(proposal: Proposal) -> Iterator[str]:
    found, spec = proposal.found, proposal.spec
    where = f"{found.route}, line {found.line}" if found.line else str(found.route)
    yield ""
    yield f"[params.{toml_key(found.name)}]  # {where}; {proposal.source}"
    yield f"type = {toml(spec.type)}"
    doubt = f"  # check: {proposal.check}" if proposal.check else ""
    if isinstance(spec, CategoricalParameter):
        yield f"choices = {toml(list(spec.choices))}{doubt}"
    else:
        yield f"low = {toml(spec.low)}{doubt}"
        yield f"high = {toml(spec.high)}"
        if spec.log:
            yield "log = true"
    if spec.default is not None:
        yield f"default = {toml(spec.default)}"
    if found.help:
        yield f"description = {toml(' '.join(found.help.split())[:200])}"


def _left_out(draft: Draft) -> Iterator[str]:
    if not draft.left_out:
        return
    yield ""
    yield "# Not tuned:"
    width = max(len(o.name) for o in draft.left_out)
    for item in draft.left_out:
        value = "" if item.default is None else f" = {_short(item.default)}"
        reason = item.reason
        if draft.seed is not None and item.name == draft.seed.name:
            reason = "given the seed of each trial"
        elif (
            draft.config is not None and draft.config.flag and item.place.startswith(f"{draft.config.flag},")
        ):
            reason = "given the trial's copy of the file"
        yield f"#   {item.name:<{width}}{value}  ({item.place}: {reason})"


def _short(value: object) -> str:
    shown = " ".join(str(value).split())
    return shown if len(shown) <= 40 else f"{shown[:37]}..."


def _list(key: str, items: list[str], *, literal: bool = False) -> str:
    texts = [_literal(i) if literal else toml(i) for i in items]
    one = f"{key} = [{', '.join(texts)}]"
    if len(one) <= _WIDTH or len(texts) == 1:
        return one
    lines = [""]
    for place, item in enumerate(texts):
        # A flag stays beside its value.
        glued = place and items[place - 1].startswith("--") and items[place].startswith("{") and not literal
        if lines[-1] and (literal or (len(lines[-1]) + len(item) > _WIDTH - 6 and not glued)):
            lines.append("")
        lines[-1] += f"{' ' if lines[-1] else ''}{item},"
    body = "\n".join(f"    {line}" for line in lines)
    return f"{key} = [\n{body}\n]"


def _literal(value: str) -> str:
    """A pattern in single quotes, where a backslash stays one."""
    return f"'{value}'" if "'" not in value and value.isprintable() else _tripled(value)


def _tripled(value: str) -> str:
    plain = "'''" not in value and value.isprintable() and not value.endswith("'")
    return f"'''{value}'''" if plain else toml(value)


def toml(value: object) -> str:
    """A value as TOML has it: numbers with all their digits, texts in quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        shown = repr(value)
        return shown.replace("e-0", "e-").replace("e+", "e")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_key(name: str) -> str:
    """A name as a key."""
    return name if _BARE.fullmatch(name) else toml(name)
