"""Flags that a script declares with argparse (and what is built like it, as `configargparse` or absl's `DEFINE_float`)."""

from __future__ import annotations

import ast

from tcs_hpt.importing.found import Found, Kind, Route, Settable, identifier, kind_of, scalar
from tcs_hpt.importing.script import Script, called, dotted, keyword

_TYPES: dict[str, Kind] = {"float": "float", "int": "int", "str": "text", "bool": "bool"}
_ABSL: dict[str, Kind] = {
    "DEFINE_float": "float",
    "DEFINE_integer": "int",
    "DEFINE_string": "text",
    "DEFINE_enum": "text",
}
_ABSL_HELP = {"DEFINE_enum": 3}


def find(script: Script) -> Settable:
    """Every flag, and the arguments without which the script does not start."""
    found: list[Found] = []
    required: list[str] = []
    for call in script.calls:
        name = called(call)
        if name == "add_argument" and isinstance(call.func, ast.Attribute):
            flag = _flag(script, call)
            if isinstance(flag, Found):
                found.append(flag)
            elif flag:
                required.append(flag)
        elif name in _ABSL and len(call.args) >= 2:
            found += _absl(script, call, _ABSL[name])
    if not found and not required:
        required += _bare_arguments(script)
    return Settable(tuple(_with_choices(script, f) for f in found), required=tuple(required))


def _bare_arguments(script: Script) -> list[str]:
    """`sys.argv[1]` without a look at how many there are."""
    if any(called(c) == "len" and c.args and dotted(c.args[0]) == "sys.argv" for c in script.calls):
        return []
    places = [
        script.value(n.slice)
        for n in script.nodes
        if isinstance(n, ast.Subscript) and dotted(n.value) == "sys.argv"
    ]
    return [f"sys.argv[{p}]" for p in sorted({p for p in places if isinstance(p, int) and p > 0})]


def _flag(script: Script, call: ast.Call) -> Found | str | None:
    """A flag; the name of an argument that must be given; None for the rest."""
    options = [v for v in map(script.value, call.args) if isinstance(v, str)]
    if not options:
        return None
    default = script.value(keyword(call, "default"))
    if not options[0].startswith("-"):
        optional = script.value(keyword(call, "nargs")) in ("?", "*") or keyword(call, "default") is not None
        return None if optional else options[0]
    flag = next((o for o in options if o.startswith("--")), options[0])
    destination = script.value(keyword(call, "dest"))
    name = identifier(destination if isinstance(destination, str) else flag)
    if script.value(keyword(call, "required")) is True:
        return flag
    if keyword(call, "nargs") is not None:
        return None  # a list
    said = script.value(keyword(call, "help"))
    help_text = said if isinstance(said, str) else ""
    action = keyword(call, "action")
    text_action = script.value(action)
    line = call.lineno
    if action is not None and called(action) == "BooleanOptionalAction":
        route = Route("toggle", flag, f"--no-{flag[2:]}")
        return Found(
            name, default if isinstance(default, bool) else False, route, line, "bool", help=help_text
        )
    if isinstance(text_action, str) and text_action not in ("store",):
        if text_action.startswith("store_"):
            if text_action not in ("store_true", "store_false"):
                return None
            given = text_action == "store_true"
            usual = default if isinstance(default, bool) else not given
            return Found(name, usual, Route("toggle", flag, gives=given), line, "bool", help=help_text)
        return None
    kind = _TYPES.get(called(keyword(call, "type") or ast.Constant(None)), "unknown")
    if kind == "unknown" and keyword(call, "type") is not None and isinstance(default, bool):
        kind = "bool"  # a converter of the script's own, as `str2bool`
    elif kind == "unknown":
        kind = kind_of(scalar(default))
    if kind == "float" and isinstance(default, int) and not isinstance(default, bool):
        default = float(default)
    choices = script.value(keyword(call, "choices"))
    return Found(
        name,
        scalar(default),
        Route("flag", flag),
        line,
        kind,
        choices=tuple(c for c in choices if isinstance(c, bool | int | float | str))
        if isinstance(choices, tuple)
        else (),
        help=help_text,
    )


def _absl(script: Script, call: ast.Call, kind: Kind) -> list[Found]:
    name, default = script.value(call.args[0]), script.value(call.args[1])
    if not isinstance(name, str):
        return []
    choices = script.value(call.args[2]) if called(call) == "DEFINE_enum" and len(call.args) > 2 else ()
    place = _ABSL_HELP.get(called(call), 2)
    said = script.value(call.args[place]) if len(call.args) > place else ""
    return [
        Found(
            identifier(name),
            scalar(default),
            Route("flag", f"--{name}"),
            call.lineno,
            kind,
            choices=tuple(c for c in choices if isinstance(c, str)) if isinstance(choices, tuple) else (),
            help=said if isinstance(said, str) else "",
        )
    ]


def _with_choices(script: Script, found: Found) -> Found:
    if found.choices or found.kind not in ("text", "unknown"):
        return found
    choices = compared_with(script, found.name)
    if found.default is not None and choices and found.default not in choices:
        choices = (found.default, *choices)
    if len(choices) < 2:
        return found
    return Found(
        found.name,
        found.default,
        found.route,
        found.line,
        "text",
        choices=choices,
        guessed_choices=True,
        help=found.help,
    )


def compared_with(script: Script, name: str) -> tuple[str | int | float | bool, ...]:
    """The texts that the code tells apart in a variable or attribute of this name, in the order of the file.

    `if args.optimizer == "sgd"`, `args.optimizer in ("adam", "sgd")`, `{"adam": ..., "sgd": ...}[args.optimizer]`, and `match`.
    """
    found: dict[str, None] = {}
    for node in script.nodes:
        if isinstance(node, ast.Compare) and _is(node.left, name) and len(node.ops) == 1:
            value = script.value(node.comparators[0])
            if isinstance(node.ops[0], ast.Eq | ast.NotEq) and isinstance(value, str):
                found.setdefault(value)
            elif isinstance(node.ops[0], ast.In) and isinstance(value, tuple):
                found.update(dict.fromkeys(v for v in value if isinstance(v, str)))
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Dict) and _is(node.slice, name):
            found.update(dict.fromkeys(k for k in map(script.value, node.value.keys) if isinstance(k, str)))
        elif isinstance(node, ast.Match) and _is(node.subject, name):
            for case in node.cases:
                if isinstance(case.pattern, ast.MatchValue):
                    value = script.value(case.pattern.value)
                    if isinstance(value, str):
                        found.setdefault(value)
    return tuple(found)


def _is(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return node.slice.value == name
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "lower":
        return _is(node.func.value, name)
    return (isinstance(node, ast.Attribute) and node.attr == name) or (
        isinstance(node, ast.Name) and node.id == name
    )
