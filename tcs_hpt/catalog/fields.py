"""Checks single tables of a manifest and collects what is wrong with them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from tcs_hpt.catalog.wording import EXAMPLES, fix_rule, fix_value, meant, toml
from tcs_hpt.errors import Problem
from tcs_hpt.spec import Name, Scalar


@dataclass
class Findings:
    """The manifest under check and the problems found so far."""

    file: str
    folder: Path
    raw: dict[str, Any]
    problems: list[Problem] = field(default_factory=list)

    def add(self, key: str, message: str, fix: str) -> None:
        """Note a problem, unless it is already there."""
        if not any((p.key, p.message) == (key, message) for p in self.problems):
            self.problems.append(Problem(self.file, key, message, fix.strip()))

    def table(self, key: str, inside: Mapping[str, Any] | None = None, prefix: str = "") -> dict[str, Any]:
        """The table under a key, empty when there is none; anything else there is a problem."""
        value = (self.raw if inside is None else inside).get(key, {})
        if isinstance(value, dict):
            return value
        self.add(prefix + key, f"`{key}` must be a table, got {toml(value)}", f"Write it as [{prefix}{key}].")
        return {}

    def missing(self, key: str, name: str) -> None:
        """Note that a required key is missing."""
        self.add(key, f"`{name}` is missing", EXAMPLES.get(name, f"Add `{name} = ...`."))

    def name(self, key: str, name: str) -> None:
        """Check a name that people choose."""
        try:
            TypeAdapter(Name).validate_python(name)
        except ValidationError:
            self.add(key, f"the name {name!r} cannot be spelled everywhere", EXAMPLES["name_rule"])

    def value(self, key: str, name: str, value: object) -> None:
        """Check a single value."""
        self.name(key, name)
        try:
            TypeAdapter(Scalar, config={"allow_inf_nan": False}).validate_json(as_json(value), strict=True)
        except ValidationError:
            self.add(
                key,
                f"`{name}` must be text, a finite number, true or false, got {toml(value)}",
                "Write a single value; split a list or table into several values.",
            )

    def model(
        self,
        model: type[BaseModel],
        table: Mapping[str, Any],
        key: str,
        *,
        blame: Mapping[str, Any] | None = None,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        """Validate one table and add every problem.

        A rule over several fields is only tried once the fields are sound, so what was found wrong is taken out and
        the rest is tried again. `blame` holds the keys that a problem may be pinned on.
        """
        rest = dict(table)
        removed: set[str] = set()
        while True:
            try:
                model.model_validate_json(as_json(rest), strict=True)
                return
            except ValidationError as error:
                bad: set[str] = set()
                for detail in error.errors():
                    bad |= self.translate(model, detail, rest, key, removed, blame, aliases or {})
            bad &= set(rest)
            if not bad:
                return
            removed |= bad
            rest = {k: v for k, v in rest.items() if k not in bad}

    def translate(
        self,
        model: type[BaseModel],
        detail: ErrorDetails,
        table: Mapping[str, Any],
        prefix: str,
        removed: set[str],
        blame: Mapping[str, Any] | None,
        aliases: Mapping[str, str],
    ) -> set[str]:
        """Add one of pydantic's errors in our words; returns the keys to take out before the next try."""
        dot = f"{prefix}." if prefix else ""
        if detail["type"] == "value_error":
            message = str(detail["ctx"]["error"])
            named = [a or b for a, b in re.findall(r"`(\w+)`|(\w+)=", message)]
            if named and named[0] in removed:  # it is missing only because it was wrong
                return set()
            culprit = next((n for n in named if blame is None or n in blame), named[0] if named else "")
            self.add(dot + culprit if culprit else prefix, message, fix_rule(message, table))
            return {"log"} if "on a log scale" in message else set(named[:1])
        loc = [str(part) for part in detail["loc"]]
        name = loc[0]
        if detail["type"] == "missing":
            if name not in removed:
                self.missing(dot + name, name)
            return set()
        if detail["type"] == "extra_forbidden":
            keys = [aliases.get(n, n) for n in model.model_fields]
            fix = meant(name, keys) or f"Remove it; the keys here are {', '.join(keys)}."
            self.add(dot + name, f"unknown key `{name}`", fix)
            return {name}
        path, value = _walk(table, detail["loc"])
        # Behind the end of the path pydantic names the types it tried, one error each.
        single_value = len(path) < len(loc) and loc[-1] != "[key]"
        self.add(dot + ".".join(path), *fix_value(path, value, "scalar" if single_value else detail))
        return {name}


def _walk(table: Mapping[str, Any], loc: tuple[int | str, ...]) -> tuple[list[str], object]:
    """The part of an error's location that exists in the file (the rest names types), and the value there."""
    path: list[str] = []
    value: Any = table
    for part in loc:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            break
        path.append(str(part))
    return path or [str(loc[0])], value


def as_json(value: object) -> str:
    """TOML's values as JSON, which pydantic can check strictly without minding that TOML has no tuples."""
    # Dates and times are TOML but not JSON, and never a valid value; a table in their place is never valid either.
    return json.dumps(value, default=lambda date: {"date": str(date)})
