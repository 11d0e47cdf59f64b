"""A study's records for other programs: one row per trial, complete records, or the best configuration alone.

Pure except for `write_parquet`. Trials may come in any order. Column names follow `optuna.Study.trials_dataframe`:
`params_lr`, not `lr`, so that a parameter called `seed` or `value` does not hide a column of ours.
"""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import BaseModel

from tcs_hpt.errors import UserError
from tcs_hpt.records import Proposal, Trial, incumbent
from tcs_hpt.report.tables import exact
from tcs_hpt.spec import Config, StudySpec

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT_VERSION = 1
"""Raised when the JSON of `to_json` changes in a way that a reader must know of."""

Cell: TypeAlias = bool | int | float | str | None
Row: TypeAlias = dict[str, Cell]

_NUMBERS = (
    "value",
    "wall_seconds",
    "cpu_seconds",
    "peak_memory_mb",
    "gpu_seconds",
    "gpu_memory_mb",
    "gpu_joules",
    "thinking_seconds",
    "thinking_cpu_seconds",
    "thinking_gpu_seconds",
    "thinking_gpu_joules",
    "model_memory_mb",
)
_WHOLE = (
    "number",
    "base_trial",
    "retry_of",
    "replicate_of",
    "fidelity",
    "promoted_from",
    "seed",
    "model_calls",
    "prompt_tokens",
    "completion_tokens",
)
_LARGEST = 2**63


def rows(study: StudySpec, trials: Iterable[Trial]) -> list[Row]:
    """One row per trial, by number; every row has every column, in the same order.

    `params_*`: the task's parameters in its order; None where one was not active. `metrics_*`: final metrics, the
    objective first; None where a trial has none or it was not finite. Memory is in MiB. Tokens and thinking time cover
    all requests for that trial; a trial that repeats an interrupted one cost none, so that the columns add up. `fidelity` is the
    number of epochs of a trial that had fewer than all; its value compares only with others of the same.
    """
    everything = sorted(trials, key=lambda t: t.number)
    names = _union(study.task.params, *(t.config for t in everything))
    metrics = _union((study.task.objective.metric,), *(sorted(t.metrics) for t in everything))
    return [_row(trial, names, metrics) for trial in everything]


def columns(study: StudySpec, table: Sequence[Row]) -> list[str]:
    """Names of the columns of rows, also when there are none."""
    if table:
        return list(table[0])
    proposal = Proposal(config={}, source="")
    nothing = Trial(number=1, config={}, state="running", proposal=proposal)
    return list(_row(nothing, list(study.task.params), [study.task.objective.metric]))


def _union(*groups: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name for group in groups for name in group))


def _row(trial: Trial, names: Sequence[str], metrics: Sequence[str]) -> Row:
    proposal, failure, usage = trial.proposal, trial.failure, trial.usage
    calls = proposal.calls if trial.retry_of is None else ()
    return {
        "number": trial.number,
        "state": trial.state,
        "value": trial.value,
        **{f"params_{name}": trial.config.get(name) for name in names},
        **{f"metrics_{name}": trial.metrics.get(name) for name in metrics},
        "source": proposal.source,
        "change": proposal.change or None,
        "base_trial": proposal.base_trial,
        "failure_kind": failure.kind if failure else None,
        "failure_message": failure.message if failure else None,
        "stopped_early": trial.stopped_early or None,
        "violations": "; ".join(trial.violations) or None,
        "wall_seconds": usage.wall_seconds,
        "cpu_seconds": usage.cpu_seconds,
        "peak_memory_mb": usage.peak_memory_mb,
        "gpu_seconds": usage.gpu_seconds,
        "gpu_memory_mb": usage.gpu_memory_mb,
        "gpu_joules": usage.gpu_joules,
        "model_calls": len(calls),
        "prompt_tokens": sum(c.prompt_tokens for c in calls),
        "completion_tokens": sum(c.completion_tokens for c in calls),
        "thinking_seconds": proposal.seconds if trial.retry_of is None else 0.0,
        "thinking_cpu_seconds": proposal.cpu_seconds if trial.retry_of is None else 0.0,
        "thinking_gpu_seconds": proposal.gpu_seconds if trial.retry_of is None else 0.0,
        "thinking_gpu_joules": proposal.gpu_joules if trial.retry_of is None else None,
        "model_memory_mb": max((c.memory_mb for c in calls if c.memory_mb is not None), default=None),
        "started_at": trial.started_at or None,
        "seed": trial.seed,
        "retry_of": trial.retry_of,
        "replicate_of": trial.replicate_of,
        "fidelity": trial.fidelity,
        "promoted_from": trial.promoted_from,
    }


def to_csv(study: StudySpec, trials: Iterable[Trial]) -> str:
    """The rows as CSV with a header line; floats read back exactly, None is an empty cell."""
    table = rows(study, trials)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns(study, table))
    writer.writerows(["" if c is None else _utf8(exact(c)) for c in row.values()] for row in table)
    return text.getvalue()


def to_json(study: StudySpec, trials: Iterable[Trial]) -> str:
    """The study's declaration and its complete records, with epochs, decisions and everything models were told and said.

    `StudySpec.model_validate` and `Trial.model_validate` read the parts back. ASCII; numbers that are not finite,
    which only a rejected proposal can hold, are null.
    """
    content = {
        "format": FORMAT_VERSION,
        "study": _plain(study),
        "trials": [_plain(t) for t in sorted(trials, key=lambda t: t.number)],
    }
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _plain(record: BaseModel) -> Any:
    text = json.dumps(record.model_dump(by_alias=True), default=repr)
    return json.loads(text, parse_constant=lambda _: None)  # JSON has no NaN and no infinity


def write_parquet(path: Path, study: StudySpec, trials: Iterable[Trial]) -> None:
    """Write the rows as a Parquet file, each column with its type.

    A parameter whose choices are of different kinds becomes a column of text.

    Raises:
        UserError: pyarrow is missing.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise UserError(
            f"Parquet needs pyarrow, which cannot be imported: {error}",
            hint="Run `pip install 'tcs-hpt[export]'`, or export with --format csv.",
        ) from error
    table = rows(study, trials)
    content = {name: _column(pa, name, [row[name] for row in table]) for name in columns(study, table)}
    pq.write_table(pa.table(content), path)


def _column(arrow: Any, name: str, cells: Sequence[Cell]) -> pa.Array:
    kinds = {type(c) for c in cells if c is not None}
    if name in _WHOLE or kinds == {int}:
        if all(abs(c) < _LARGEST for c in cells if isinstance(c, int)):
            return arrow.array(cells, arrow.int64())
    elif kinds == {bool}:
        return arrow.array(cells, arrow.bool_())
    elif name in _NUMBERS or name.startswith("metrics_") or (kinds and kinds <= {int, float}):
        return arrow.array([None if c is None else float(c) for c in cells], arrow.float64())
    return arrow.array([None if c is None else _utf8(exact(c)) for c in cells], arrow.string())


def _utf8(text: str) -> str:
    """Text without lone surrogates, which a script's output may hold and no file can."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


# -- the best configuration ---------------------------------------------------------------------------------


def best_config(study: StudySpec, trials: Iterable[Trial]) -> Config:
    """Everything the best trial's script was given: the tuned values in the task's order, then the fixed ones.

    Raises:
        UserError: No trial has a score.
    """
    best = incumbent(trials, study.task.objective)
    if best is None:
        raise UserError(
            f"study {study.name!r} has no best configuration: no trial has finished",
            hint="Look at `tcs-hpt show` for what went wrong, or run more trials.",
        )
    names = _union((n for n in study.task.params if n in best.config), best.config)
    return {**{n: best.config[n] for n in names}, **study.task.fixed}


def config_json(config: Mapping[str, Any]) -> str:
    """A configuration as a JSON object."""
    return json.dumps(dict(config), indent=2, allow_nan=False) + "\n"


def config_yaml(config: Mapping[str, Any]) -> str:
    """A configuration as YAML; text that any YAML reader could take for a number or a truth value is quoted."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Quotes `1e-3` and `0o17`, which YAML 1.1 takes for text and YAML 1.2 for numbers."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
        style = None if value[:1].isalpha() and not _is_number(value) else "'"
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    written = yaml.dump(dict(config), Dumper=Dumper, sort_keys=False, allow_unicode=True)
    return str(written) if config else "{}\n"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def config_flags(config: Mapping[str, Any]) -> str:
    """A configuration as arguments of a command line, quoted for a shell: `--lr 0.003 --epochs 20`.

    Floats read back exactly; truth values are `true` and `false`.
    """
    words = []
    for name, value in config.items():
        word = exact(value)
        words += [f"--{name}={word}"] if word.startswith("-") else [f"--{name}", word]
    return shlex.join(words) + "\n"
