"""Manifests of scripts that stay as they are: what is wrong with how they are told and read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcs_hpt.catalog import load_task

from .test_catalog import GOOD, problems, write

SCRIPTED = (
    GOOD.replace('"train.py"]', '"train.py", "--config", "{config}", "--seed={seed}"]')
    + """
[env]
RATE = "{lr}"
[config]
template = "base.yaml"
[config.keys]
optimizer = "optimizer.name"
momentum = "optimizer.momentum"
[metrics]
source = "stdout"
format = "pattern"
patterns = ['val=(?P<val_accuracy>\\S+)']
"""
)
TEMPLATE = "optimizer: {name: adam, momentum: 0.9}\nepochs: 3\n"

BROKEN_SCRIPTED: dict[str, tuple[str, str, str, str, str]] = {
    "another place to run": (
        'name = "good"',
        'name = "good"\nrun_in = "tasks"',
        "run_in",
        'must be trial or task, got "tasks"',
        "Did you mean `task`?",
    ),
    "no table for the file": (
        '[config]\ntemplate = "base.yaml"\n[config.keys]\noptimizer = "optimizer.name"\nmomentum = "optimizer.momentum"\n',
        "",
        "command",
        "{config} in `command` is the path of the file that [config] describes, which is missing",
        "Add [config]",
    ),
    "an unknown placeholder in a variable": ('"{lr}"', '"{lrr}"', "env.RATE", "{lrr} in `env.RATE`", "`lr`?"),
    "a number as a variable": ('"{lr}"', "3", "env.RATE", "must be text, got 3", 'RATE = "3"'),
    "a variable with a space": ("RATE", '"MY RATE"', "env.MY RATE", "environment variable", "letters"),
    "a variable of the engine": (
        "RATE",
        "Tcs_Hpt_Trial_Dir",
        "env.Tcs_Hpt_Trial_Dir",
        "TCS_HPT_ are the engine's",
        "another name",
    ),
    "variables that are no table": (
        "[env]\n",
        "[env]\n[profiles.x]\n",
        "profiles.x.RATE",
        "unknown key",
        "keys",
    ),
    "a template that is not there": (
        "base.yaml",
        "bse.yaml",
        "config.template",
        "'bse.yaml' does not exist",
        "base.yaml",
    ),
    "a template of a kind that is not known": (
        '"base.yaml"',
        '"train.py"',
        "config.format",
        "`format` is needed",
        '`format = "json"`',
    ),
    "a template that is not of its kind": (
        '"base.yaml"',
        '"base.yaml"\nformat = "toml"',
        "config.template",
        "base.yaml is not TOML",
        "Correct the file",
    ),
    "a key of nothing": (
        "momentum = ",
        "momentun = ",
        "config.keys.momentun",
        "neither a parameter nor a fixed value nor seed",
        "Did you mean `momentum`?",
    ),
    "a place inside a single value": (
        '"optimizer.momentum"',
        '"epochs.momentum"',
        "config.keys.momentum",
        "`epochs` is a single value",
        "another place",
    ),
    "a table in the place of a value": (
        'momentum = "optimizer.momentum"',
        'momentum = "optimizer"',
        "config.keys.momentum",
        "`optimizer` is a table",
        "another place",
    ),
    "a parameter that is somewhere else in the template": (
        'momentum = "optimizer.momentum"\n',
        "",
        "config.keys",
        "no `momentum` at its top, where momentum would go, but `optimizer.momentum`",
        '`momentum = "optimizer.momentum"`',
    ),
    "a parameter with the name of the file": (
        "max_train = 600",
        "config = 600",
        "fixed.config",
        "`config` cannot be the name",
        "Rename it",
    ),
    "no source": ('source = "stdout"\n', "", "metrics.source", "`source` is missing", 'source = "stderr"'),
    "an unknown format": (
        'format = "pattern"',
        'format = "patterns"',
        "metrics.format",
        "must be pattern or jsonl or csv or json",
        "Did you mean `pattern`?",
    ),
    "a table on a terminal": (
        "format = \"pattern\"\npatterns = ['val=(?P<val_accuracy>\\S+)']",
        'format = "csv"',
        "metrics.format",
        "must be pattern or jsonl for stdout",
        "Name the file",
    ),
    "patterns for another format": (
        'source = "stdout"\nformat = "pattern"',
        'source = "log.csv"\nformat = "csv"',
        "metrics.patterns",
        "belong to",
        "Remove `patterns`",
    ),
    "no patterns": (
        "patterns = ['val=(?P<val_accuracy>\\S+)']",
        "",
        "metrics.patterns",
        "is missing",
        "Add `patt",
    ),
    "a pattern without a list": (
        "['val=(?P<val_accuracy>\\S+)']",
        '"x"',
        "metrics.patterns",
        "a list",
        '["x"]',
    ),
    "a wrong expression": (
        "(?P<val_accuracy>",
        "((?P<val_accuracy>",
        "metrics.patterns",
        "unterminated",
        "Correct",
    ),
    "no named group": ("(?P<val_accuracy>", "(", "metrics.patterns", "named groups", "Put a name"),
    "no group of the objective": (
        "<val_accuracy>",
        "<val_acc>",
        "metrics.patterns",
        "is 'val_accuracy', the objective's metric; the groups are val_acc",
        "Did you mean `val_acc`?",
    ),
    "names beside patterns": (
        'source = "stdout"',
        'names = { a = "b" }\nsource = "stdout"',
        "metrics.names",
        "no use",
        "Remove [metrics.names]",
    ),
    "another score": (
        'source = "stdout"',
        'score = "first"\nsource = "stdout"',
        "metrics.score",
        "last or best",
        'score = "last"',
    ),
    "an unknown placeholder in a path": (
        'source = "stdout"',
        'source = "{out}/stdout"',
        "metrics.source",
        "{out} in `metrics.source`",
        "Declare [params.out]",
    ),
}


@pytest.mark.parametrize("name", BROKEN_SCRIPTED)
def test_each_problem_of_an_unchanged_script_is_named_and_has_a_fix(tmp_path: Path, name: str) -> None:
    old, new, key, message, fix = BROKEN_SCRIPTED[name]
    assert old in SCRIPTED
    (tmp_path / "base.yaml").write_text(TEMPLATE)
    found = problems(tmp_path, SCRIPTED.replace(old, new, 1))
    assert [p.key for p in found] == [key], found
    assert message in found[0].message
    assert fix in found[0].fix


def test_a_good_manifest_of_an_unchanged_script(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(TEMPLATE)
    spec = load_task(write(tmp_path, SCRIPTED)).spec
    assert spec.config is not None
    assert spec.config_paths()["momentum"] == "optimizer.momentum"
    assert "lr" not in spec.config_paths()
    assert spec.with_profile("quick").metrics == spec.metrics


def test_every_pattern_that_is_wrong_is_listed(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(TEMPLATE)
    text = SCRIPTED.replace("['val=", "['(', 'none', 'val=")
    found = problems(tmp_path, text)
    assert [p.key for p in found] == ["metrics.patterns"] * 2
    assert "'('" in found[0].message
    assert "'none'" in found[1].message
