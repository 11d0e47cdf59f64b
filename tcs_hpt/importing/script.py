"""The script as text and syntax tree. Nothing here runs or imports it."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import tokenize
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from tcs_hpt.errors import UserError
from tcs_hpt.importing import literals

_RUN = re.compile(
    r"[\w\"'${}/.:-]*(?:python[0-9.]*|\$\{?PY\w*)[\w\"'}]*\s+(?:-\w\s+)*([\w./-]+\.py)\b", re.IGNORECASE
)
_FOR_TOOLS = re.compile(r"noqa|type:|pylint|pragma|fmt:|todo|fixme", re.IGNORECASE)
_SHELL_ENDINGS = frozenset((".sh", ".bash"))


@dataclass(frozen=True)
class Script:
    """A training script that could be read."""

    path: Path
    """Absolute."""
    text: str
    kind: Literal["python", "shell"]
    tree: ast.Module
    """Empty for a shell script."""

    @property
    def folder(self) -> Path:
        """Where it lies; relative paths of the manifest start here."""
        return self.path.parent

    @property
    def name(self) -> str:
        """Its file name."""
        return self.path.name

    @cached_property
    def constants(self) -> dict[str, object]:
        """Names that the top of the module sets to a literal exactly once, and what to."""
        seen: dict[str, list[object]] = {}
        for name, value, _ in top_assignments(self.tree):
            seen.setdefault(name, []).append(literals.evaluate(value))
        return {n: v[0] for n, v in seen.items() if len(v) == 1 and v[0] is not literals.UNKNOWN}

    def value(self, node: ast.expr | None) -> object:
        """What an expression is worth as far as literals and constants of the module tell; else `literals.UNKNOWN`."""
        return literals.UNKNOWN if node is None else literals.evaluate(node, self.constants)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of the tree, in the order of the file."""
        return tuple(
            sorted(ast.walk(self.tree), key=lambda n: (getattr(n, "lineno", 0), getattr(n, "col_offset", 0)))
        )

    @cached_property
    def calls(self) -> tuple[ast.Call, ...]:
        """Every call, in the order of the file."""
        return tuple(n for n in self.nodes if isinstance(n, ast.Call))

    @cached_property
    def comments(self) -> dict[int, str]:
        """What stands behind a `#` after code, by line; marks for tools are left out."""
        found: dict[int, str] = {}
        with contextlib.suppress(tokenize.TokenError, SyntaxError):  # what was read up to there counts
            for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
                text = token.string.lstrip("# ").strip()
                if token.type == tokenize.COMMENT and token.line.strip() != token.string and text:
                    found[token.start[0]] = "" if _FOR_TOOLS.match(text) else text
        return found

    @cached_property
    def imported(self) -> frozenset[str]:
        """Top-level names of the packages that it imports."""
        found: set[str] = set()
        for node in self.nodes:
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
        return frozenset(found)

    def classes(self) -> tuple[ast.ClassDef, ...]:
        """Every class definition."""
        return tuple(n for n in self.nodes if isinstance(n, ast.ClassDef))

    def functions(self) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, ...]:
        """Every function definition, methods too."""
        return tuple(n for n in self.nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def top_assignments(tree: ast.Module) -> list[tuple[str, ast.expr, int]]:
    """Plain assignments to one name at the top of a module: the name, the value, the line."""
    found: list[tuple[str, ast.expr, int]] = []
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            found.append((node.targets[0].id, node.value, node.lineno))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            found.append((node.target.id, node.value, node.lineno))
    return found


def called(node: ast.AST) -> str:
    """The last name of what is called or used: `torch.optim.Adam(...)` and `Adam(...)` are both `Adam`."""
    if isinstance(node, ast.Call):
        return called(node.func)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def dotted(node: ast.AST) -> str:
    """A name with its dots, `os.environ.get`; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """The value of a keyword argument; None without it."""
    return next((k.value for k in call.keywords if k.arg == name), None)


def scripts_run(script: Script) -> tuple[Script, ...]:
    """The Python scripts of its folder that a shell script runs; a script in Python itself."""
    if script.kind == "python":
        return (script,)
    paths = [script.folder / n for n in dict.fromkeys(_RUN.findall(script.text)) if not Path(n).is_absolute()]
    return tuple(open_script(p) for p in paths if p.is_file())


def open_script(path: Path) -> Script:
    """Read a script and parse it.

    Raises:
        UserError: It is no file, empty, not UTF-8, neither Python nor a shell script, or does not parse.
    """
    if path.is_dir():
        scripts = sorted(p.name for p in path.iterdir() if p.suffix in (".py", *_SHELL_ENDINGS))[:5]
        example = f"tcs-hpt init {path / scripts[0]}" if scripts else "tcs-hpt init train.py"
        raise UserError(
            f"{path} is a folder, and init reads one script", hint=f"Name the script: `{example}`."
        )
    if not path.exists():
        raise UserError(f"there is no file {path}", hint="Check the path of the script.")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}", hint="Check its permissions.") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UserError(
            f"{path} is not UTF-8 text (line {line})",
            hint="Save it in the encoding UTF-8, or name the script rather than a compiled file.",
        ) from error
    if not text.strip():
        raise UserError(f"{path} is empty", hint="Name the script that trains.")
    path = path.resolve()
    kind = _kind(path, text)
    if kind == "shell":
        return Script(path, text, "shell", ast.Module(body=[], type_ignores=[]))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the script's own invalid escapes
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        place = f"line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else str(error)
        raise UserError(
            f"{path.name} is not valid Python ({place})",
            hint=f"Correct it first; `python -m py_compile {path.name}` shows the same error.",
        ) from error
    return Script(path, text, "python", tree)


def _kind(path: Path, text: str) -> Literal["python", "shell"]:
    first = text.split("\n", 1)[0]
    if path.suffix == ".py" or (first.startswith("#!") and "python" in first):
        return "python"
    if path.suffix in _SHELL_ENDINGS or (first.startswith("#!") and first.rstrip().endswith("sh")):
        return "shell"
    what = "a notebook" if path.suffix == ".ipynb" else "neither a Python file nor a shell script"
    fix = (
        f"Export it first: `jupyter nbconvert --to script {path.name}`."
        if path.suffix == ".ipynb"
        else "Name a .py or .sh file; for another language copy the form of a task (`tcs-hpt tasks show mlp_digits`)."
    )
    raise UserError(f"{path.name} is {what}", hint=fix)
