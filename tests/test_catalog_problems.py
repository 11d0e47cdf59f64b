"""Every mistake in a manifest is named by its key, and told with what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from .test_catalog import GOOD, problems

# One change of the good manifest each: what is replaced, by what, the key, words of the message, words of the fix.
BROKEN: dict[str, tuple[str, str, str, str, str]] = {
    "unknown key": (
        "log = true",
        "logg = true",
        "params.lr.logg",
        "unknown key `logg`",
        "Did you mean `log`?",
    ),
    "unknown key without a near one": (
        "log = true",
        "zzz = 1",
        "params.lr.zzz",
        "`zzz`",
        "the keys here are",
    ),
    "unknown top key": ("[fixed]", "[fixd]", "fixd", "unknown key `fixd`", "Did you mean `fixed`?"),
    "text for a number": (
        "low = 1e-4",
        'low = "0.1"',
        "params.lr.low",
        '`low` must be a number, got "0.1"',
        "`low = 0.1`",
    ),
    "true for a number": ("low = 1e-4", "low = true", "params.lr.low", "must be a number", "without quotes"),
    "fraction for a whole number": (
        "low = 1\n",
        "low = 1.0\n",
        "params.epochs.low",
        "`low` must be a whole number, got 1.0",
        "`low = 1`",
    ),
    "text for a switch": (
        "log = true",
        'log = "yes"',
        "params.lr.log",
        "must be true or false",
        "`log = true`",
    ),
    "infinite": ("high = 1.0\n", "high = inf\n", "params.lr.high", "finite number", "Write a number"),
    "no low": ("low = 1e-4\n", "", "params.lr.low", "`low` is missing", "Add `low"),
    "no name": ('name = "good"\n', "", "name", "`name` is missing", 'name = "my_task"'),
    "no schema": ("schema = 1\n", "", "schema", "`schema` is missing", "schema = 1"),
    "another schema": ("schema = 1", "schema = 2", "schema", "`schema` must be 1, got 2", "`schema = 1`"),
    "no command": (
        'command = ["{python}", "train.py"]\n',
        "",
        "command",
        "missing",
        '["{python}", "train.py"]',
    ),
    "a command of one text": (
        '["{python}", "train.py"]',
        '"python train.py"',
        "command",
        "must be a list",
        '["{python}", "train.py"]',
    ),
    "an empty command": ('["{python}", "train.py"]', "[]", "command", "must name a program", "command ="),
    "no type": ('type = "int"\n', "", "params.epochs.type", "`type` is missing", 'type = "int"'),
    "a wrong type": (
        'type = "int"',
        'type = "flaot"',
        "params.epochs.type",
        'must be float, int or categorical, got "flaot"',
        "Did you mean `float`?",
    ),
    "low above high": (
        "low = 1e-4",
        "low = 10.0",
        "params.lr.low",
        "`low` must be below `high`, got low=10.0, high=1.0",
        "Swap them",
    ),
    "log from zero": (
        "low = 1e-4",
        "low = 0.0",
        "params.lr.low",
        "above 0 on a log scale",
        "remove `log = true`",
    ),
    "step on a log scale": (
        "log = true",
        "log = true\nstep = 0.1",
        "params.lr.step",
        "combined",
        "Remove `step`",
    ),
    "default outside": (
        "default = 20",
        "default = 41",
        "params.epochs.default",
        "between",
        "between 1 and 40",
    ),
    "default is no choice": (
        'choices = ["adam", "sgd"]',
        'choices = ["adam", "sgd"]\ndefault = "Adam"',
        "params.optimizer.default",
        "one of the choices",
        '["adam", "sgd"]',
    ),
    "one choice": (
        'choices = ["adam", "sgd"]',
        'choices = ["sgd"]',
        "params.optimizer.choices",
        "at least two",
        "[fixed]",
    ),
    "choices without a list": ('["adam", "sgd"]', '"adam"', "params.optimizer.choices", "a list", '["adam"]'),
    "a nested choice": (
        '["adam", "sgd"]',
        '["adam", ["sgd"], "sgd"]',
        "params.optimizer.choices.1",
        "a value of `choices` must be text, a finite number",
        "single value",
    ),
    "repeated choice": ('["adam", "sgd"]', '["sgd", "sgd"]', "params.optimizer.choices", "differ", "Remove"),
    "unknown parent": (
        "when = { optimizer",
        "when = { optimiser",
        "params.momentum.when.optimiser",
        "'optimiser', which is not a parameter",
        "Did you mean `optimizer`?",
    ),
    "no choice of the parent": (
        'optimizer = ["sgd"]',
        'optimizer = ["SGD"]',
        "params.momentum.when.optimizer",
        '["SGD"] are not choices',
        '["adam", "sgd"]',
    ),
    "a condition without a list": (
        'optimizer = ["sgd"]',
        'optimizer = "sgd"',
        "params.momentum.when.optimizer",
        "must be a list",
        '["sgd"]',
    ),
    "an empty condition": ('= ["sgd"] }', "= [] }", "params.momentum.when.optimizer", "no value", "List"),
    "a float parent": (
        'optimizer = ["sgd"]',
        "lr = [0.1]",
        "params.momentum.when.lr",
        "a float; a condition needs choices",
        "categorical",
    ),
    "an impossible int": (
        'optimizer = ["sgd"]',
        "epochs = [99]",
        "params.momentum.when.epochs",
        "never",
        "1 to 40",
    ),
    "a circle": (
        'choices = ["adam", "sgd"]',
        'choices = ["adam", "sgd"]\nwhen = { epochs = [1] }\n[params.x]\ntype = "int"\nlow = 1\nhigh = 2\n'
        'when = { y = ["a"] }\n[params.y]\ntype = "categorical"\nchoices = ["a", "b"]\nwhen = { x = [1] }',
        "params.x.when",
        "circle: x, y",
        "Remove `when`",
    ),
    "a missing script": (
        '"train.py"',
        '"trian.py"',
        "command",
        "'trian.py' named in `command` does not",
        "train.py",
    ),
    "a missing program of the folder": (
        '["{python}", "train.py"]',
        '["./go.sh"]',
        "command",
        "'./go.sh'",
        "Create",
    ),
    "an unknown placeholder": (
        '"train.py"]',
        '"train.py", "--lr={learning_rate}", "{max_train}"]',
        "command",
        "{learning_rate} in `command`",
        "Declare",
    ),
    "tuned and fixed": ("max_train = 600", "lr = 0.1", "fixed.lr", "tuned or fixed, not both", "[params.lr]"),
    "a list as a fixed value": (
        "max_train = 600",
        "max_train = [1]",
        "fixed.max_train",
        "must be text",
        "single",
    ),
    "a date as a name": ('name = "good"', "name = 2020-01-01", "name", "`name` must be text", "quotes"),
    "a name with a space": (
        "max_train = 600",
        '"max train" = 6',
        "fixed.max train",
        "spelled",
        "letters, digits",
    ),
    "wrong direction": (
        'direction = "maximize"',
        'direction = "maximise"',
        "objective.direction",
        "must be maximize or minimize",
        "Did you mean `maximize`?",
    ),
    "a test metric": ('"val_accuracy"', '"test_accuracy"', "objective.metric", "test metric", "val_accuracy"),
    "a number as a metric": ('"val_accuracy"', "3", "objective.metric", "must be text", "quotes"),
    "one objective and several": (
        "[objective]",
        "[[objectives]]\nhigh = 1\n[objective]",
        "objectives",
        "exclude each other",
        "first of the",
    ),
    "a limit below zero": (
        "trial_seconds = 10",
        "trial_seconds = -1",
        "limits.trial_seconds",
        "above 0, got -1",
        "remove",
    ),
    "an unknown limit": (
        "trial_seconds = 10",
        "seconds = 1",
        "limits.seconds",
        "unknown key",
        "trial_seconds",
    ),
    "a parameter that is a number": (
        "[fixed]",
        "[params]\nseed = 3\n[fixed]",
        "params.seed",
        "a table",
        "[params.seed]",
    ),
    "a profile's unknown key": (
        "limits = { trial",
        "limit = { trial",
        "profiles.quick.limit",
        "unknown",
        "limits",
    ),
    "a profile's target": (
        "[profiles.quick]",
        '[profiles.quick]\ntarget = "0.9"',
        "profiles.quick.target",
        "number",
        "0.9",
    ),
    "a profile's limit": (
        "trial_seconds = 5",
        'trial_seconds = "5"',
        "profiles.quick.limits.trial_seconds",
        "number",
        "5",
    ),
    "a profile's unknown parameter": (
        "[profiles.quick]",
        "[profiles.quick.params.epoch]\nhigh = 3\n[profiles.quick]",
        "profiles.quick.params.epoch",
        "which is not a parameter",
        "Did you mean `epochs`?",
    ),
    "a profile's range": (
        "[profiles.quick]",
        "[profiles.quick.params.epochs]\nlow = 50\n[profiles.quick]",
        "profiles.quick.params.epochs.low",
        "`low` must be below `high`, got low=50, high=40",
        "Swap",
    ),
    "a profile that leaves the default outside": (
        "[profiles.quick]",
        "[profiles.quick.params.epochs]\nhigh = 5\n[profiles.quick]",
        "profiles.quick.params.epochs.high",
        "`default` must be between low and high, got default=20",
        "between 1 and 5",
    ),
    "a profile that takes a condition's choice": (
        "[profiles.quick]",
        '[profiles.quick.params.optimizer]\nchoices = ["adam", "lion"]\n[profiles.quick]',
        "profiles.quick.params.momentum.when.optimizer",
        '["sgd"] are not choices',
        '["adam", "lion"]',
    ),
    "a profile that fixes a parameter": (
        "[profiles.quick]",
        "[profiles.quick]\nfixed = { lr = 0.1 }",
        "profiles.quick.fixed.lr",
        "not both",
        "Remove it from the profile",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_problem_is_named_and_has_a_fix(tmp_path: Path, name: str) -> None:
    old, new, key, message, fix = BROKEN[name]
    assert old in GOOD
    found = problems(tmp_path, GOOD.replace(old, new, 1))
    assert len(found) == 1, found
    assert found[0].key == key
    assert message in found[0].message
    assert fix in found[0].fix
    assert found[0].file == str(tmp_path / "task.toml")


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    text = (
        GOOD.replace("log = true", "logg = true\nstep = -1")
        .replace("default = 0.01", "default = 5.0")
        .replace("default = 20", 'default = "many"')
        .replace('optimizer = ["sgd"]', 'optimizer = ["rmsprop"]')
        .replace('direction = "maximize"', 'direction = "up"')
        .replace("trial_seconds = 5", "trial_seconds = 0")
    )
    assert [p.key for p in problems(tmp_path, text)] == [
        "params.lr.logg",
        "params.lr.step",
        "params.lr.default",
        "params.epochs.default",
        "params.momentum.when.optimizer",
        "objective.direction",
        "profiles.quick.limits.trial_seconds",
    ]


def test_a_profile_is_checked_also_when_its_parameter_is_broken(tmp_path: Path) -> None:
    text = GOOD.replace("log = true", 'log = "yes"') + '[profiles.quick.params.lr]\nhigh = "2"\nhihg = 3\n'
    keys = ["params.lr.log", "profiles.quick.params.lr.high", "profiles.quick.params.lr.hihg"]
    assert [p.key for p in problems(tmp_path, text)] == keys
