"""Metrics that a script writes as JSON or CSV, to a file or line by line to its output."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from tcs_hpt.importing import goals
from tcs_hpt.importing.found import identifier
from tcs_hpt.importing.metric_found import MetricFound, Place
from tcs_hpt.importing.script import Script, called, dotted, keyword


def find(script: Script) -> list[MetricFound]:
    """Every metric in a file or line whose form can be told."""
    files = _opened(script)
    found: list[MetricFound] = []
    for call in script.calls:
        name = called(call)
        if name == "dumps" and call.args:
            names = keys(script, call.args[0])
            place = _where_dumped(script, call, files)
            if names and place is not None:
                found += _metrics(names, place, call.lineno)
        elif name == "dump" and len(call.args) > 1 and dotted(call.func).startswith("json"):
            path = files.get(dotted(call.args[1]))
            if path is not None:
                found += _metrics(keys(script, call.args[0]), Place(path, "json"), call.lineno)
    return [*found, *_csv(script, files)]


def _metrics(names: Mapping[str, int], place: Place, line: int) -> Iterator[MetricFound]:
    per_epoch = any(n.lower() in ("epoch", "step", "round") for n in names)
    for key in names:
        if goals.measure(key) is not None:
            name = identifier(key)
            yield MetricFound(name, place, line, written_name="" if name == key else key, per_epoch=per_epoch)


def keys(script: Script, node: ast.expr, depth: int = 0) -> dict[str, int]:
    """The keys of a dictionary that is written as a literal, here or where its name is assigned; nested ones with dots."""
    if isinstance(node, ast.Name) and depth < 3:
        assigned = [
            n.value
            for n in script.nodes
            if isinstance(n, ast.Assign)
            and any(isinstance(t, ast.Name) and t.id == node.id for t in n.targets)
        ]
        entries = {
            key: n.lineno
            for n in script.nodes
            if isinstance(n, ast.Assign)
            for t in n.targets
            if isinstance(t, ast.Subscript)
            and dotted(t.value) == node.id
            and isinstance(key := script.value(t.slice), str)
        }
        found: dict[str, int] = {}
        for value in assigned:
            found |= keys(script, value, depth + 1)
        return found | entries if assigned else {}
    if isinstance(node, ast.Call) and called(node) == "dict":
        return {k.arg: k.value.lineno for k in node.keywords if k.arg}
    if not isinstance(node, ast.Dict):
        return {}
    named: dict[str, int] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        name = script.value(key)
        if key is None:
            named |= keys(script, value, depth + 1)
        elif isinstance(name, str):
            nested = keys(script, value, depth + 1) if isinstance(value, ast.Dict) else {}
            named |= {f"{name}.{k}": n for k, n in nested.items()} if nested else {name: value.lineno}
    return named


def _where_dumped(script: Script, call: ast.Call, files: Mapping[str, str]) -> Place | None:
    """Where the text of `json.dumps` goes: a line of the output, or of a file."""
    for outer in script.calls:
        if not any(call is inner for argument in outer.args for inner in ast.walk(argument)):
            continue
        name = dotted(outer.func)
        if name in ("print", "sys.stdout.write", "click.echo", "typer.echo", "tqdm.write"):
            # A text before it would make the line something else than JSON.
            alone = bool(outer.args) and outer.args[0] is call
            return Place("stdout", "jsonl") if alone or name == "sys.stdout.write" else None
        if called(outer) == "write" and isinstance(outer.func, ast.Attribute):
            path = files.get(dotted(outer.func.value))
            lined = any(
                isinstance(n, ast.Constant) and n.value == "\n" for a in outer.args for n in ast.walk(a)
            )
            if path is not None:
                return Place(path, "jsonl" if lined else "json")
        if called(outer) == "write_text" and isinstance(outer.func, ast.Attribute):
            path_value = script.value(outer.func.value)
            if isinstance(path_value, str):
                return Place(path_value, "json")
    return None


def _opened(script: Script) -> dict[str, str]:
    """Names of files opened for writing, and their paths."""
    found: dict[str, str] = {}
    for node in script.nodes:
        if isinstance(node, ast.With):
            pairs = [(i.optional_vars, i.context_expr) for i in node.items]
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            pairs = [(node.targets[0], node.value)]
        else:
            continue
        for target, value in pairs:
            if target is None or not isinstance(value, ast.Call) or called(value) != "open":
                continue
            if isinstance(value.func, ast.Attribute) and dotted(value.func) not in ("io.open", "codecs.open"):
                path, mode = (
                    script.value(value.func.value),
                    value.args[0] if value.args else keyword(value, "mode"),
                )
            else:
                path = script.value(value.args[0]) if value.args else None
                mode = value.args[1] if len(value.args) > 1 else keyword(value, "mode")
            how = script.value(mode)
            if isinstance(path, str) and isinstance(how, str) and how[:1] in ("w", "a", "x"):
                found[dotted(target)] = path
    return found


def _csv(script: Script, files: Mapping[str, str]) -> list[MetricFound]:
    writers: dict[str, str] = {}
    columns: dict[str, dict[str, int]] = {}
    for node in script.nodes:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call) or len(node.targets) != 1:
            continue
        name, call = dotted(node.targets[0]), node.value
        if called(call) not in ("writer", "DictWriter") or not call.args:
            continue
        path = files.get(dotted(call.args[0]))
        if path is None:
            continue
        writers[name] = path
        header = keyword(call, "fieldnames") or (call.args[1] if len(call.args) > 1 else None)
        if called(call) == "DictWriter" and header is not None:
            columns[name] = _texts(script, header)
    for call in script.calls:
        if called(call) == "writerow" and isinstance(call.func, ast.Attribute) and call.args:
            owner = dotted(call.func.value)
            names = _texts(script, call.args[0])
            if owner in writers and names and owner not in columns:
                columns[owner] = names
    found = [
        m
        for name, header in columns.items()
        for m in _metrics(header, Place(writers[name], "csv"), next(iter(header.values()), 0))
    ]
    return [*found, *_header_line(script, files)]


def _header_line(script: Script, files: Mapping[str, str]) -> Iterator[MetricFound]:
    r"""`f.write("epoch,val_loss\n")`: a header written by hand."""
    for call in script.calls:
        if called(call) != "write" or not isinstance(call.func, ast.Attribute) or not call.args:
            continue
        path, text = files.get(dotted(call.func.value)), script.value(call.args[0])
        if path is None or not isinstance(text, str) or text.count(",") < 1 or not text.endswith("\n"):
            continue
        names = [n.strip() for n in text.strip().split(",")]
        if all(n.replace("_", "").replace("/", "").isalnum() for n in names):
            yield from _metrics(dict.fromkeys(names, call.lineno), Place(path, "csv"), call.lineno)


def _texts(script: Script, node: ast.expr) -> dict[str, int]:
    values = script.value(node)
    if not isinstance(values, tuple) or not all(isinstance(v, str) for v in values):
        return {}
    return {str(v): node.lineno for v in values}
