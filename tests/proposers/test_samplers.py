from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest

from tcs_hpt.errors import UserError
from tcs_hpt.proposers import ProposalContext, Proposer, make_proposer
from tcs_hpt.proposers._optuna_space import OptunaSpace
from tcs_hpt.proposers.samplers import CmaesProposer, SamplerProposer, TpeProposer
from tcs_hpt.records import Trial
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Config, StudySpec
from tcs_hpt.testing.proposers import SPACES, ended, play, proposer_study

METHODS = ["tpe", "gp", "cmaes"]
TWO: dict[str, Any] = {
    "x": {"type": "float", "low": 0.0, "high": 1.0, "default": 0.5},
    "y": {"type": "float", "low": 1e-4, "high": 1.0, "log": True, "default": 1e-2},
}


def best_of(proposer: Proposer, study: StudySpec, count: int, wanted: Config) -> list[Trial]:
    """A study whose score is how near a configuration is to one that only the test knows."""
    space = SearchSpace(study.task.params)
    trials: list[Trial] = []
    for number in range(1, count + 1):
        proposal = proposer.propose(ProposalContext(study, trials, number))
        assert proposal is not None
        value = -(sum((space.encode(proposal.config) - space.encode(wanted)) ** 2))
        trials.append(ended(number, proposal, space, value=value, metrics={"val_accuracy": value}))
    return trials


def distances(trials: list[Trial]) -> list[float]:
    return [-(t.value or 0.0) for t in trials]


@pytest.mark.parametrize("method", ["tpe", "gp"])
def test_start_up_trials_are_those_of_random(method: str) -> None:
    """So a paired comparison begins at the third model-based trial, not in the noise of two draws."""
    study = proposer_study(SPACES["conditions"], seed=5)
    own = play(make_proposer(method), study, 3, ("finished",))
    random = play(make_proposer("random"), study, 3, ("finished",))
    assert [t.config for t in own] == [t.config for t in random]
    assert [t.proposal.source for t in own] == ["start", method, method]
    assert "starts after 3 scored trials, and there are 2" in own[2].proposal.reason
    fourth = make_proposer(method).propose(ProposalContext(study, own, 4))
    assert fourth is not None
    assert "after 3 scored trials" in fourth.reason


@pytest.mark.parametrize("method", METHODS)
def test_a_start_up_lasts_until_enough_trials_have_scores(method: str) -> None:
    study = proposer_study(SPACES["one float"])
    trials = play(make_proposer(method), study, 6, ("failed",))
    assert all("Drawn at random" in t.proposal.reason for t in trials[1:])


@pytest.mark.parametrize(("method", "count"), [("tpe", 24), ("gp", 9), ("cmaes", 40)])
def test_they_learn_from_the_scores_and_which_way_is_better(method: str, count: int) -> None:
    wanted: Config = {"x": 0.25, "y": 0.1}
    near, far = (
        distances(best_of(make_proposer(method), proposer_study(TWO, seed=1, direction=d), count, wanted))
        for d in ("maximize", "minimize")
    )
    assert min(near[-4:]) < 0.02
    assert max(far[-4:]) > 0.4  # the farthest corner is 1.1 away


def test_cmaes_moves_after_a_generation_of_its_own_trials() -> None:
    """The replay gives the sampler its state back: what it was told moves where it draws."""
    trials = best_of(CmaesProposer(), proposer_study(TWO, seed=0), 36, {"x": 0.9, "y": 0.5})
    xs = [float(t.config["x"]) for t in trials]
    assert sum(xs[1:5]) / 4 < 0.7
    assert sum(xs[-8:]) / 8 > 0.8  # without its state it stays around 0.5


def test_cmaes_proposes_as_in_a_study_that_never_ended() -> None:
    """The replay of the records leaves the same state as having asked and told all along."""
    import optuna

    study = proposer_study(TWO)
    trials = best_of(CmaesProposer(), study, 20, {"x": 0.9, "y": 0.5})
    proposer = CmaesProposer()
    context = ProposalContext(study, trials, 21)
    space = OptunaSpace(context.space)
    replayed = proposer._told(context, space)
    sampler = optuna.samplers.CmaEsSampler(popsize=proposer.generation, seed=0)
    whole = optuna.create_study(sampler=sampler, direction="maximize")
    for trial in trials:
        whole.enqueue_trial(space.params(trial.config))
        asked = whole.ask()
        space.draw(asked)
        assert asked.relative_params is not None
        whole.tell(asked, trial.value)
    generations = [[t.system_attrs.get("cma:generation") for t in s.trials] for s in (replayed, whole)]
    assert generations[0] == generations[1]
    assert generations[0][:6] == [None, 0, 0, 0, 0, 1]


def test_what_a_sampler_leaves_to_chance_is_named() -> None:
    study = proposer_study(SPACES["conditions"], seed=0)
    trials = play(make_proposer("cmaes"), study, 12, ("finished",))
    sgd = next(t for t in trials[1:] if t.config["optimizer"] == "sgd")
    assert "At random: optimizer, momentum, nesterov" in sgd.proposal.reason
    numbers = proposer_study(TWO)
    assert "At random" not in play(make_proposer("cmaes"), numbers, 3, ("finished",))[-1].proposal.reason


class Recorder(TpeProposer):
    """Keeps the in-memory study that it was told."""

    def _told(self, context: ProposalContext, space: OptunaSpace) -> Any:
        self.told = super()._told(context, space)
        return self.told


def test_failed_trials_are_told_as_failed_running_as_running_interrupted_not_at_all() -> None:
    study = proposer_study(SPACES["conditions"])
    states = ("finished", "failed", "finished", "interrupted", "running", "finished")
    trials = play(TpeProposer(), study, 5, states)
    recorder = Recorder()
    assert recorder.propose(ProposalContext(study, trials, len(trials) + 1)) is not None
    told = recorder.told.trials[:-1]  # the last is the one that was asked for
    assert [t.state.name for t in told] == ["COMPLETE", "FAIL", "COMPLETE", "RUNNING", "COMPLETE"]
    counted = [t for t in trials if t.consumes_budget]
    assert [set(t.params) for t in told] == [set(t.config) for t in counted]
    best = max(counted, key=lambda t: -1.0 if t.value is None else t.value)
    assert recorder.told.best_trial.number == counted.index(best)


class Stubborn(SamplerProposer):
    """A sampler that proposes trial 1 whenever it is asked."""

    source = "stubborn"
    startup = 1
    why = "Always the same"

    def _sampler(self, context: ProposalContext) -> Any:
        import optuna

        return optuna.samplers.PartialFixedSampler({"depth": 7}, optuna.samplers.RandomSampler(seed=0))


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_sampler_that_repeats_itself_is_replaced_by_a_draw_and_named() -> None:
    study = proposer_study(SPACES["one integer"])
    trials = play(Stubborn(), study, 2, ("finished",))
    assert trials[1].config != {"depth": 7}
    assert trials[1].proposal.source == "stubborn"
    assert trials[1].proposal.reason == (
        "Drawn at random, since stubborn proposed tested configurations 10 times."
    )


@pytest.mark.parametrize(
    ("method", "package"),
    [("gp", "torch"), ("gp", "greenlet"), ("cmaes", "cmaes"), ("gp", "threadpoolctl"), ("ga", "deap")],
)
def test_a_missing_package_is_told_when_the_method_is_made(
    method: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=f"method '{method}' needs the package '{package}'") as error:
        make_proposer(method)
    assert f"pip install 'tcs-hpt[{method}]'" in error.value.hint


def test_nothing_is_said_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("optuna.storages").setLevel(logging.NOTSET)
    for method in [*METHODS, "random", "grid", "ga:2"]:
        play(make_proposer(method), proposer_study(SPACES["conditions"]), 6)
    assert capfd.readouterr() == ("", "")


def test_optuna_is_imported_only_when_it_is_needed() -> None:
    """A third of a second that `tcs-hpt --help` does not pay."""
    code = "import sys, tcs_hpt.proposers; sys.exit('optuna' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
