from __future__ import annotations

import logging
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    RelativeSamplerTestCase,
    SingleOnlySamplerTestCase,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from tcs_hpt import Float, Int
from tcs_hpt.errors import ModelUnavailable, UserError
from tcs_hpt.integrations import optuna as module
from tcs_hpt.integrations._optuna_records import Translation, distribution_of, parameter_of
from tcs_hpt.integrations.optuna import TcsSampler, proposal_of
from tcs_hpt.llm.scripted import ScriptedModel, first_choice
from tcs_hpt.records import Trial
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import CategoricalParameter, FloatParameter, IntParameter

optuna.logging.set_verbosity(optuna.logging.ERROR)

# -- Optuna's own tests -------------------------------------------------------------------------------------
#
# `MultiObjectiveSamplerTestCase` does not apply: several objectives are refused, which `SingleOnlySamplerTestCase` checks.


class TestExpertAsASamplerOfOptuna(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: TcsSampler("expert", seed=0)


class TestAgentsAsASamplerOfOptuna(SingleOnlySamplerTestCase):
    """With a scripted model; what a space does is tested with the expert, which shares everything but the choice."""

    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: TcsSampler("tcs", model=ScriptedModel(then=first_choice), seed=0)

    test_conditional = BasicSamplerTestCase.test_conditional_parameter_objective
    test_nan = BasicSamplerTestCase.test_nan_objective_value
    test_lazily = RelativeSamplerTestCase.test_trial_relative_params


# -- a study ------------------------------------------------------------------------------------------------


def objective(trial: optuna.Trial) -> float:
    lr = trial.suggest_float("lr", 1e-4, 1.0, log=True)
    layers = trial.suggest_int("layers", 1, 5)
    name = trial.suggest_categorical("optimizer", ["adam", "sgd"])
    return abs(math.log10(lr) + 2) + 0.1 * layers + (name == "sgd")


def study_of(sampler: BaseSampler, **options: Any) -> optuna.Study:
    return optuna.create_study(sampler=sampler, **options)


def test_the_first_trial_is_what_is_known_of_the_names_or_the_middle() -> None:
    study = study_of(TcsSampler("expert", description="An MLP classifies images."))

    def first(trial: optuna.Trial) -> float:
        trial.suggest_categorical("optimizer", ["sgd", "adam"])
        trial.suggest_float("lr", 1e-6, 1.0, log=True)
        trial.suggest_float("nobody_knows", 0.0, 2.0)
        return 0.0

    study.optimize(first, n_trials=1)
    assert study.trials[0].params == {"optimizer": "adam", "lr": 1e-3, "nobody_knows": 1.0}


def test_every_later_trial_is_one_change_that_says_why() -> None:
    study = study_of(TcsSampler("expert", seed=1))
    study.optimize(objective, n_trials=6)
    proposals = [proposal_of(t) for t in study.trials]
    assert proposals[0] is None
    for trial, proposal in zip(study.trials[1:], proposals[1:], strict=True):
        assert proposal is not None
        assert proposal.source == "expert"
        assert proposal.reason
        assert proposal.base_trial is not None
        base = study.trials[proposal.base_trial - 1].params
        changed = [n for n in base if base[n] != trial.params[n]]
        assert [proposal.change.partition(":")[0]] == changed
    assert study.best_value < study.trials[0].values[0]


def test_the_agents_are_shown_what_they_said_before() -> None:
    """The report's effects and the analysis live in the storage, not in the sampler."""
    model = ScriptedModel(then=first_choice)
    study = study_of(TcsSampler("tcs", model=model, description="photos of birds"))
    study.optimize(objective, n_trials=4)
    last = proposal_of(study.trials[-1])
    assert last is not None
    assert last.analysis is not None
    prompt = "\n".join(m.content for m in model.requests[-2].messages)
    assert "photos of birds" in prompt
    latest = proposal_of(study.trials[2])
    assert latest is not None
    assert f"Trial 3 against its base trial {latest.base_trial}: {latest.change}" in prompt


def test_equal_studies_ask_equal_questions_whatever_optuna_calls_them() -> None:
    asked = []
    for _ in range(2):
        model = ScriptedModel(then=first_choice)
        study_of(TcsSampler("tcs", model=model, seed=2)).optimize(objective, n_trials=3)
        asked.append([request.digest() for request in model.requests])
    assert asked[0] == asked[1] != []


def test_ask_and_tell() -> None:
    study = study_of(TcsSampler("expert"), direction="maximize")
    space: dict[str, Any] = {
        "x": FloatDistribution(0, 1),
        "layer 1": IntDistribution(1, 9),
        "c": CategoricalDistribution((None, True, "a")),
    }
    for _ in range(5):
        trial = study.ask(space)
        study.tell(trial, trial.params["x"] + trial.params["layer 1"])
    assert len({tuple(t.params.values()) for t in study.trials}) == 5
    assert all(t.params["c"] in (None, True, "a") for t in study.trials)


def test_the_same_seed_gives_the_same_trials_also_after_a_break(tmp_path: Path) -> None:
    def params(storage: str | None, *counts: int) -> list[dict[str, Any]]:
        for count in counts:
            study = study_of(TcsSampler("coin", seed=3), storage=storage, study_name="s", load_if_exists=True)
            study.optimize(objective, n_trials=count)
        return [t.params for t in study.trials]

    whole = params(None, 6)
    assert params(f"sqlite:///{tmp_path}/o.db", 2, 4) == whole
    other = study_of(TcsSampler("coin", seed=4))
    other.optimize(objective, n_trials=6)
    assert [t.params for t in other.trials] != whole


def test_trials_side_by_side_differ() -> None:
    study = study_of(TcsSampler("expert", seed=0))
    study.optimize(objective, n_trials=8, n_jobs=4)
    later = [tuple(t.params.values()) for t in study.trials if proposal_of(t) is not None]
    assert len(set(later)) == len(later) >= 1


def test_running_trials_count_with_what_they_will_be_told() -> None:
    study = study_of(TcsSampler("expert", seed=0))
    study.optimize(objective, n_trials=2)
    asked = [study.ask() for _ in range(4)]
    first = [t.suggest_float("lr", 1e-4, 1.0, log=True) for t in asked]  # the rest is not asked for yet
    rest = [
        (t.suggest_int("layers", 1, 5), t.suggest_categorical("optimizer", ["adam", "sgd"])) for t in asked
    ]
    assert len(set(zip(first, rest, strict=True))) == 4


def test_a_failure_is_seen_and_not_repeated() -> None:
    """Samplers of Optuna's forget failed trials; the first one would be repeated for ever."""

    def fails(trial: optuna.Trial) -> float:
        objective(trial)
        raise ValueError("no such layer")

    study = study_of(TcsSampler("expert", seed=0))
    study.optimize(fails, n_trials=4, catch=ValueError)
    assert len({tuple(t.params.values()) for t in study.trials}) == 4
    assert all(t.state == TrialState.FAIL for t in study.trials)


def test_a_used_up_space_is_drawn_from_again_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    study = study_of(TcsSampler("expert", seed=0))
    with caplog.at_level(logging.WARNING, logger=module.__name__):
        study.optimize(lambda t: float(t.suggest_int("x", 1, 3)), n_trials=8)
    assert {t.params["x"] for t in study.trials[:3]} == {1, 2, 3}
    assert [r.message for r in caplog.records] == [
        "trial 3: every configuration of x was tried, so the RandomSampler draws from here on"
    ]
    assert proposal_of(study.trials[3]) is None


def test_conditions_are_followed_where_they_are_declared() -> None:
    space: dict[str, Any] = {
        "optimizer": ["adam", "sgd"],
        "lr": Float(1e-4, 1.0, log=True, default=0.1),
        "momentum": Float(0.5, 0.99, when={"optimizer": "sgd"}),
        "layers": Int(1, 5),
    }
    asked: list[str] = []

    def conditional(trial: optuna.Trial) -> float:
        name = trial.suggest_categorical("optimizer", ["adam", "sgd"])
        lr = trial.suggest_float("lr", 1e-4, 1.0, log=True)
        layers = trial.suggest_int("layers", 1, 5)
        momentum = trial.suggest_float("momentum", 0.5, 0.99) if name == "sgd" else 0.9
        return abs(momentum - 0.6) + abs(math.log10(lr) + 1) + layers + (name == "adam")

    class Watched(TcsSampler):
        def sample_independent(self, *args: Any) -> Any:
            asked.append(args[2])
            return super().sample_independent(*args)

    study = study_of(Watched("expert", seed=0, space=space, start="defaults"))
    study.optimize(conditional, n_trials=12)
    assert asked == []
    assert study.trials[0].params == {"optimizer": "adam", "lr": 0.1, "layers": 3}
    first = proposal_of(study.trials[0])
    assert first is not None
    assert first.source == "start"
    assert any("momentum" in t.params for t in study.trials)
    with pytest.raises(UserError, match="single value for batch_size"):
        TcsSampler("expert", space={**space, "batch_size": 64})


def test_without_a_declaration_they_are_drawn() -> None:
    drawn: list[str] = []

    class Independent(optuna.samplers.RandomSampler):
        def sample_independent(self, *args: Any) -> Any:
            drawn.append(args[2])
            return super().sample_independent(*args)

    def conditional(trial: optuna.Trial) -> float:
        name = trial.suggest_categorical("optimizer", ["adam", "sgd"])
        return trial.suggest_float("momentum", 0.5, 0.99) if name == "sgd" else 0.9

    study = study_of(TcsSampler("expert", independent_sampler=Independent(seed=0)))
    for name in ("adam", "sgd", "sgd"):
        study.enqueue_trial({"optimizer": name})
    study.optimize(conditional, n_trials=3)
    assert study.trials[1].params["momentum"] == pytest.approx(0.9, abs=0.1)  # the first time: by its name
    assert drawn == ["momentum"]


def test_an_enqueued_value_stays_and_the_rest_is_proposed_for_it() -> None:
    study = study_of(TcsSampler("expert", seed=0))
    study.optimize(objective, n_trials=1)
    study.enqueue_trial({"layers": 5})
    study.enqueue_trial({"layers": 5, "lr": 0.5, "optimizer": "sgd"})
    study.optimize(objective, n_trials=2)
    proposal = proposal_of(study.trials[1])
    assert proposal is not None
    assert study.trials[1].params == {"layers": 5, **proposal.config}
    assert set(proposal.config) == {"lr", "optimizer"}
    assert proposal_of(study.trials[2]) is None


def test_a_study_with_a_pruner_of_brackets() -> None:
    def learns(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        for step in range(8):
            trial.report(x * step, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return x

    pruner = optuna.pruners.HyperbandPruner(max_resource=8)
    study = study_of(TcsSampler("expert", seed=0), pruner=pruner)
    study.optimize(learns, n_trials=12)
    assert len(study.trials) == 12


def test_several_objectives_are_refused_before_anything_runs() -> None:
    study = study_of(TcsSampler("expert"), directions=["minimize", "maximize"])
    with pytest.raises(ValueError, match="one objective, and study"):
        study.ask()


def test_a_pickled_sampler_goes_on_as_the_original() -> None:
    def after(sampler: TcsSampler) -> list[dict[str, Any]]:
        study = study_of(sampler)
        study.optimize(objective, n_trials=4)
        return [t.params for t in study.trials]

    sampler = TcsSampler("tcs", model="scripted:first", seed=5)
    copy = pickle.loads(pickle.dumps(sampler))
    assert after(copy) == after(sampler)
    copy.close()
    copy.close()
    assert len(after(copy)) == 4


def test_reseeding_gives_another_seed() -> None:
    sampler = TcsSampler("coin", seed=0)
    sampler.reseed_rng()
    study = study_of(sampler)
    study.optimize(objective, n_trials=6)
    same = study_of(TcsSampler("coin", seed=0))
    same.optimize(objective, n_trials=6)
    assert [t.params for t in study.trials] != [t.params for t in same.trials]


def test_what_is_wrong_is_said_when_the_sampler_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="there is no method 'tpee'"):
        TcsSampler("tpee")

    def nobody(name: str) -> Any:
        raise ModelUnavailable("there is no language model to use", hint="Start Ollama.")

    monkeypatch.setattr(module, "open_model", nobody)
    with pytest.raises(ModelUnavailable):
        TcsSampler()


# -- translation --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distribution", "parameter"),
    [
        (FloatDistribution(0, 1), FloatParameter(low=0, high=1)),
        (FloatDistribution(0.1, 1, log=True), FloatParameter(low=0.1, high=1, log=True)),
        (FloatDistribution(0, 1, step=0.25), FloatParameter(low=0, high=1, step=0.25)),
        (IntDistribution(1, 9, step=2), IntParameter(low=1, high=9, step=2)),
        (IntDistribution(1, 64, log=True), IntParameter(low=1, high=64, log=True)),
        (CategoricalDistribution(("a", 1, True)), CategoricalParameter(choices=("a", 1, True))),
    ],
)
def test_distributions_there_and_back(distribution: Any, parameter: Any) -> None:
    assert parameter_of(distribution) == parameter
    assert distribution_of(parameter) == distribution


def test_choices_and_names_that_records_cannot_hold() -> None:
    distributions: dict[str, Any] = {
        "layer 1": IntDistribution(1, 3),
        "layer_1": IntDistribution(1, 3),
        "größe": CategoricalDistribution((None, "none", "", "a\nb", "x" * 70)),
    }
    translation = Translation(distributions, study_name="my study", metric="value", direction="minimize")
    assert translation.space.names == ("layer_1_2", "layer_1", "gr__e")
    for choice in distributions["größe"].choices:
        params = {"layer 1": 1, "layer_1": 2, "größe": choice}
        config = translation.config(params)
        assert translation.space.contains(config)
        assert translation.params(config) == params


def frozen(number: int, x: float, state: TrialState, value: float | None = None, **more: Any) -> FrozenTrial:
    trial = create_trial(
        state=state, value=value, params={"x": x}, distributions={"x": FloatDistribution(0, 1)}, **more
    )
    trial.number = number
    return trial


@pytest.fixture
def records() -> Callable[..., dict[int, Trial]]:
    translation = Translation(
        {"x": FloatDistribution(0, 1)}, study_name="s", metric="loss", direction="minimize"
    )
    assert isinstance(translation.space, SearchSpace)
    return lambda *trials: {t.number: t for t in translation.records(trials)}


def test_what_becomes_of_trials(records: Callable[..., dict[int, Trial]]) -> None:
    found = records(
        frozen(0, 0.1, TrialState.COMPLETE, 2.0, intermediate_values={3: math.nan, 1: 5.0}),
        frozen(1, 0.2, TrialState.FAIL),
        frozen(2, 0.3, TrialState.PRUNED, 9.0, intermediate_values={4: 9.0}),
        frozen(3, 0.4, TrialState.PRUNED, 1.0, intermediate_values={4: 1.0}),
        frozen(4, 0.5, TrialState.PRUNED),
        frozen(5, 0.6, TrialState.COMPLETE, math.inf),
        frozen(6, 0.7, TrialState.COMPLETE, 1.0, constraints={"memory": 2.0}),
        frozen(7, 0.8, TrialState.RUNNING),
    )
    assert [t.state for t in found.values()] == [
        *("finished", "failed", "finished", "failed", "failed", "failed", "failed", "running")
    ]
    assert [(e.epoch, e.metrics["loss"], e.non_finite) for e in found[1].epochs] == [
        (1, 5.0, ()),
        (3, None, ("loss",)),
    ]
    messages = {n: (t.failure.kind, t.failure.message) for n, t in found.items() if t.failure is not None}
    assert messages[4] == ("timeout", "it was pruned at step 4, before it had finished")
    assert messages[6] == ("diverged", "the value of the objective is not finite")
    assert messages[7] == ("invalid", "it violates the constraint memory")


def test_trials_outside_the_space_are_left_out(records: Callable[..., dict[int, Trial]]) -> None:
    other = create_trial(value=1.0, params={"x": 7.0}, distributions={"x": FloatDistribution(5, 9)})
    assert list(records(other, frozen(1, 0.5, TrialState.COMPLETE, 1.0))) == [2]
