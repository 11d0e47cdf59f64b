"""Flags made of a function's arguments: typer, and `fire.Fire(train)`."""

from __future__ import annotations

import ast

from tcs_hpt.importing.found import Found, Kind, Route, Settable, identifier, kind_of, scalar
from tcs_hpt.importing.literals import UNKNOWN
from tcs_hpt.importing.script import Script, called, keyword

Function = ast.FunctionDef | ast.AsyncFunctionDef
_TYPES: dict[str, Kind] = {"float": "float", "int": "int", "str": "text", "Path": "text", "bool": "bool"}


def find(script: Script) -> Settable:
    """The arguments of the function that typer or fire runs; of several commands, the one with the most."""
    by_name = {f.name: f for f in script.functions()}
    if "fire" in script.imported:
        for call in script.calls:
            if called(call) == "Fire" and call.args and (function := by_name.get(called(call.args[0]))):
                return _settable(script, function, typer=False)
    if "typer" not in script.imported:
        return Settable()
    run = [
        by_name[n]
        for c in script.calls
        if called(c) == "run" and c.args and (n := called(c.args[0])) in by_name
    ]
    if run:
        return _settable(script, run[0], typer=True)
    commands = [f for f in script.functions() if any(called(d) == "command" for d in f.decorator_list)]
    callbacks = any(called(d) == "callback" for f in script.functions() for d in f.decorator_list)
    found = [_settable(script, f, typer=True, subcommand=len(commands) > 1 or callbacks) for f in commands]
    return max(found, key=lambda s: len(s.found), default=Settable())


def _settable(script: Script, function: Function, *, typer: bool, subcommand: bool = False) -> Settable:
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    plain = [*function.args.posonlyargs, *function.args.args]
    defaults: dict[str, ast.expr | None] = dict.fromkeys(a.arg for a in arguments)
    if function.args.defaults:
        tail = plain[-len(function.args.defaults) :]
        defaults |= {a.arg: d for a, d in zip(tail, function.args.defaults, strict=True)}
    defaults |= {a.arg: d for a, d in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)}
    found: list[Found] = []
    required: list[str] = []
    for argument in arguments:
        one = _argument(script, argument, defaults[argument.arg], typer=typer)
        if isinstance(one, str):
            required.append(one)
        elif one is not None:
            found.append(one)
    prefix = (_command_name(script, function),) if subcommand else ()
    return Settable(tuple(found), prefix, tuple(required))


def _command_name(script: Script, function: Function) -> str:
    for decorator in function.decorator_list:
        if called(decorator) == "command" and isinstance(decorator, ast.Call):
            named = script.value(decorator.args[0] if decorator.args else keyword(decorator, "name"))
            if isinstance(named, str):
                return named
    return function.name.replace("_", "-").lower()


def _argument(
    script: Script, argument: ast.arg, default: ast.expr | None, *, typer: bool
) -> Found | str | None:
    """A flag, or the name of an argument that must be given; None for what typer itself passes."""
    annotation, info = _split(argument.annotation)
    if annotation is not None and called(annotation) == "Context":
        return None
    if default is not None and called(default) in ("Option", "Argument") and isinstance(default, ast.Call):
        info = default
        default = default.args[0] if default.args else keyword(default, "default")
    names = [v for v in map(script.value, info.args) if isinstance(v, str)] if info is not None else []
    flags = [n for n in names if n.startswith("--")]
    if default is None or (isinstance(default, ast.Constant) and default.value is Ellipsis):
        return flags[0] if flags else argument.arg
    if info is not None and called(info) == "Argument":
        return None  # positional with a default: left as it is
    value = _default(script, default)
    name = argument.arg
    dashed = name.replace("_", "-") if typer else name
    flag = flags[0] if flags else f"--{dashed}"
    said = script.value(keyword(info, "help")) if info is not None else UNKNOWN
    kind = _TYPES.get(called(annotation), "unknown") if annotation is not None else "unknown"
    choices = _enum(script, called(annotation)) if annotation is not None and kind == "unknown" else ()
    if kind == "unknown":
        kind = "text" if choices else kind_of(scalar(value))
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind == "bool":
        on, _, off = flag.partition("/")
        usual = f"--no-{dashed}" if typer and not flags else ""
        return Found(
            identifier(name), value is True, Route("toggle", on, off or usual), argument.lineno, kind
        )
    return Found(
        identifier(name),
        scalar(value),
        Route("flag", flag),
        argument.lineno,
        kind,
        choices=choices,
        help=said if isinstance(said, str) else "",
    )


def _split(annotation: ast.expr | None) -> tuple[ast.expr | None, ast.Call | None]:
    """`Annotated[float, typer.Option(...)]` as type and option; `Optional[float]` and `float | None` as the type."""
    info: ast.Call | None = None
    if isinstance(annotation, ast.Subscript) and called(annotation.value) == "Annotated":
        parts = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        info = next((p for p in parts[1:] if isinstance(p, ast.Call)), None)
        annotation = parts[0]
    if isinstance(annotation, ast.Subscript) and called(annotation.value) == "Optional":
        annotation = annotation.slice
    if isinstance(annotation, ast.BinOp):
        annotation = annotation.left
    return annotation, info


def _default(script: Script, default: ast.expr) -> object:
    if isinstance(default, ast.Attribute) and isinstance(default.value, ast.Name):
        members = _members(script, default.value.id)
        if default.attr in members:
            return members[default.attr]
    return script.value(default)


def _enum(script: Script, name: str) -> tuple[str, ...]:
    return tuple(_members(script, name).values())


def _members(script: Script, name: str) -> dict[str, str]:
    """The members of an enumeration of texts that the script defines."""
    for node in script.classes():
        if node.name == name and any(called(b) in ("Enum", "StrEnum") for b in node.bases):
            pairs = (
                (t.id, script.value(s.value))
                for s in node.body
                if isinstance(s, ast.Assign)
                for t in s.targets
                if isinstance(t, ast.Name)
            )
            return {n: v for n, v in pairs if isinstance(v, str)}
    return {}
