"""Values that stand in the code itself, which only the launcher can set.

Constants at the top, defaults of settings classes and of functions, entries of dictionaries of parameters, and keyword arguments of constructors:
`LR = 0.01`, `class Config: lr = 0.01`, `params = {"eta": 0.3}`, `SVC(C=1.0)`. `run_with` says what each target means there.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator

from tcs_hpt.importing import dataclass_flags
from tcs_hpt.importing.argparse_flags import compared_with
from tcs_hpt.importing.found import Found, Kind, Route, Settable, identifier, kind_of, scalar
from tcs_hpt.importing.literals import UNKNOWN, evaluate
from tcs_hpt.importing.script import Script, called, top_assignments

_SETTINGS_CLASS = re.compile(
    r"config|cfg|args|arguments|params|settings|options|hparams|hyper", re.IGNORECASE
)
_TRAINING_CALLS = frozenset(("train", "cv", "fit"))
_NO_MODEL = frozenset(("DataFrame", "Figure", "Path", "Console", "ArgumentParser", "Field", "Option"))


def find(script: Script) -> Settable:
    """Every literal that the launcher can set, each target once; one that stands for several values is left out."""
    found: dict[str, Found] = {}
    unclear: set[str] = set()
    for item in _all(script):
        key = item.route.key
        if key in found and found[key].default != item.default:
            unclear.add(key)
        found.setdefault(key, item)
    used = {f.name for k, f in found.items() if not f.needs_knowledge and k not in unclear}
    return Settable(
        tuple(f for k, f in found.items() if k not in unclear and not (f.needs_knowledge and f.name in used))
    )


def _all(script: Script) -> Iterator[Found]:
    yield from _constants(script)
    yield from _classes(script)
    for node in script.nodes:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            yield from _entries(script, node.targets[0].id, node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield from _entries(script, node.target.id, node.value)
        elif isinstance(node, ast.Call):
            yield from _keywords(script, node)


def _constants(script: Script) -> Iterator[Found]:
    stored = Counter(n.id for n in script.nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
    for name, node, line in top_assignments(script.tree):
        if name.startswith("_") or name not in script.constants or isinstance(node, ast.Name):
            continue
        if stored[name] > 1:  # it changes while the script runs
            continue
        value = scalar(script.constants[name])
        if value is None:
            continue
        yield _literal(script, name.lower(), name, value, line, needs_knowledge=not name.isupper())


def _classes(script: Script) -> Iterator[Found]:
    """Fields of settings classes, and defaults of constructors."""
    for node in script.classes():
        decorated = any(called(d) in ("dataclass", "define", "frozen", "s") for d in node.decorator_list)
        # An enumeration is a list of choices, not of settings.
        if any("Enum" in called(b) for b in node.bases):
            continue
        if decorated or _SETTINGS_CLASS.search(node.name):
            for field in dataclass_flags.fields(script, node.name):
                if not field.needs:
                    yield field.found(
                        Route("setting", f"{node.name}.{field.name}"), needs_knowledge=not decorated
                    )
            for name, value, line in top_assignments(ast.Module(body=node.body, type_ignores=[])):
                plain = scalar(script.value(value))
                if plain is not None and not any(
                    isinstance(s, ast.AnnAssign) and getattr(s.target, "id", "") == name for s in node.body
                ):
                    yield _literal(script, identifier(name).lower(), f"{node.name}.{name}", plain, line)
        for method in node.body:
            if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                yield from _defaults(script, node.name, method)


def _defaults(script: Script, owner: str, function: ast.FunctionDef) -> Iterator[Found]:
    plain = [*function.args.posonlyargs, *function.args.args]
    given = _given(script, owner)
    pairs = [
        *zip(plain[len(plain) - len(function.args.defaults) :], function.args.defaults, strict=True),
        *zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True),
    ]
    for argument, default in pairs:
        value = scalar(script.value(default))
        # An argument that the script passes itself is set where it is passed.
        if value is not None and argument.arg not in given and isinstance(default, ast.expr):
            key = f"{owner}.{argument.arg}"
            yield _literal(script, argument.arg, key, value, argument.lineno, needs_knowledge=True)


def _given(script: Script, owner: str) -> set[str]:
    """Keyword arguments that calls of a class pass; positional ones make the defaults meaningless."""
    calls = [c for c in script.calls if called(c) == owner]
    init = next(
        (
            m
            for c in script.classes()
            if c.name == owner
            for m in c.body
            if isinstance(m, ast.FunctionDef) and m.name == "__init__"
        ),
        None,
    )
    names = [a.arg for a in init.args.args[1:]] if init is not None else []
    passed = {k.arg for c in calls for k in c.keywords if k.arg}
    if any(k.arg is None for c in calls for k in c.keywords):
        passed |= set(names)
    return passed | {n for c in calls for n in names[: len(c.args)]}


def _entries(script: Script, owner: str, node: ast.expr) -> Iterator[Found]:
    """Entries of a dictionary that is given a name."""
    if isinstance(node, ast.Dict):
        pairs = [(script.value(k), v) for k, v in zip(node.keys, node.values, strict=True)]
    elif isinstance(node, ast.Call) and called(node) == "dict":
        pairs = [(k.arg, k.value) for k in node.keywords]
    else:
        return
    for key, value in pairs:
        plain = _own(value)
        if isinstance(key, str) and plain is not None and key.isidentifier():
            yield _literal(script, key, f"{owner}.{key}", plain, value.lineno, needs_knowledge=True)


def _keywords(script: Script, call: ast.Call) -> Iterator[Found]:
    """Keyword arguments of constructors and of `train`."""
    name = called(call)
    if not (name in _TRAINING_CALLS or (name[:1].isupper() and name not in _NO_MODEL)):
        return
    for item in call.keywords:
        plain = _own(item.value)
        if item.arg and plain is not None:
            yield _literal(
                script, item.arg, f"{name}.{item.arg}", plain, item.value.lineno, needs_knowledge=True
            )


def _own(node: ast.expr) -> bool | int | float | str | None:
    """The value when it is written at this place; a constant is set where it is defined."""
    value = evaluate(node)
    return None if value is UNKNOWN else scalar(value)


def _literal(
    script: Script,
    name: str,
    key: str,
    value: bool | int | float | str,
    line: int,
    *,
    needs_knowledge: bool = False,
) -> Found:
    kind: Kind = kind_of(value)
    choices: tuple[bool | int | float | str, ...] = ()
    if kind == "text":
        told = compared_with(script, key.rsplit(".", 1)[-1])
        if len(told) > 1:
            choices = told if value in told else (value, *told)
    return Found(
        identifier(name),
        value,
        Route("setting", key),
        line,
        kind,
        choices=choices,
        guessed_choices=bool(choices),
        help=script.comments.get(line, ""),
        needs_knowledge=needs_knowledge,
    )
