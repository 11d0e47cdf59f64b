"""Runs a script with some of its literals set to other values. The script itself stays as it is.

    python run_with.py train.py LR=0.003 Config.dropout=0.2 -- --its --own arguments

`tcs-hpt init` puts a copy of this file beside scripts whose hyperparameters stand in the code. It needs nothing but Python 3.8, so it
works in whatever environment the script needs, with or without tcs_hpt.

    NAME=VALUE          an assignment of a literal at the top of the script: `LR = 0.01`
    OWNER.KEY=VALUE     a field of the class OWNER, a default of its `__init__`, a default of the function OWNER, an entry of the
                        dictionary OWNER (also `OWNER["KEY"] = ...`), or the keyword argument KEY wherever OWNER is called
    "TEXT"=VALUE        every text in the code that is exactly TEXT, e.g. the path of a config file

A value takes the type of the literal that it replaces. A target that is not in the script is an error, before anything runs.
Processes that the script starts by "spawn" import the script's file and see its own values.
"""

from __future__ import annotations

import ast
import os
import sys
import types


def main(arguments: list[str]) -> None:
    """Run the script named first with the settings that follow it, up to `--`."""
    if not arguments:
        sys.exit("run_with: name a script, e.g. run_with.py train.py LR=0.01")
    script, rest = arguments[0], arguments[1:]
    cut = rest.index("--") if "--" in rest else len(rest)
    settings = dict(_setting(item) for item in rest[:cut])
    run(script, settings, rest[cut + 1 :])


def run(script: str, settings: dict[str, str], arguments: list[str]) -> None:
    """Run a script as `__main__` with its literals replaced; tracebacks show the script's own lines."""
    path = os.path.abspath(script)
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        sys.exit(f"run_with: {script} cannot be read: {error.strerror}")
    tree = replaced(ast.parse(source, filename=path), settings, script)
    code = compile(tree, path, "exec")
    module = types.ModuleType("__main__")
    module.__file__ = path
    module.__builtins__ = __builtins__  # type: ignore[attr-defined]
    sys.modules["__main__"] = module
    sys.argv = [path, *arguments]
    if not getattr(sys.flags, "safe_path", False):  # as Python does it for a script that it is given
        sys.path[0] = os.path.dirname(path)
    exec(code, module.__dict__)


def replaced(tree: ast.Module, settings: dict[str, str], script: str) -> ast.Module:
    """The tree with every target set; ends the program when one is not there."""
    setter = _Setter(settings)
    for statement in tree.body:
        setter.top(statement)
    tree = setter.visit(tree)
    missing = [name for name in settings if name not in setter.done]
    if missing:
        sys.exit(
            f"run_with: {script} has no literal {', '.join(missing)} to set; "
            "write the task anew with `tcs-hpt init --force`"
        )
    return ast.fix_missing_locations(tree)


def _setting(item: str) -> tuple[str, str]:
    if item.startswith('"') and '"=' in item[1:]:
        text, _, value = item[1:].partition('"=')
        return '"' + text + '"', value
    name, equals, value = item.partition("=")
    if not equals:
        sys.exit(f"run_with: {item!r} is not NAME=VALUE; what is for the script comes after --")
    return name, value


class _Setter(ast.NodeTransformer):
    """Replaces literals; `done` names the settings that found their target."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.settings = settings
        self.done: set[str] = set()

    def top(self, node: ast.stmt) -> None:
        """Set what the top of the module assigns."""
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    node.value = self._new(target.id, node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            node.value = self._new(node.target.id, node.value)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Fields, and defaults of the constructor."""
        for statement in node.body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                statement.value = self._field(node.name + "." + statement.target.id, statement.value)
            elif isinstance(statement, ast.Assign):
                for target in statement.targets:
                    if isinstance(target, ast.Name):
                        statement.value = self._new(node.name + "." + target.id, statement.value)
            elif isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
                self._defaults(node.name, statement)
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Defaults of its arguments."""
        self._defaults(node.name, node)
        return self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        """Dictionaries that are given a name, and single entries of them."""
        for target in node.targets:
            if isinstance(target, ast.Name):
                self._entries(target.id, node.value)
            elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
                key = getattr(target.slice, "value", target.slice)  # Python 3.8 wraps it in an Index
                key = getattr(key, "value", key)
                if isinstance(key, str):
                    node.value = self._new(target.value.id + "." + key, node.value)
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """The same with a type."""
        if isinstance(node.target, ast.Name) and node.value is not None:
            self._entries(node.target.id, node.value)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Keyword arguments."""
        owner = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for item in node.keywords:
            if owner and item.arg:
                item.value = self._new(owner + "." + item.arg, item.value)
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        """Texts."""
        name = f'"{node.value}"' if isinstance(node.value, str) else ""
        if name in self.settings:
            self.done.add(name)
            return ast.copy_location(ast.Constant(self.settings[name]), node)
        return node

    def _entries(self, owner: str, value: ast.expr) -> None:
        if isinstance(value, ast.Dict):
            for place, key in enumerate(value.keys):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    value.values[place] = self._new(owner + "." + key.value, value.values[place])
        elif isinstance(value, ast.Call) and getattr(value.func, "id", "") == "dict":
            for item in value.keywords:
                if item.arg:
                    item.value = self._new(owner + "." + item.arg, item.value)

    def _field(self, name: str, value: ast.expr | None) -> ast.expr | None:
        """A field's default, also inside `field(default=...)`."""
        if isinstance(value, ast.Call):
            for item in value.keywords:
                if item.arg == "default":
                    item.value = self._new(name, item.value)
            return value
        return None if value is None else self._new(name, value)

    def _defaults(self, owner: str, function: ast.FunctionDef) -> None:
        arguments = function.args
        plain = [*getattr(arguments, "posonlyargs", []), *arguments.args]
        names = plain[len(plain) - len(arguments.defaults) :]
        for place, argument in enumerate(names):
            arguments.defaults[place] = self._new(owner + "." + argument.arg, arguments.defaults[place])
        for place, argument in enumerate(arguments.kwonlyargs):
            default = arguments.kw_defaults[place]
            if default is not None:
                arguments.kw_defaults[place] = self._new(owner + "." + argument.arg, default)

    def _new(self, name: str, old: ast.expr) -> ast.expr:
        """The literal for a setting in place of an old one; the old one when it is none, or nothing is set."""
        if name not in self.settings or not _is_literal(old):
            return old
        self.done.add(name)
        value = _typed(self.settings[name], old)
        return ast.copy_location(ast.Constant(value), old)


def _is_literal(node: ast.expr) -> bool:
    """Whether it is a literal, or arithmetic on literals."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.UnaryOp):
        return _is_literal(node.operand)
    return isinstance(node, ast.BinOp) and _is_literal(node.left) and _is_literal(node.right)


def _typed(text: str, old: ast.expr) -> bool | int | float | str:
    value = old.value if isinstance(old, ast.Constant) else None
    if isinstance(value, str):
        return text
    if isinstance(value, bool) or text in ("true", "false"):
        return text.lower() == "true"
    try:
        number = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    if not isinstance(number, (int, float)):
        return text
    return float(number) if isinstance(value, float) else number


if __name__ == "__main__":
    main(sys.argv[1:])
