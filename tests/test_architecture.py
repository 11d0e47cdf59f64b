"""Every room may import only rooms listed before it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import tcs_hpt

ROOMS = [
    "errors",
    "spec",
    "space",
    "bundled",
    "catalog",
    "records",
    "events",
    "statistics",
    "trajectory",
    "evidence",
    "summary",
    "prompts",
    "llm",
    "guard",
    "agents",
    "proposers",
    "store",
    "client",
    "data",
    "pruning",
    "execution",
    "loop",
    "compare",
    "experiments",
    "importing",
    "report",
    "tuning",
    "integrations",
    "service",
    "testing",
    "cli",
]
"""In reading order; docs/decisions/0001 says where this differs from the first plan."""

PACKAGE = Path(tcs_hpt.__file__).parent
FILES = sorted(p for p in PACKAGE.rglob("*.py") if "_bundled" not in p.parts)


def room(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module or ""]
            if node.module == "tcs_hpt":
                names = [f"tcs_hpt.{alias.name}" for alias in node.names]
        found |= {n.split(".")[1] for n in names if n.startswith("tcs_hpt.")}
    return found - {"__version__"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_up_the_list_only(path: Path) -> None:
    own = room(path)
    if own == "__init__":
        return  # lazy: it names homes, and test_client checks that nothing heavy is imported
    assert own in ROOMS, f"a new room: {own}"
    allowed = set(ROOMS[: ROOMS.index(own) + 1])
    assert imported_rooms(path) <= allowed, f"{path} reaches down to {imported_rooms(path) - allowed}"


def test_the_training_side_imports_nothing_of_ours_but_the_errors() -> None:
    assert imported_rooms(PACKAGE / "client.py") <= {"errors"}


def test_models_know_nothing_about_tuning() -> None:
    for path in (PACKAGE / "llm").glob("*.py"):
        assert imported_rooms(path) <= {"errors", "records", "llm"}, path


def test_modules_stay_short() -> None:
    long = {str(p.relative_to(PACKAGE)): n for p in FILES if (n := len(p.read_text().splitlines())) > 500}
    assert long == {}
