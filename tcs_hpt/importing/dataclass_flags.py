"""Flags made of dataclasses: `HfArgumentParser`, tyro, simple_parsing; Transformers' own `TrainingArguments` among them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tcs_hpt.importing.found import Found, Kind, Route, Settable, identifier, kind_of, scalar
from tcs_hpt.importing.literals import UNKNOWN
from tcs_hpt.importing.script import Script, called, keyword

TRAINING_ARGUMENTS: dict[str, float | int | str] = {
    "learning_rate": 5e-5,
    "per_device_train_batch_size": 8,
    "num_train_epochs": 3.0,
    "weight_decay": 0.0,
    "max_grad_norm": 1.0,
    "lr_scheduler_type": "linear",
}
"""The ones of Transformers' `TrainingArguments` that are worth tuning, with its defaults."""
SCHEDULES = ("linear", "cosine", "constant_with_warmup", "constant")
_PARSERS = frozenset(("HfArgumentParser", "H4ArgumentParser", "TrlParser"))
_TYPES: dict[str, Kind] = {"float": "float", "int": "int", "str": "text", "bool": "bool"}


def find(script: Script) -> Settable:
    """The fields of every dataclass that is parsed from the command line, as flags."""
    found: list[Found] = []
    required: list[str] = []
    for call in script.calls:
        word = called(call)
        if word in _PARSERS or (word in ("cli", "parse") and {"tyro", "simple_parsing"} & script.imported):
            for name in _classes(call):
                if name.endswith("TrainingArguments") and word in _PARSERS:
                    found += _training_arguments(call.lineno)
                for field in fields(script, name):
                    if field.default is None and field.needs:
                        required.append(f"--{field.name}")
                    else:
                        found.append(field.found(Route("flag", f"--{field.name}")))
    return Settable(tuple(found), required=tuple(dict.fromkeys(required)))


def _classes(call: ast.Call) -> list[str]:
    if not call.args:
        return []
    first = call.args[0]
    return [called(e) for e in first.elts] if isinstance(first, ast.Tuple | ast.List) else [called(first)]


def _training_arguments(line: int) -> list[Found]:
    return [
        Found(
            name,
            default,
            Route("flag", f"--{name}"),
            line,
            kind_of(default),
            choices=SCHEDULES if name == "lr_scheduler_type" else (),
        )
        for name, default in TRAINING_ARGUMENTS.items()
    ]


class Field:
    """One field of a dataclass, or of a plain class of settings."""

    def __init__(
        self, name: str, default: object, kind: Kind, line: int, needs: bool, help_text: str
    ) -> None:
        self.name = name
        self.default = scalar(default)
        self.kind = kind
        self.line = line
        self.needs = needs
        """Whether there is no default at all."""
        self.help = help_text

    def found(self, route: Route, *, needs_knowledge: bool = False) -> Found:
        """As a finding that is set by `route`."""
        if self.kind == "bool" and route.way == "flag":
            route = Route("toggle", route.key)
        return Found(
            identifier(self.name),
            self.default,
            route,
            self.line,
            self.kind,
            help=self.help,
            needs_knowledge=needs_knowledge,
        )


def fields(script: Script, name: str) -> Iterator[Field]:
    """The annotated fields of a class of the script, and of those of its bases that the script defines."""
    by_name = {c.name: c for c in script.classes()}
    if name not in by_name:
        return
    node = by_name.pop(name)
    for base in node.bases:
        if called(base) in by_name:
            yield from fields(script, called(base))
    for statement in node.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        value = script.value(statement.value)
        help_text = ""
        if isinstance(statement.value, ast.Call) and called(statement.value) in ("field", "Field"):
            value = script.value(keyword(statement.value, "default"))
            if called(statement.value) == "Field" and statement.value.args:
                value = script.value(statement.value.args[0])
            help_text = _help(script, statement.value)
        help_text = help_text or script.comments.get(statement.lineno, "")
        kind = _TYPES.get(called(statement.annotation), "unknown")
        if kind == "unknown":
            kind = kind_of(scalar(value))
        if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        needs = statement.value is None or _lacks_default(statement.value)
        yield Field(
            statement.target.id, None if value is UNKNOWN else value, kind, statement.lineno, needs, help_text
        )


def _lacks_default(value: ast.expr) -> bool:
    """Whether it is a `field(...)` that gives no default."""
    return (
        isinstance(value, ast.Call)
        and called(value) == "field"
        and not any(k.arg in ("default", "default_factory") for k in value.keywords)
    )


def _help(script: Script, call: ast.Call) -> str:
    metadata = keyword(call, "metadata")
    if isinstance(metadata, ast.Dict):
        for key, value in zip(metadata.keys, metadata.values, strict=True):
            said = script.value(value)
            if script.value(key) == "help" and isinstance(said, str):
                return said
    said = script.value(keyword(call, "description") or keyword(call, "help"))
    return said if isinstance(said, str) else ""
