"""Suites: measurements that are always made in the same way, as data. `benchmarks/NAME.toml` describes one.

`kind` says what it is: `compare` (methods side by side; see `comparisons`), `consistency` and `energy` (models are asked the same thing
again and again; see `asking`), `settings` (fixed configurations side by side), `program` (a program of this project's own
benchmarks).
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeAlias

from pydantic import ValidationError

from tcs_hpt import bundled
from tcs_hpt.catalog.wording import meant
from tcs_hpt.errors import UserError
from tcs_hpt.experiments.suites._base import SIZES, Size
from tcs_hpt.experiments.suites.asking import AskingSize, AskingSuite
from tcs_hpt.experiments.suites.comparisons import (
    Generations,
    Part,
    Published,
    Suite,
    SuiteSize,
    Trajectories,
)
from tcs_hpt.experiments.suites.programs import ProgramSize, ProgramSuite
from tcs_hpt.experiments.suites.settings import Setting, SettingsSize, SettingsSuite

__all__ = [
    "SIZES",
    "AnySuite",
    "AskingSize",
    "AskingSuite",
    "Generations",
    "Part",
    "ProgramSize",
    "ProgramSuite",
    "Published",
    "Setting",
    "SettingsSize",
    "SettingsSuite",
    "Size",
    "Suite",
    "SuiteSize",
    "Trajectories",
    "load_suite",
    "read_suite",
    "suite_names",
]

AnySuite: TypeAlias = Suite | AskingSuite | SettingsSuite | ProgramSuite
_KINDS: dict[str, type[AnySuite]] = {
    "compare": Suite,
    "consistency": AskingSuite,
    "energy": AskingSuite,
    "settings": SettingsSuite,
    "program": ProgramSuite,
}


def suite_names() -> tuple[str, ...]:
    """Names of the suites, sorted."""
    return tuple(sorted(path.stem for path in bundled.folder("benchmarks").glob("*.toml")))


def load_suite(name: str) -> AnySuite:
    """Read a suite by its name, or from a file of that path.

    Raises:
        UserError: There is no such suite, or its file does not describe one.
    """
    path = Path(name) if name.endswith(".toml") else bundled.folder("benchmarks") / f"{name}.toml"
    if name not in suite_names() and not (name.endswith(".toml") and path.is_file()):
        known = suite_names()
        raise UserError(
            f"there is no suite {name!r}",
            hint=f"{meant(name, known, 1)}Suites: {', '.join(known)}. Or give the path of a .toml file.",
        )
    return read_suite(path).asked_as(name)


def read_suite(path: Path) -> AnySuite:
    """Read the file of a suite.

    Raises:
        UserError: It cannot be read, or does not describe a suite; the first problem is named with its place.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        kind = _KINDS.get(str(raw.get("kind", "compare")))
        if kind is None:
            raise UserError(
                f"{path} is of kind {raw['kind']!r}, which no suite is", hint=f"Kinds: {', '.join(_KINDS)}."
            )
        return kind.model_validate(raw)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}", hint="It must be a TOML file.") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(
            f"{path} does not describe a suite: {place}: {first['msg']}",
            hint="docs/suites.md shows one that does.",
        ) from error
