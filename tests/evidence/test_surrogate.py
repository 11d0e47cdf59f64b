from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcs_hpt.evidence.candidates import single_changes
from tcs_hpt.evidence.surrogate import Acquisition, Confidence, Effect, Prior, Ranked, choose, rank
from tcs_hpt.records import Trial
from tcs_hpt.space import Change, SearchSpace
from tcs_hpt.spec import Config, Objective, Scalar
from tests.build import configs, histories, history, spaces, task, trial

SPEC = task()
SPACE = SearchSpace(SPEC.params)
OBJECTIVE = SPEC.objective
BASE = SPACE.defaults()


def run(values: Sequence[Mapping[str, Scalar]], measured: Callable[[Config], float | None]) -> list[Trial]:
    """One trial per set of values, the rest at the defaults."""
    found = [SPACE.completed({**BASE, **v}) for v in values]
    return [trial(n, c, measured(c)) for n, c in enumerate(found, 1)]


def ranked(
    trials: Sequence[Trial], name: str, values: Sequence[Scalar], **options: Any
) -> dict[Scalar, Ranked]:
    """Changes of one parameter of the base, by the new value, best first."""
    base: Config = options.pop("base", BASE)
    changes = [(Change(name, base[name], v), SPACE.changed(base, name, v)) for v in values]
    return {r.change.new: r for r in rank(SPACE, trials, OBJECTIVE, changes, base=base, **options)}


def around(best: float) -> Callable[[Config], float]:
    """A score that falls with the squared distance of the learning rate from the best, in decades."""
    return lambda config: 0.9 - 0.02 * math.log10(float(config["lr"]) / best) ** 2


LADDER: list[Config] = [{"lr": lr} for lr in (1e-3, 1e-4, 1e-1, 1.0)]


def test_a_bowl_on_a_log_axis() -> None:
    found = ranked(run(LADDER, around(1e-2)), "lr", [0.3, 0.01, 0.0003, 0.0001, 0.8])
    assert next(iter(found)) == 0.01
    assert found[0.01].effect.endswith("gain")
    assert (found[0.8].effect, found[0.8].confidence) == ("large loss", "sure")
    assert found[0.8].words == "large loss (sure)"


def test_which_way_is_better() -> None:
    trials = run(LADDER, around(1e-2))
    flipped = [t.model_copy(update={"value": -(t.value or 0.0)}) for t in trials]
    smaller = Objective(metric="loss", direction="minimize")
    changes = single_changes(SPACE, BASE, trials)
    up = rank(SPACE, trials, OBJECTIVE, changes, base=BASE)
    down = rank(SPACE, flipped, smaller, changes, base=BASE)
    assert up == down


def test_a_choice_that_matters() -> None:
    values = [{"optimizer": o, "lr": lr} for o in ("adam", "sgd") for lr in (1e-4, 1e-3, 1e-2)]
    trials = run(values, lambda c: 0.9 if c["optimizer"] == "sgd" else 0.8)
    (change,) = ranked(trials, "optimizer", ["sgd"]).values()
    assert change.effect == "large gain"
    back = ranked(trials, "optimizer", ["adam"], base=trials[4].config)["adam"]
    assert (back.effect, back.confidence) == ("large loss", "sure")


def test_a_gain_is_never_called_sure() -> None:
    values = [{"lr": 10 ** (-4 + i / 5)} for i in range(20)]
    found = ranked(run(values, around(1e-2)), "lr", [0.01, 0.02, 0.5])
    assert found[0.01].effect.endswith("gain")
    assert found[0.01].confidence == "likely"
    assert found[0.5].confidence == "sure"


def cliff(config: Config) -> float | None:
    """Better the faster, up to where it breaks."""
    return None if float(config["lr"]) > 0.05 else around(1.0)(config)


def test_a_failure_pushes_its_neighbours_down_and_leaves_the_rest_as_it_was() -> None:
    trials = run([{"lr": lr} for lr in (1e-3, 1e-4, 1e-2, 0.1, 0.7)], cliff)
    hidden = ranked(trials[:3], "lr", [0.3, 0.03, 0.0003])
    told = ranked(trials, "lr", [0.3, 0.03, 0.0003])
    assert list(hidden) == [0.03, 0.3, 0.0003]
    assert list(told) == [0.03, 0.0003, 0.3]
    assert told[0.3].words == "large loss (sure)"
    assert told[0.0003].effect == hidden[0.0003].effect == "small loss"


def test_one_score_and_a_failure_already_tell_where_not_to_go() -> None:
    trials = run([{"lr": 1e-3}, {"lr": 0.5}], cliff)
    assert next(iter(ranked(trials, "lr", [0.9, 0.3, 0.0002]))) == 0.0002


@pytest.mark.parametrize("collapsed", [0.3, 1e-6, -1e6, -1e308])
def test_one_collapse_does_not_flatten_the_rest(collapsed: float) -> None:
    def measured(config: Config) -> float:
        return collapsed if config["optimizer"] == "sgd" else around(1e-2)(config)

    values: list[Config] = [*LADDER, {"lr": 3e-3}, {"optimizer": "sgd"}]
    found = ranked(run(values, measured), "lr", [0.01, 0.5, 0.0005])
    assert list(found) == [0.01, 0.0005, 0.5]
    assert [r.effect for r in found.values()] == ["small gain", "small loss", "small loss"]


def test_scores_that_differ_by_nothing_are_about_the_same() -> None:
    trials = run(LADDER, lambda c: 0.9 + 1e-6 * float(c["lr"]))
    found = ranked(trials, "lr", [0.0002, 0.05, 0.5])
    assert {r.effect for r in found.values()} == {"about the same"}


def test_a_conditional_parameter() -> None:
    sgd: Config = {"optimizer": "sgd"}
    values: list[Config] = [{}, {"lr": 0.01}, *({**sgd, "momentum": m} for m in (0.0, 0.3, 0.6, 0.9))]
    trials = run(values, lambda c: 0.8 + 0.1 * float(c.get("momentum", 0.5)))
    base = trials[5].config
    moved = ranked(trials, "momentum", [0.95, 0.8, 0.1], base=base)
    assert list(moved) == [0.95, 0.8, 0.1]
    assert moved[0.1].effect == "large loss"
    off = ranked(trials, "optimizer", ["adam"], base=base)["adam"]
    assert off.effect in ("small loss", "large loss")


def test_far_from_all_trials_nothing_is_known() -> None:
    trials = run([{}, {"lr": 0.003}, {"lr": 0.01}], around(1e-2))
    assert ranked(trials, "optimizer", ["sgd"])["sgd"].words == "unknown"
    assert ranked(trials, "lr", [0.005])[0.005].confidence != "unknown"


class Likes:
    """Finds one value sensible and the others not; knows nothing of other parameters."""

    def __init__(self, name: str, value: Scalar) -> None:
        self._liked = (name, value)

    def prior(self, name: str, value: Scalar, config: Mapping[str, Scalar]) -> float:
        assert config[name] == value
        return 0.5 if name != self._liked[0] else float((name, value) == self._liked)


def test_before_two_trials_the_prior_ranks_and_says_that_it_guesses() -> None:
    prior: Prior = Likes("optimizer", "sgd")
    changes = single_changes(SPACE, BASE, [])
    for trials in ([], run([{}], around(1e-2)), run([{}, {"lr": 0.5}], lambda c: None)):
        found = rank(SPACE, trials, OBJECTIVE, changes, base=BASE, prior=prior)
        assert found[0].change.text == "optimizer: adam -> sgd"
        assert found[0].words == "large gain (a guess)"
        assert {r.words for r in found[1:]} == {"unknown"}
        bare = rank(SPACE, trials, OBJECTIVE, changes, base=BASE)
        assert [(r.change, r.config) for r in bare] == changes
        assert {r.words for r in bare} == {"unknown"}


def test_trials_overrule_the_prior() -> None:
    prior = Likes("lr", 0.5)
    values = [0.01, 0.5]
    few = run([{}, {"hidden_size": 30}], lambda c: 0.9)
    assert list(ranked(few, "lr", values, prior=prior)) == [0.5, 0.01]
    assert list(ranked(run(LADDER, around(1e-2)), "lr", values, prior=prior)) == [0.01, 0.5]


def test_where_the_trials_say_nothing_the_prior_still_guesses() -> None:
    trials = run([{}, {"lr": 0.003}, {"lr": 0.01}], around(1e-2))
    found = ranked(trials, "optimizer", ["sgd"], prior=Likes("optimizer", "sgd"))
    assert found["sgd"].confidence == "a guess"


def test_running_and_interrupted_trials_say_nothing() -> None:
    trials = history(SPEC)
    changes = single_changes(SPACE, BASE, trials)
    more = [
        trial(7, SPACE.changed(BASE, "lr", 0.03), None, state="running", failure=None),
        trial(8, SPACE.changed(BASE, "lr", 0.05), None, kind="interrupted", state="interrupted"),
    ]
    once = rank(SPACE, trials, OBJECTIVE, changes, base=BASE)
    assert rank(SPACE, [*trials, *more], OBJECTIVE, changes, base=BASE) == once


@pytest.mark.parametrize("acquisition", get_args(Acquisition))
def test_the_same_whatever_the_order_of_the_records(acquisition: Acquisition) -> None:
    trials = history(SPEC)
    changes = single_changes(SPACE, BASE, trials)
    first, again = (
        rank(SPACE, t, OBJECTIVE, changes, base=BASE, seed=3, acquisition=acquisition)
        for t in (trials, trials[::-1])
    )
    assert first == again
    assert sorted(r.change.text for r in first) == sorted(c.text for c, _ in changes)
    assert [r.score for r in first] == sorted((r.score for r in first), reverse=True)


def test_only_thompson_draws() -> None:
    trials = history(SPEC)
    changes = single_changes(SPACE, BASE, trials)
    for acquisition in get_args(Acquisition):
        one, two = (
            rank(SPACE, trials, OBJECTIVE, changes, base=BASE, seed=s, acquisition=acquisition)
            for s in (1, 2)
        )
        assert (one == two) == (acquisition != "thompson")


def entry(name: str, old: Scalar | None, new: Scalar) -> Ranked:
    return Ranked(Change(name, old, new), {}, 0.0, "small gain", "a guess", "")


def test_the_few_that_are_shown_go_both_ways_and_over_all_parameters() -> None:
    listed = [
        *(entry("lr", 0.1, v) for v in (0.2, 0.3, 0.05, 0.02)),
        *(entry("optimizer", "a", v) for v in ("b", "c", "d")),
        entry("depth", 3, 4),
    ]
    shown = choose(listed, 5)
    assert [r.change.new for r in shown] == [0.2, 0.05, "b", "c", 4]
    assert [r.change.new for r in choose(listed, 3, per_parameter=1)] == [0.2, "b", 4]
    assert [r.change.new for r in choose(listed, 6)] == [0.2, 0.3, 0.05, "b", "c", 4]
    assert choose(listed, 20) == tuple(listed)


@given(st.data(), st.integers(0, 10), st.integers(1, 3))
def test_never_fewer_than_there_are(data: st.DataObject, count: int, per_parameter: int) -> None:
    scalars = st.one_of(st.booleans(), st.integers(0, 3), st.sampled_from(["a", "b"]))
    one = st.builds(entry, st.sampled_from("xyz"), st.none() | scalars, scalars)
    listed = data.draw(st.lists(one, max_size=12))
    shown = choose(listed, count, per_parameter)
    assert len(shown) == min(count, len(listed))
    places = iter(listed)
    assert all(any(r is other for other in places) for r in shown)  # a subsequence: best first


@settings(deadline=None, max_examples=40)
@given(
    st.data(), st.sampled_from([1e-300, 1.0, 1e300]), st.sampled_from(get_args(Acquisition)), st.booleans()
)
def test_any_space_and_any_trials(
    data: st.DataObject, unit: float, acquisition: Acquisition, informed: bool
) -> None:
    space = data.draw(spaces())
    trials = [
        t.model_copy(update={"value": None if t.value is None else t.value * unit})
        for t in data.draw(histories(space))
    ]
    base = data.draw(configs(space))
    changes = single_changes(space, base, trials)
    prior = Likes("p0", base["p0"]) if informed else None
    found = rank(space, trials, OBJECTIVE, changes, base=base, prior=prior, acquisition=acquisition)
    assert sorted(r.change.text for r in found) == sorted(c.text for c, _ in changes)
    for one in found:
        assert math.isfinite(one.score)
        assert one.effect in get_args(Effect)
        assert one.confidence in get_args(Confidence)
        assert one.words
