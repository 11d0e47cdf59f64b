"""What a comparison is asked for: methods, seeds, names and the plan of its studies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tcs_hpt.compare import Contender, enter, parse_contenders, parse_seeds, study_name
from tcs_hpt.errors import UserError
from tcs_hpt.spec import StudySpec
from tcs_hpt.store import Store
from tests.build import task
from tests.comparing import TRIALS, Executor, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Store.open(str(tmp_path / "studies.db")) as store:
        yield World(tmp_path, store)


def test_methods_may_carry_a_model() -> None:
    assert parse_contenders("tcs-paper@ollama:qwen3:8b, coin:tcs-paper,coin:tcs,random") == (
        Contender("tcs-paper", "ollama:qwen3:8b"),
        Contender("coin:tcs-paper"),
        Contender("coin"),
        Contender("random"),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no method"),
        ("coin,coin", "named twice"),
        ("coin@embedded:x", "asks no language model"),
        ("magic", "there is no method 'magic'"),
        ("magic@embedded:x", "there is no method 'magic'"),
        ("tcs-paper@", "must follow the @"),
    ],
)
def test_wrong_methods_are_refused(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse_contenders(text)


def test_seeds_are_a_number_or_a_list() -> None:
    assert parse_seeds("3") == (0, 1, 2)
    assert parse_seeds("0,3, 7") == (0, 3, 7)
    assert parse_seeds("7,") == (7,)
    for wrong in ("0", "", "a", "1,1", "-1", "1.5"):
        with pytest.raises(UserError):
            parse_seeds(wrong)


def test_a_seed_is_not_taken_for_a_number_of_seeds() -> None:
    with pytest.raises(UserError) as caught:
        parse_seeds("2024")
    assert "--seeds 2024," in caught.value.hint


def test_a_shorter_budget_is_no_comparison(world: World) -> None:
    world.make(world.plan("coin", "1", trials=3), Executor()).run()
    with pytest.raises(UserError, match="has 3 trials already"):
        enter(world.plan("coin,expert", "1", trials=2), world.store)
    assert [row.trials for row in world.store.list_studies()] == [3]  # refused as a whole


def test_names_of_studies_fit_and_tell_apart() -> None:
    assert study_name("c", "mlp", Contender("coin:raw"), 4) == "c--mlp--coin-raw--4"
    long = [Contender("tcs-paper", f"embedded:/models/a-very-long-folder/--x--/{i}.gguf") for i in (1, 2)]
    names = [study_name("c" * 40, "t" * 64, c, 10**9 - 1) for c in long]
    assert names[0] != names[1]
    for name in names:
        assert StudySpec(name=name, task=task()).name == name


def test_the_plan_is_seed_by_seed_under_equal_rules(world: World) -> None:
    planned = world.plan("coin,tcs-paper,tcs-paper@two", "0,5", start="cold")
    assert [p.spec.name for p in planned] == [
        "c--digits--coin--0",
        "c--digits--tcs-paper--0",
        "c--digits--tcs-paper-two--0",
        "c--digits--coin--5",
        "c--digits--tcs-paper--5",
        "c--digits--tcs-paper-two--5",
    ]
    assert {(p.spec.start, p.spec.trials, p.spec.comparison) for p in planned} == {("cold", TRIALS, "c")}
    assert [p.spec.analysis_model for p in planned[:3]] == ["", "one", "two"]
    assert planned[1].analysis is planned[4].analysis  # opened once
    assert planned[1].analysis is not planned[2].analysis


def test_the_same_model_under_two_names_is_no_second_method(world: World) -> None:
    with pytest.raises(UserError, match="come to the same"):
        world.plan("tcs-paper,tcs-paper@one")


def test_two_tasks_of_one_name_are_refused(world: World) -> None:
    with pytest.raises(UserError, match="two tasks have the same name: digits"):
        world.plan(tasks=[world.entry, world.entry])
