"""Options that a script declares with click, on the command that has most of them."""

from __future__ import annotations

import ast

from tcs_hpt.importing.found import Found, Kind, Route, Settable, identifier, kind_of, scalar
from tcs_hpt.importing.literals import UNKNOWN
from tcs_hpt.importing.script import Script, called, dotted, keyword

_TYPES: dict[str, Kind] = {
    "float": "float",
    "FLOAT": "float",
    "FloatRange": "float",
    "int": "int",
    "INT": "int",
    "IntRange": "int",
    "str": "text",
    "STRING": "text",
    "bool": "bool",
    "BOOL": "bool",
    "Path": "text",
    "File": "text",
}


def find(script: Script) -> Settable:
    """The options of the command with the most of them; a group's command comes with its name in front."""
    if "click" not in script.imported:
        return Settable()
    commands = [s for f in script.functions() if (s := _command(script, f)) is not None]
    return max(commands, key=lambda s: len(s.found), default=Settable())


def _command(script: Script, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Settable | None:
    found: list[Found] = []
    required: list[str] = []
    prefix: tuple[str, ...] = ()
    for decorator in function.decorator_list:
        word = called(decorator)
        if (
            word == "command"
            and (owner := dotted(getattr(_callee(decorator), "value", decorator))) != "click"
        ):
            prefix = (_name_of(script, decorator, function.name),) if owner else ()
        if not isinstance(decorator, ast.Call):
            continue
        if word == "option":
            option = _option(script, decorator)
            if isinstance(option, str):
                required.append(option)
            elif option is not None:
                found.append(option)
        elif word == "argument" and keyword(decorator, "default") is None:
            optional = script.value(keyword(decorator, "required")) is False
            name = script.value(decorator.args[0]) if decorator.args else UNKNOWN
            if isinstance(name, str) and not optional and script.value(keyword(decorator, "nargs")) != -1:
                required.append(name)
    return Settable(tuple(found), prefix, tuple(required)) if found or required else None


def _callee(decorator: ast.expr) -> ast.expr:
    return decorator.func if isinstance(decorator, ast.Call) else decorator


def _name_of(script: Script, decorator: ast.expr, function: str) -> str:
    if isinstance(decorator, ast.Call):
        named = script.value(decorator.args[0] if decorator.args else keyword(decorator, "name"))
        if isinstance(named, str):
            return named
    return function.replace("_", "-").lower()


def _option(script: Script, call: ast.Call) -> Found | str | None:
    names = [v for v in map(script.value, call.args) if isinstance(v, str)]
    flags = [n for n in names if n.startswith("-")]
    if not flags:
        return None
    flag = max(flags, key=lambda f: (f.startswith("--"), len(f)))
    on, _, off = flag.partition("/")
    on, off = on.strip(), off.strip()
    own = next((n for n in names if not n.startswith("-")), on)
    name = identifier(own)
    default = script.value(keyword(call, "default"))
    said = script.value(keyword(call, "help"))
    help_text = said if isinstance(said, str) else ""
    if script.value(keyword(call, "required")) is True:
        return on
    if script.value(keyword(call, "multiple")) is True:
        return None
    if off or script.value(keyword(call, "is_flag")) is True:
        return Found(name, default is True, Route("toggle", on, off), call.lineno, "bool", help=help_text)
    declared = keyword(call, "type")
    choices: tuple[str, ...] = ()
    if declared is not None and called(declared) == "Choice" and isinstance(declared, ast.Call):
        listed = script.value(declared.args[0]) if declared.args else UNKNOWN
        choices = tuple(c for c in listed if isinstance(c, str)) if isinstance(listed, tuple) else ()
    kind = _TYPES.get(called(declared), "text") if declared is not None else kind_of(scalar(default))
    if kind == "float" and isinstance(default, int) and not isinstance(default, bool):
        default = float(default)
    return Found(name, scalar(default), Route("flag", on), call.lineno, kind, choices=choices, help=help_text)
