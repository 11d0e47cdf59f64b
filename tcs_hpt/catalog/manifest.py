"""Reads and checks one `task.toml`.

It is checked piece by piece, each parameter, the objective, the limits and each profile on its own, because a person
who fixes a file wants the whole list of what is wrong with it and not the first item.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from tcs_hpt.catalog.fields import Findings, as_json
from tcs_hpt.catalog.objectives import join_objectives
from tcs_hpt.catalog.script import ScriptFindings
from tcs_hpt.catalog.wording import EXAMPLES, meant, toml
from tcs_hpt.errors import ManifestError, Problem, TaskError
from tcs_hpt.spec import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Limits,
    Objective,
    Profile,
    TaskSpec,
    placeholders,
    same_scalar,
)

_TYPES: dict[str, type[BaseModel]] = {
    "float": FloatParameter,
    "int": IntParameter,
    "categorical": CategoricalParameter,
}
_INTERPRETER = re.compile(r"^(\{python\}|(.*/)?(python[0-9.]*|bash|sh|Rscript|julia|node|perl|ruby))$")
_SCRIPT = re.compile(r".*(/|\.(py|sh|R|jl|js|pl|rb)$)")


def read_manifest(path: Path) -> TaskSpec:
    """Read and check one `task.toml`.

    Raises:
        ManifestError: It has problems; all of them are listed.
        TaskError: It cannot be read.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
        raw = tomllib.loads(text)
    except OSError as error:
        raise TaskError(f"{path} cannot be read: {error.strerror}", hint="Check its permissions.") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ManifestError(
            [Problem(str(path), "", f"line {line} is not UTF-8 text", "Save the file in the encoding UTF-8.")]
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ManifestError([_syntax_problem(str(path), text, str(error))]) from error
    return check_manifest(raw, str(path), path.parent)


def check_manifest(raw: dict[str, Any], file: str, folder: Path) -> TaskSpec:
    """Check what a manifest says.

    Args:
        raw: Its content.
        file: The manifest, as the user would name it.
        folder: Where its script has to be.

    Raises:
        ManifestError: It has problems; all of them are listed.
    """
    check = _Check(file, folder, raw)
    spec = check.run()
    if spec is None:
        raise ManifestError(check.problems)
    return spec


def _syntax_problem(file: str, text: str, error: str) -> Problem:
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", error, re.DOTALL)
    reason = found[1] if found else error
    lines = text.splitlines() or [""]
    number = int(found[2]) if found and found[2] else len(lines)
    return Problem(
        file,
        "",
        f"line {number} is not TOML ({reason})",
        f"Correct this line (text needs quotes, a list needs brackets): {lines[min(number, len(lines)) - 1].strip()}",
    )


class _Check(ScriptFindings):
    """One pass over a manifest."""

    def run(self) -> TaskSpec | None:
        several = "objectives" in self.raw
        join_objectives(self)
        raw = self.raw
        self._whole_file(several)
        self._command()
        params = self.table("params")
        sound = {name for name, table in params.items() if self._parameter(name, table)}
        conditions = {name: self._condition(name, params) for name in params}
        self._circle(params)
        for name, value in self.table("fixed").items():
            self.value(f"fixed.{name}", name, value)
            if name in params:
                self.add(
                    f"fixed.{name}",
                    f"a name must be tuned or fixed, not both: {name}",
                    f"Remove it from [fixed], or remove [params.{name}].",
                )
        if isinstance(raw.get("objective"), dict) and not several:
            self.model(Objective, raw["objective"], "objective")
        self.model(Limits, self.table("limits"), "limits")
        self.environment()
        self.config_file()
        self.metrics_source()
        for name, table in self.table("profiles").items():
            self._profile(name, table, params, sound, {n for n, ok in conditions.items() if ok})
        if self.problems:
            return None
        spec = self._final()
        if spec is not None:
            self.template(spec)
        return None if self.problems else spec

    def _whole_file(self, several: bool) -> None:
        raw = self.raw
        ours = {"command", "objective", "params", "fixed", "limits", "profiles"}
        ours |= {"env", "config", "metrics"}
        top = {k: v for k, v in raw.items() if k not in ours}
        # The other keys are checked on their own; a valid stand-in keeps them out of this list.
        stand_in = {"command": ["x"], "objective": {"metric": "m", "direction": "maximize"}}
        self.model(TaskSpec, top | stand_in, "", aliases={"schema_version": "schema"})
        if "command" not in raw:
            self.missing("command", "command")
        if "objective" not in raw and not several:
            self.missing("objective", "objective")
        elif not isinstance(raw.get("objective", {}), dict):
            self.table("objective")

    def _command(self) -> None:
        command = self.raw.get("command")
        if command is None:
            return
        if not isinstance(command, list) or not all(isinstance(item, str) for item in command):
            self.add(
                "command", f"`command` must be a list of texts, got {toml(command)}", EXAMPLES["command"]
            )
            return
        if not command or not command[0].strip():
            self.add("command", "`command` must name a program", EXAMPLES["command"])
            return
        self.known_placeholders("command", command)
        script = _script(command)
        if script is not None and not (self.folder / script).is_file():
            here = sorted(p.name for p in self.folder.iterdir() if p.suffix == Path(script).suffix)
            self.add(
                "command",
                f"the script {script!r} named in `command` does not exist in {self.folder}",
                f"Name a script of the folder: {', '.join(here)}." if here else f"Create {script} there.",
            )

    def _parameter(self, name: str, table: object) -> bool:
        """Check one `[params.NAME]`, conditions aside; whether it was sound."""
        before = len(self.problems)
        key = f"params.{name}"
        self.name(key, name)
        if not isinstance(table, dict):
            self.add(key, f"a parameter must be a table, got {toml(table)}", f"Write it as [{key}].")
        elif (model := self._parameter_model(table, f"{key}.type")) is not None:
            self.model(model, table, key)
        return len(self.problems) == before

    def _parameter_model(self, table: Mapping[str, Any], key: str) -> type[BaseModel] | None:
        kind = table.get("type")
        if isinstance(kind, str) and kind in _TYPES:
            return _TYPES[kind]
        likely = "categorical" if "choices" in table else _likely_number(table)
        if "type" not in table:
            self.add(
                key, "`type` is missing", f'Add `type = "{likely}"` (or another of {", ".join(_TYPES)}).'
            )
        else:
            near = meant(str(kind), _TYPES) or f'Write `type = "{likely}"`.'
            self.add(key, f"`type` must be float, int or categorical, got {toml(kind)}", near)
        return None

    def _condition(self, name: str, params: Mapping[str, Any], prefix: str = "params.") -> bool:
        """Check one parameter's `when` against its parents as they are written; whether it was sound."""
        before = len(self.problems)
        table = params[name]
        when = table.get("when", {}) if isinstance(table, dict) else {}
        if not isinstance(when, dict):
            return False
        for parent, values in when.items():
            key = f"{prefix}{name}.when.{parent}"
            if parent not in params:
                others = [n for n in params if n != name]
                self.add(
                    key,
                    f"`when` of {name!r} names {parent!r}, which is not a parameter",
                    meant(parent, others) or f"Name one of: {', '.join(others) or 'none'}.",
                )
                continue
            spec = params[parent]
            if not isinstance(spec, dict) or not isinstance(values, list):
                continue  # each is a problem of its own, listed elsewhere
            if not values:
                self.add(key, f"`when` of {name!r} lists no value of {parent!r}", "List at least one value.")
            if spec.get("type") == "float":
                self.add(
                    key,
                    f"`when` of {name!r} names {parent!r}, a float; a condition needs choices or an int",
                    f"Make {parent!r} categorical or int, or remove the condition.",
                )
            elif spec.get("type") == "categorical" and isinstance(spec.get("choices"), list):
                choices = spec["choices"]
                wrong = [v for v in values if not any(same_scalar(v, c) for c in choices)]
                if wrong:
                    self.add(
                        key,
                        f"`when` of {name!r}: {toml(wrong)} are not choices of {parent!r}",
                        f"Use its choices: {toml(choices)}.",
                    )
            elif spec.get("type") == "int" and all(type(spec.get(k)) is int for k in ("low", "high")):
                wrong = [v for v in values if type(v) is not int or not spec["low"] <= v <= spec["high"]]
                if wrong:
                    self.add(
                        key,
                        f"`when` of {name!r}: {parent!r} can never be {toml(wrong)}",
                        f"Use whole numbers from {spec['low']} to {spec['high']}.",
                    )
        return len(self.problems) == before

    def _circle(self, params: Mapping[str, Any]) -> None:
        parents = {
            n: {p for p in t["when"] if p in params}
            for n, t in params.items()
            if isinstance(t, dict) and isinstance(t.get("when"), dict)
        }
        while free := [n for n, above in parents.items() if not above & set(parents)]:
            for name in free:
                del parents[name]
        # What is left lies on a circle or below one; only the circle is to blame.
        while tails := [n for n in parents if not any(n in above for above in parents.values())]:
            for name in tails:
                del parents[name]
        if parents:
            names = list(parents)
            self.add(
                f"params.{names[0]}.when",
                f"`when` goes round in a circle: {', '.join(names)}",
                f"Remove `when` from one of them, e.g. from [params.{names[0]}].",
            )

    def _profile(
        self, name: str, table: object, params: Mapping[str, Any], sound: set[str], conditioned: set[str]
    ) -> None:
        key = f"profiles.{name}"
        self.name(key, name)
        if not isinstance(table, dict):
            self.add(key, f"a profile must be a table, got {toml(table)}", f"Write it as [{key}].")
            return
        own = {"fixed", "limits", "params"}  # tables, each checked by itself below
        self.model(Profile, {k: {} if k in own else v for k, v in table.items()}, key)
        for fixed, value in self.table("fixed", table, f"{key}.").items():
            self.value(f"{key}.fixed.{fixed}", fixed, value)
            if fixed in params:
                self.add(
                    f"{key}.fixed.{fixed}",
                    f"a name must be tuned or fixed, not both: {fixed}",
                    f"Remove it from the profile, or remove [params.{fixed}].",
                )
        limits = self.table("limits", table, f"{key}.")
        self.model(Limits, limits, f"{key}.limits")
        merged = dict(params)
        changed = self.table("params", table, f"{key}.params."[: -len("params.")])
        for parameter, overrides in changed.items():
            place = f"{key}.params.{parameter}"
            if parameter not in params:
                self.add(
                    place,
                    f"the profile changes {parameter!r}, which is not a parameter",
                    meant(parameter, params) or f"Name one of: {', '.join(params) or 'none'}.",
                )
            elif not isinstance(overrides, dict):
                self.add(place, f"must be a table, got {toml(overrides)}", f"Write it as [{place}].")
            elif parameter in sound:
                merged[parameter] = params[parameter] | overrides
                model = self._parameter_model(merged[parameter], f"{place}.type")
                if model is not None:
                    self.model(model, merged[parameter], place, blame=overrides)
            elif isinstance(params[parameter], dict):
                # The parameter's own problems are listed already; only what the profile itself adds is news.
                model = _TYPES.get(str(params[parameter].get("type")))
                probe = Findings(self.file, self.folder, self.raw)
                if model is not None:
                    probe.model(model, params[parameter] | overrides, place)
                for problem in probe.problems:
                    if problem.key[len(place) + 1 :].split(".")[0] in overrides:
                        self.add(problem.key, problem.message, problem.fix)
        for child in conditioned:
            when = merged[child].get("when", {}) if isinstance(merged[child], dict) else {}
            if child in changed or set(when) & set(changed):
                self._condition(child, merged, f"{key}.params.")

    def _final(self) -> TaskSpec | None:
        """Build the task and each of its profiles; the last word belongs to `spec.py`."""
        try:
            spec = TaskSpec.model_validate_json(as_json(self.raw), strict=True)
        except ValidationError as error:
            for detail in error.errors():
                self.translate(TaskSpec, detail, self.raw, "", set(), None, {})
            return None
        for name in spec.profiles:
            try:
                spec.with_profile(name)
            except ValidationError as error:
                for detail in error.errors():
                    self.translate(TaskSpec, detail, self.raw, f"profiles.{name}", set(), None, {})
        return None if self.problems else spec


def _script(command: list[str]) -> str | None:
    """The item of a command that must be a file of the task: the program itself, or what an interpreter is given."""
    if not _INTERPRETER.match(command[0]):
        return command[0] if _SCRIPT.match(command[0]) and not placeholders(command[0]) else None
    for item in command[1:]:
        if item in ("-m", "-c", "-e"):
            return None
        if not item.startswith("-"):
            return None if placeholders(item) else item
    return None


def _likely_number(table: Mapping[str, Any]) -> str:
    return "int" if all(type(table.get(k)) is int for k in ("low", "high")) else "float"
