"""A script read into everything that its manifest needs to say. Reads files; runs nothing and writes nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tcs_hpt.errors import UserError
from tcs_hpt.importing import measured, ranges, settable, words
from tcs_hpt.importing.found import ConfigFile, Found, LeftOut
from tcs_hpt.importing.measured import Measured
from tcs_hpt.importing.metric_found import MetricFound
from tcs_hpt.importing.ranges import Proposal
from tcs_hpt.importing.script import Script, called, keyword
from tcs_hpt.spec import Direction, Objective

LAUNCHER = "tcs_hpt_run_with.py"
"""The copy of `run_with` beside a script whose hyperparameters stand in its code.

A copy and not the installed module: the script's own environment (`--python`) need not have this package, and a path into this one's would hold
on this machine only.
"""
_DATA_FLAG = re.compile(r"data|dataset|root|corpus|train_file|csv|input", re.IGNORECASE)
_READS = re.compile(
    r"^(read_(csv|parquet|json|excel|feather|pickle|table|hdf)|scan_(csv|parquet)|loadtxt|genfromtxt|imread|load_svmlight_file)$"
)
_WRITES = re.compile(
    r"^(save\w*|dump|to_(csv|parquet|json|pickle|excel)|makedirs|mkdir|CSVLogger|SummaryWriter|write_\w+|TrainingArguments)$"
)
_OUTPUT_NAME = re.compile(
    r"(^|_)(out|output|outputs|outdir|save|log|logs|logdir|ckpt|checkpoint|checkpoints|result|results|export|figure|plot)(_|$)"
)
_GENERIC = frozenset(("train", "main", "run", "script", "fit", "training", "start", "model"))


@dataclass(frozen=True)
class Draft:
    """What the manifest will say."""

    script: Script
    name: str
    title: str
    description: str
    arguments: tuple[str, ...]
    """What the user gives the script."""
    prefix: tuple[str, ...]
    run_in: Literal["trial", "task"]
    why_there: str
    proposals: tuple[Proposal, ...]
    left_out: tuple[LeftOut, ...]
    config: ConfigFile | None
    """None too when nothing that is tuned stands in it."""
    seed: Found | None
    """Where the script takes its seed."""
    interpreter: str
    metrics: tuple[MetricFound, ...]
    """All that were found."""
    measured: Measured
    memory_mb: int | None = None
    priorities: str = ""
    """What the user said matters."""

    @property
    def needs_launcher(self) -> bool:
        """Whether a literal of the code has to be set."""
        by_code = any(p.found.route.way == "setting" for p in self.proposals)
        config = self.config
        return by_code or (config is not None and not config.flag and not config.argument)

    @property
    def doubts(self) -> int:
        """How many lines of the manifest a person should look at."""
        return sum(bool(p.check) for p in self.proposals) + bool(self.measured.doubts)


def read(
    script: Script,
    found_metrics: Sequence[MetricFound],
    *,
    arguments: Sequence[str] = (),
    metric: str = "",
    direction: Direction | None = None,
    title: str = "",
    description: str = "",
    priorities: str = "",
    memory_mb: int | None = None,
) -> Draft:
    """What can be tuned and measured in a script.

    Args:
        script: The script.
        found_metrics: What `measured.gather` found in it.
        arguments: What the user gives the script on its command line.
        metric: What to tune on; empty for the best guess.
        direction: Which way is better; None to go by the metric's name.
        title: For people; the script's own words if empty.
        description: What model and data are; the script's own words if empty.
        priorities: What matters to the user.
        memory_mb: Limit of a trial's memory.

    Raises:
        UserError: It has no parameters or no metric, or needs an argument that is not given.
    """
    sorted_ = settable.gather(script, arguments)
    if arguments and arguments[0] in sorted_.prefix[:1]:
        arguments = arguments[1:]  # the subcommand, which comes first anyway
    chosen = measured.choose(found_metrics, script, metric, direction)
    said = description or words.describe(script)
    proposals, against = ranges.propose(
        sorted_.candidates,
        f"{said} {words.describe(script)}",
        Objective(metric=chosen.metric.name, direction=chosen.direction),
    )
    seen = {f.name: f for f in sorted_.candidates}
    left_out = [
        *sorted_.left_out,
        *(
            LeftOut(n, seen[n].default, settable.place_of(seen[n]), reason)
            for n, reason in against.items()
            if not seen[n].needs_knowledge
        ),
    ]
    if not proposals:
        raise UserError(
            f"no hyperparameter of {script.name} was found: no flag, config file, constant or setting with a number that training depends on",
            hint=_no_parameters(left_out),
        )
    uses_config = sorted_.config is not None and any(p.found.route.way == "config" for p in proposals)
    where, why = _where(script, [*sorted_.candidates, *_plain(sorted_.left_out)], sorted_.config, arguments)
    return Draft(
        script=script,
        name=_name(script),
        title=title or _title(script),
        description=said,
        arguments=tuple(arguments),
        prefix=sorted_.prefix,
        run_in=where,
        why_there=why,
        proposals=proposals,
        left_out=tuple(left_out),
        config=sorted_.config if uses_config else None,
        seed=sorted_.seed,
        interpreter=sorted_.interpreter,
        metrics=tuple(found_metrics),
        measured=chosen,
        memory_mb=memory_mb,
        priorities=priorities,
    )


def _no_parameters(left_out: Sequence[LeftOut]) -> str:
    seen = ", ".join(dict.fromkeys(f"{o.name} ({o.reason})" for o in left_out[:6]))
    advice = "Give it a flag such as `--lr`, or put `LR = 0.01` at its top and use it below"
    return f"{advice}; what was found is not tuned: {seen}." if seen else f"{advice}."


def _plain(left_out: Sequence[LeftOut]) -> list[tuple[str, object]]:
    return [(o.name, o.default) for o in left_out]


def _name(script: Script) -> str:
    stem = script.path.stem
    text = script.folder.name if stem.lower() in _GENERIC else stem
    kept = re.sub(r"[^A-Za-z0-9_.-]+", "_", text).strip("._-")
    return (kept or "my_script")[:64]


def _title(script: Script) -> str:
    first = words.docstring(script).split("\n", 1)[0].strip().rstrip(".")
    return first if 0 < len(first) <= 80 else ""


def _where(
    script: Script,
    values: Sequence[Found | tuple[str, object]],
    config: ConfigFile | None,
    arguments: Sequence[str],
) -> tuple[Literal["trial", "task"], str]:
    """Where the script runs: in the trial's folder, unless it finds things by relative paths."""
    if script.kind == "shell":
        return "task", "a shell script finds its files by relative paths"
    own = {script.name, LAUNCHER, "task.toml"} | (
        {str(config.path.relative_to(script.folder))} if config else set()
    )
    own |= _not_read(script)
    pairs = [(v.name, v.default) if isinstance(v, Found) else v for v in values]
    texts = [(n, v) for n, v in pairs if isinstance(v, str)]
    own |= {v for n, v in texts if _OUTPUT_NAME.search(n)}
    texts += [("", n.value) for n in script.nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    texts += [("", a) for a in arguments]
    for name, text in texts:
        if text in own or not _is_relative(text):
            continue
        if (script.folder / text).exists():
            return "task", f"it reads {text} by a relative path"
        if name and _DATA_FLAG.search(name) and re.search(r"path|dir|root|file|folder", name, re.IGNORECASE):
            return "task", f"its {name} is the relative path {text}"
    for call in script.calls:
        if (read := _read_by(script, call)) and read not in own and _is_relative(read):
            return "task", f"{called(call)} reads {read} by a relative path"
        if script.value(keyword(call, "download")) is True:
            place = script.value(call.args[0] if call.args else keyword(call, "root"))
            if isinstance(place, str) and not Path(place).is_absolute():
                return "task", f"{called(call)} fetches its data to the relative path {place}"
    return "trial", "what it writes stays apart from other trials"


def _not_read(script: Script) -> set[str]:
    """Texts that name no place to read: what the script writes, which may be there from an earlier run, and Hydra's folder."""
    found: set[object] = set()
    for call in script.calls:
        if _WRITES.match(called(call)) or (called(call) == "open" and not _read_by(script, call)):
            found |= {script.value(a) for a in [*call.args, *(k.value for k in call.keywords)]}
        elif called(call) == "main":
            found.add(script.value(keyword(call, "config_path")))  # Hydra looks beside the script
    found |= {v for n, v in script.constants.items() if _OUTPUT_NAME.search(n.lower())}
    return {v for v in found if isinstance(v, str)}


def _read_by(script: Script, call: ast.Call) -> str:
    """The path that a call reads, where it is written down; empty for what does not read."""
    path = script.value(call.args[0]) if call.args else None
    if not isinstance(path, str):
        return ""
    if called(call) == "open":
        mode = script.value(call.args[1] if len(call.args) > 1 else keyword(call, "mode"))
        by_default = len(call.args) < 2 and keyword(call, "mode") is None
        return path if by_default or (isinstance(mode, str) and mode.startswith("r")) else ""
    if _READS.match(called(call)):
        return path
    # `load` reads a file where its argument looks like one: `np.load("x.npy")`, but not `evaluate.load("accuracy")`.
    return (
        path if called(call) in ("load", "ImageFolder", "load_from_disk") and re.search(r"[./]", path) else ""
    )


def _is_relative(text: str) -> bool:
    return (
        0 < len(text) < 200
        and "\n" not in text
        and "\0" not in text
        and not Path(text).is_absolute()
        and text not in (".", "..", "./")
        and not text.startswith("-")
    )
