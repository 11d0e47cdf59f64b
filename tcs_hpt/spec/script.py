"""How a script that cannot change is told its parameters and read: its folder, environment, file of values and metrics."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from tcs_hpt.spec._base import Frozen, Name

RunIn: TypeAlias = Literal["trial", "task"]
ConfigFormat: TypeAlias = Literal["json", "yaml", "toml"]
MetricsFormat: TypeAlias = Literal["pattern", "jsonl", "csv", "json"]
Score: TypeAlias = Literal["last", "best"]

EnvironmentName: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)
]
"""What a shell can spell."""

EPOCH = "epoch"
"""Among the names of metrics the one that is the number of the epoch."""

CONTEXT = ("seed", "trial_dir", "data_dir")
"""What a trial has besides parameters: the training seed, its own folder, and the user's folder of data sets, if there is one."""
PLACES = ("python", "config", *CONTEXT)
"""Placeholders that are no parameters: the interpreter, the file that [config] describes, and `CONTEXT`.

A parameter or a fixed value of the same name wins.
"""

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.-]*)(\?([^{}:?]*)(?::([^{}:?]*))?)?\}")
_ENDINGS: dict[str, ConfigFormat] = {".json": "json", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml"}


def placeholders(text: str) -> list[str]:
    """The names of every `{name}` and of every switch, `{name?on:off}`, in a text; other braces are left alone."""
    return [found[1] for found in _PLACEHOLDER.finditer(text)]


def switches(text: str) -> list[str]:
    """The names of every switch in a text: `{nesterov?--nesterov}` is `--nesterov` while the value is true, and nothing else.

    `{bn?--bn:--no-bn}` has a text for false as well, and `{bn?:--no-bn}` has one for false only.
    """
    return [found[1] for found in _PLACEHOLDER.finditer(text) if found[2]]


def fill_placeholders(text: str, values: Mapping[str, str]) -> str:
    """The text with every placeholder replaced once; each name must have a value, and a switch is on when it is `true`."""

    def filled(found: re.Match[str]) -> str:
        value = values[found[1]]
        if not found[2]:
            return value
        return (found[3] if value == "true" else found[4]) or ""

    return _PLACEHOLDER.sub(filled, text)


def metric_groups(patterns: Iterable[str]) -> tuple[str, ...]:
    """The named groups of sound patterns, each once, without that of the epoch's number."""
    names = dict.fromkeys(name for pattern in patterns for name in re.compile(pattern).groupindex)
    return tuple(name for name in names if name != EPOCH)


def check_pattern(pattern: str) -> None:
    """Whether a regular expression can find metrics.

    Raises:
        ValueError: It cannot.
    """
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"`patterns` holds no regular expression: {error} in {pattern!r}") from error
    if not compiled.groupindex:
        raise ValueError(f"`patterns` needs named groups such as (?P<val_accuracy>...), got {pattern!r}")


class ConfigFile(Frozen):
    """A file of values that the engine writes into the trial's folder before the script starts."""

    template: str | None = Field(default=None, min_length=1)
    """A file of the task's folder; the new one is it with values replaced. None: parameters and fixed values alone."""
    format: ConfigFormat | None = None
    """None: by the template's ending."""
    keys: Mapping[Name, Annotated[str, StringConstraints(min_length=1)]] = {}
    """Where a value goes, as a dotted path, by its name.

    A parameter or fixed value without an entry goes to its own name, unless `command` or `env` hands it over already;
    of `CONTEXT` only what has an entry is written.
    """

    @property
    def written_format(self) -> ConfigFormat:
        """The format of the file."""
        return self.format or _ENDINGS[self._ending]

    @property
    def _ending(self) -> str:
        return PurePath(self.template or "").suffix.lower()

    @model_validator(mode="after")
    def _check_format(self) -> ConfigFile:
        if self.format is None and self.template is None:
            raise ValueError("`format` is needed where there is no template")
        if self.format is None and self._ending not in _ENDINGS:
            raise ValueError(
                f"`format` is needed: the ending of `template` does not tell it, got {self.template!r}"
            )
        return self


class MetricsSource(Frozen):
    """Where a script's numbers are, and how they are written."""

    source: Annotated[str, StringConstraints(min_length=1)]
    """`stdout`, `stderr`, or a file, relative to where the script runs.

    A file's path may hold placeholders, and `*` and `?` for what is not known before: the newest match counts. Only a file
    that the script has written during the trial is read, and of one that it has gone on with only what is new.
    """
    format: MetricsFormat
    patterns: tuple[str, ...] = ()
    """Regular expressions, for `pattern` only: each line is searched for each, and named groups are metrics."""
    score: Score = "last"
    """Which epoch counts: the last with the objective, or the best."""
    names: Mapping[Name, Annotated[str, StringConstraints(min_length=1)]] = {}
    """The script's own names by ours: of a column, or of a key, which may be a dotted path (a number is a place in a list,
    -1 the last). Not for `pattern`."""

    @property
    def is_file(self) -> bool:
        """Whether the numbers are in a file of the script's own."""
        return self.source not in ("stdout", "stderr")

    @model_validator(mode="after")
    def _check_format(self) -> MetricsSource:
        if self.format != "pattern":
            if self.patterns:
                raise ValueError(f'`patterns` belong to format = "pattern", got format = "{self.format}"')
            if not self.is_file and self.format != "jsonl":
                raise ValueError(f'`format` must be pattern or jsonl for {self.source}, got "{self.format}"')
            return self
        if self.names:
            raise ValueError("`names` has no use beside `patterns`: the named groups are the names")
        if not self.patterns:
            raise ValueError('`patterns` is missing: format = "pattern" needs at least one')
        for pattern in self.patterns:
            check_pattern(pattern)
        return self
