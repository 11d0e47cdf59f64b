"""Environment variables with a default: `os.environ.get("LR", "0.01")`, `os.getenv`, and `${LR:-0.01}` of a shell."""

from __future__ import annotations

import ast
import re

from tcs_hpt.importing.found import Found, Route, Settable, identifier, kind_of, scalar
from tcs_hpt.importing.literals import UNKNOWN, number
from tcs_hpt.importing.script import Script, called, dotted

_DEFAULTED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*):?[-=]([^{}$`\"']*)\}")
_POSITIONAL = re.compile(r"\$(?:[1-9]\b|\{[1-9]\})")
_COMMENT = re.compile(r"(^|\s)#.*")


def find(script: Script) -> Settable:
    """Every variable with a default that is written down."""
    return _shell(script) if script.kind == "shell" else Settable(tuple(_python(script)))


def _python(script: Script) -> list[Found]:
    found: dict[str, Found] = {}
    for call in script.calls:
        if dotted(call.func) not in ("os.environ.get", "os.getenv", "environ.get", "getenv"):
            continue
        if not call.args:
            continue
        name = script.value(call.args[0])
        default = script.value(call.args[1]) if len(call.args) > 1 else UNKNOWN
        if isinstance(name, str) and default is not UNKNOWN and default is not None:
            found.setdefault(name, _variable(name, default, call.lineno))
    wrapped = {
        script.value(inner.args[0]): called(outer)
        for outer in script.calls
        for inner in outer.args[:1]
        if isinstance(inner, ast.Call) and inner.args and called(inner) in ("get", "getenv")
    }
    return [_as_float(f) if wrapped.get(n) == "float" else f for n, f in found.items()]


def _as_float(found: Found) -> Found:
    if not isinstance(found.default, int) or isinstance(found.default, bool):
        return found
    return Found(found.name, float(found.default), found.route, found.line, "float")


def _variable(name: str, default: object, line: int) -> Found:
    plain = number(default)
    value = scalar(plain if plain is not UNKNOWN else default)
    return Found(identifier(name).lower(), value, Route("env", name), line, kind_of(value))


def _shell(script: Script) -> Settable:
    found: dict[str, Found] = {}
    required: list[str] = []
    for line, text in enumerate(script.text.splitlines(), 1):
        code = _COMMENT.sub("", text)
        for name, default in _DEFAULTED.findall(code):
            if default.strip():
                found.setdefault(name, _variable(name, default.strip(), line))
        required += [r.strip("${}") for r in _POSITIONAL.findall(code)]
    return Settable(tuple(found.values()), required=tuple(f"${n}" for n in dict.fromkeys(required)))
