"""The lines that a script prints or logs, as pieces of text and slots for values.

`print(f"loss {x:.3f}")`, `"loss %.3f" % x`, `"loss {:.3f}".format(x)`, `print("loss", x)`, `logging.info("loss %s", x)` and
`"loss " + str(x)` all become the same.
"""

from __future__ import annotations

import ast
import re
import string
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tcs_hpt.importing.script import Script, called, dotted, keyword

Stream: TypeAlias = Literal["stdout", "stderr"]
_LEVELS = frozenset(("info", "warning", "warn", "error", "debug", "critical", "success"))
_PERCENT = re.compile(r"%(?:\(([^)]*)\))?[-+ #0]*(?:\d+|\*)?(?:\.(?:\d+|\*))?[hlL]?([diouxXeEfFgGcrsa%])")


@dataclass(frozen=True)
class Slot:
    """A place where a value is printed."""

    expression: str
    """The code of the value; empty when it cannot be told."""
    form: str = ""
    """Its format, e.g. `.4f`; empty when it is printed as it is."""


Piece: TypeAlias = "str | Slot"


@dataclass(frozen=True)
class Line:
    """One line that a script prints."""

    pieces: tuple[Piece, ...]
    stream: Stream
    number: int
    """Of the line of code."""
    inner: bool
    """Whether it stands in a loop over batches."""
    looped: bool
    """Whether it stands in any loop."""
    alone: bool
    """Whether nothing else can stand before it in the same line of output."""


def lines(script: Script) -> list[Line]:
    """Every line that the script prints, in the order of the file."""
    logged = _log_stream(script)
    continued = any(dotted(c.func) == "print" and keyword(c, "end") is not None for c in script.calls)
    found: list[Line] = []
    for call, loops in _calls_with_loops(script.tree):
        stream = _stream(script, call, logged)
        if stream is None:
            continue
        inner = any(_is_batch_loop(loop) for loop in loops)
        alone = dotted(call.func) == "print" and not continued
        for pieces in _split_lines(_pieces(script, call)):
            line = Line(tuple(pieces), stream, call.lineno, inner, bool(loops), alone)
            found += [line] if any(isinstance(p, Slot) for p in pieces) else []
    return found


def _calls_with_loops(tree: ast.Module) -> list[tuple[ast.Call, tuple[ast.For | ast.While, ...]]]:
    found: list[tuple[ast.Call, tuple[ast.For | ast.While, ...]]] = []

    def walk(node: ast.AST, loops: tuple[ast.For | ast.While, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Call):
                found.append((child, loops))
            walk(child, (*loops, child) if isinstance(child, ast.For | ast.While) else loops)

    walk(tree, ())
    return found


def _is_batch_loop(loop: ast.For | ast.While) -> bool:
    if isinstance(loop, ast.While):
        return False
    text = f"{ast.unparse(loop.target)} {ast.unparse(loop.iter)}".lower()
    return (
        re.search(r"batch|loader|dataloader|step(?!_?size)|(^|\W)(dl|minibatches)\b", text) is not None
        and "epoch" not in text
    )


def _log_stream(script: Script) -> Stream:
    """Where logging goes: standard error, unless the script sends it to standard output."""
    for call in script.calls:
        if called(call) in ("basicConfig", "StreamHandler", "RichHandler"):
            values = [*call.args, *(k.value for k in call.keywords if k.arg == "stream")]
            if any(dotted(v) == "sys.stdout" for v in values):
                return "stdout"
    return "stderr"


def _stream(script: Script, call: ast.Call, logged: Stream) -> Stream | None:
    name = dotted(call.func)
    word = called(call)
    if name == "print":
        file = keyword(call, "file")
        if file is None or dotted(file) == "sys.stdout":
            return "stdout"
        return "stderr" if dotted(file) == "sys.stderr" else None
    if name in (
        "click.echo",
        "typer.echo",
        "echo",
        "click.secho",
        "typer.secho",
        "sys.stdout.write",
        "tqdm.write",
        "pbar.write",
    ):
        return "stderr" if isinstance(err := keyword(call, "err"), ast.Constant) and err.value else "stdout"
    if name == "sys.stderr.write":
        return "stderr"
    if name in ("console.print", "rprint", "accelerator.print", "fabric.print", "tqdm.tqdm.write"):
        return "stdout"
    if word in _LEVELS and isinstance(call.func, ast.Attribute):
        holder = call.func.value
        owner = "logger" if called(holder) == "getLogger" else dotted(holder).lower()
        if owner.rsplit(".", 1)[-1].strip("_") in ("logging", "logger", "log", "lg"):
            if "loguru" in script.imported:
                return "stderr"
            return logged
    return None


def _pieces(script: Script, call: ast.Call) -> list[Piece]:
    arguments = call.args
    if not arguments:
        return []
    if called(call) in _LEVELS:
        value = script.value(arguments[0])
        if isinstance(value, str) and len(arguments) > 1:
            if "loguru" in script.imported:
                return _braces(value, arguments[1:], {})
            return _percent(value, arguments[1:])
        return _text(script, arguments[0])
    separator = script.value(keyword(call, "sep")) if keyword(call, "sep") is not None else " "
    pieces: list[Piece] = []
    for place, argument in enumerate(arguments):
        if isinstance(argument, ast.Starred):
            break
        if place:
            pieces.append(separator if isinstance(separator, str) else " ")
        if isinstance(argument, ast.Constant) and _is_number(argument.value):
            pieces.append(Slot(""))  # `print("val_acc", 0.5)`
        else:
            pieces += _text(script, argument)
    return pieces


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(script: Script, node: ast.expr) -> list[Piece]:
    """An expression that is printed, as pieces."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.JoinedStr):
        return [p for part in node.values for p in _joined(script, part)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        text = script.value(node.left)
        if isinstance(text, str):
            if isinstance(node.right, ast.Dict):
                named = {
                    str(script.value(k)): v for k, v in zip(node.right.keys, node.right.values, strict=True)
                }
                return _percent(text, [], named)
            values = node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]
            return _percent(text, values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text(script, node.left), _text(script, node.right)
        if any(isinstance(p, str) for p in (*left, *right)):
            return [*left, *right]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        text = script.value(node.func.value)
        if isinstance(text, str):
            return _braces(text, node.args, {k.arg: k.value for k in node.keywords if k.arg})
    if isinstance(node, ast.Call) and called(node) == "str" and len(node.args) == 1:
        return [Slot(ast.unparse(node.args[0]))]
    if isinstance(node, ast.Call) and called(node) == "round" and node.args:
        return [Slot(ast.unparse(node.args[0]))]
    if (entries := _dictionary(script, node)) is not None:
        return _shown_dictionary(entries)
    value = script.value(node)
    if isinstance(value, str):
        return [value]
    return [Slot(ast.unparse(node))]


def _dictionary(script: Script, node: ast.expr) -> ast.Dict | None:
    """A dictionary that is printed as Python shows it: written here, or the only one that its name is given."""
    if isinstance(node, ast.Dict):
        return node
    if not isinstance(node, ast.Name):
        return None
    given = [
        n.value
        for n in script.nodes
        if isinstance(n, ast.Assign) and any(isinstance(t, ast.Name) and t.id == node.id for t in n.targets)
    ]
    return given[0] if len(given) == 1 and isinstance(given[0], ast.Dict) else None


def _shown_dictionary(entries: ast.Dict) -> list[Piece]:
    pieces: list[Piece] = ["{"]
    for key, value in zip(entries.keys, entries.values, strict=True):
        if not isinstance(key, ast.Constant):
            pieces.append(Slot(""))
            continue
        pieces += [f"{', ' if len(pieces) > 1 else ''}{key.value!r}: ", Slot(ast.unparse(value))]
    return pieces


def _joined(script: Script, part: ast.expr) -> list[Piece]:
    if isinstance(part, ast.Constant):
        return [str(part.value)]
    if isinstance(part, ast.FormattedValue):
        form = ""
        if isinstance(part.format_spec, ast.JoinedStr):
            form = "".join(
                str(v.value) if isinstance(v, ast.Constant) else "" for v in part.format_spec.values
            )
        value = script.value(part.value)
        if isinstance(value, str) and not form:
            return [value]
        return [Slot(ast.unparse(part.value), form)]
    return []


def _percent(text: str, values: list[ast.expr], named: dict[str, ast.expr] | None = None) -> list[Piece]:
    pieces: list[Piece] = []
    position, place = 0, 0
    for match in _PERCENT.finditer(text):
        pieces.append(text[position : match.start()])
        position = match.end()
        if match[2] == "%":
            pieces.append("%")
            continue
        if match[1] is not None:
            node = (named or {}).get(match[1])
        else:
            node = values[place] if place < len(values) else None
            place += 1
        expression = ast.unparse(node) if node is not None else (match[1] or "")
        pieces.append(Slot(expression, match[0].lstrip("%") if match[2] not in "sra" else ""))
    return [p for p in (*pieces, text[position:]) if p != ""]


def _braces(text: str, values: list[ast.expr], named: dict[str, ast.expr]) -> list[Piece]:
    pieces: list[Piece] = []
    place = 0
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:
        return [text]
    for literal, field, form, _ in parts:
        if literal:
            pieces.append(literal)
        if field is None:
            continue
        key = re.split(r"[.\[]", field, maxsplit=1)[0]
        if key == "":
            node = values[place] if place < len(values) else None
            place += 1
        elif key.isdigit():
            node = values[int(key)] if int(key) < len(values) else None
        else:
            node = named.get(key)
        pieces.append(Slot(ast.unparse(node) if node is not None else key, form or ""))
    return pieces


def _split_lines(pieces: list[Piece]) -> list[list[Piece]]:
    """The pieces line by line: a text may hold line breaks."""
    found: list[list[Piece]] = [[]]
    for piece in pieces:
        if isinstance(piece, Slot):
            found[-1].append(piece)
            continue
        first, *rest = re.split(r"[\r\n]+", piece)
        if first:
            found[-1].append(first)
        found += [[text] if text else [] for text in rest]
    return [line for line in found if line]
