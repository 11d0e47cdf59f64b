"""What every proposer must do, as a test class to inherit, and spaces and studies to do it with.

    class TestMine(ProposerContract):
        @pytest.fixture
        def proposer(self):
            return MyProposer()

Needs pytest. The proposer may be shared by all tests of a class; it has no memory.
"""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import numpy as np
import pytest

from tcs_hpt.evidence.knowledge import knowledge
from tcs_hpt.proposers import ProposalContext, Proposer
from tcs_hpt.records import EpochRecord, Failure, Proposal, Trial
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Config, StudySpec, TaskSpec

SPACES: dict[str, dict[str, Any]] = {
    "one float": {"lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True}},
    "one integer": {"depth": {"type": "int", "low": 1, "high": 40, "default": 7}},
    "choices only": {
        "optimizer": {"type": "categorical", "choices": ["adam", "sgd", "lion"]},
        "batch_size": {"type": "categorical", "choices": [16, 32, 64, 128, 256]},
        "mixed": {"type": "categorical", "choices": [True, 1, 0.5, "auto"]},
    },
    "conditions": {
        "optimizer": {"type": "categorical", "choices": ["adam", "sgd"], "default": "sgd"},
        "momentum": {"type": "float", "low": 0.0, "high": 0.99, "when": {"optimizer": ["sgd"]}},
        "nesterov": {"type": "categorical", "choices": [False, True], "when": {"optimizer": ["sgd"]}},
        "damping": {"type": "float", "low": 0.1, "high": 1.0, "when": {"nesterov": [False]}},
        "layers": {"type": "int", "low": 1, "high": 3},
        "width": {"type": "int", "low": 8, "high": 512, "log": True, "when": {"layers": [2, 3]}},
    },
    "steps": {
        "dropout": {"type": "float", "low": 0.0, "high": 0.55, "step": 0.1},
        "width": {"type": "int", "low": 8, "high": 63, "step": 8},
        "share": {"type": "float", "low": 0.3333333333333333, "high": 1.0, "step": 0.1},
    },
    "logarithmic integers": {
        "units": {"type": "int", "low": 1, "high": 4096, "log": True, "default": 100},
        "trees": {"type": "int", "low": 3, "high": 11, "log": True},
    },
    "many": {
        f"p{i}": {"type": "float", "low": 1e-9, "high": 1e9, "log": True}
        if i % 2
        else {"type": "int", "low": -(10**9), "high": 10**12}
        for i in range(20)
    },
}
"""Parameters of tasks, by what is special about them."""

SMALL: dict[str, Any] = {
    "optimizer": {"type": "categorical", "choices": ["adam", "sgd"]},
    "nesterov": {"type": "categorical", "choices": [False, True], "when": {"optimizer": ["sgd"]}},
    "layers": {"type": "int", "low": 1, "high": 3},
}
"""Nine configurations in all."""


def proposer_study(params: dict[str, Any], **changes: Any) -> StudySpec:
    """A study of a task with these parameters, with any field of the study changed."""
    direction = changes.pop("direction", "maximize")
    task = TaskSpec.model_validate(
        {
            "schema": 1,
            "name": "toy",
            "command": ["{python}", "train.py"],
            "objective": {"metric": "val_accuracy", "direction": direction},
            "params": params,
        }
    )
    return StudySpec.model_validate({"name": "s", "task": task, **changes})


def quality(space: SearchSpace, config: Config) -> float:
    """A score in [0, 1]: how near the numbers are to a third of their scale, and the choices to the second."""
    wanted = space.decode([1 / 3] * len(space.names))
    return 1.0 - space.distance(config, wanted)


def ended(number: int, proposal: Proposal, space: SearchSpace, **changes: Any) -> Trial:
    """A finished trial, or what `changes` make of it."""
    value = quality(space, proposal.config)
    curve = [value * (1 - 0.5**epoch) for epoch in range(1, 5)]
    fields: dict[str, Any] = {
        "number": number,
        "config": proposal.config,
        "state": "finished",
        "proposal": proposal,
        "value": value,
        "metrics": {"val_accuracy": value, "test_accuracy": 0.5},
        "epochs": tuple(EpochRecord(epoch=i, metrics={"val_accuracy": v}) for i, v in enumerate(curve, 1)),
    }
    if changes.get("state", "finished") != "finished":
        fields |= {"value": None, "metrics": {}}
    if changes.get("state") == "failed":
        fields |= {"failure": Failure(kind="diverged", message="val_accuracy was not finite")}
    if changes.get("state") == "interrupted":
        fields |= {"failure": Failure(kind="interrupted", message="Ctrl-C", origin="person")}
    return Trial.model_validate(fields | changes)


STATES = ("finished", "finished", "failed", "finished", "running", "finished", "interrupted", "finished")
"""How the trials of `play` end, over and over: with a bit of everything."""


def play(proposer: Proposer, study: StudySpec, count: int, states: tuple[str, ...] = STATES) -> list[Trial]:
    """The trials of a study that a proposer makes, whatever becomes of them; fewer when it stops.

    Args:
        proposer: Who proposes.
        study: What is studied.
        count: Trials that count; interrupted ones are run again and come on top.
        states: How the trials end.
    """
    space = SearchSpace(study.task.params)
    trials: list[Trial] = []
    for state in itertools.cycle(states):
        if sum(t.consumes_budget for t in trials) >= count:
            return trials
        number = len(trials) + 1
        last = trials[-1] if trials else None
        retry = last if last is not None and last.state == "interrupted" else None
        proposal = retry.proposal if retry else proposer.propose(ProposalContext(study, trials, number))
        if proposal is None:
            return trials
        retry_of = retry.number if retry else None
        trials = [*trials, ended(number, proposal, space, state=state, retry_of=retry_of)]
    raise AssertionError("the states never end")


def timeless(proposal: Proposal | None) -> Proposal | None:
    """A proposal without the seconds that it took, which differ from run to run."""
    if proposal is None:
        return None
    calls = tuple(call.model_copy(update={"seconds": 0.0}) for call in proposal.calls)
    return proposal.model_copy(update={"seconds": 0.0, "calls": calls})


class ProposerContract:
    """Rules that hold for every method; they say nothing about how good a proposal is."""

    trials = 8
    """Length of the studies that are played."""

    @pytest.fixture(params=SPACES)
    def study(self, request: pytest.FixtureRequest) -> StudySpec:
        """One study for each kind of space."""
        return proposer_study(SPACES[request.param], trials=self.trials, seed=3)

    def test_every_proposal_is_inside_the_space_and_new(self, proposer: Proposer, study: StudySpec) -> None:
        """With finished, failed, running and interrupted trials present; and the record can be written."""
        space = SearchSpace(study.task.params)
        trials = play(proposer, study, self.trials)
        assert sum(t.consumes_budget for t in trials) == self.trials
        tested = set()
        for trial in trials:
            assert not space.violations(trial.config)
            if trial.retry_of is None:
                assert space.key(trial.config) not in tested, trial
            tested.add(space.key(trial.config))
            assert trial.proposal.decision.accepted
            assert trial.proposal.source
            assert trial.proposal.reason or trial.proposal.calls
            assert Proposal.model_validate_json(trial.proposal.model_dump_json()) == trial.proposal
            json.dumps(trial.config, allow_nan=False)

    def test_the_same_context_gives_the_same_proposal(self, proposer: Proposer, study: StudySpec) -> None:
        """Whatever was proposed in between, in whatever order the records come; and global randomness is left alone."""
        trials = play(proposer, study, 5)
        before = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
        first = proposer.propose(ProposalContext(study, trials, len(trials) + 1))
        proposer.propose(ProposalContext(study, trials[:1], 2))
        again = proposer.propose(ProposalContext(study, trials[::-1], len(trials) + 1))
        assert timeless(again) == timeless(first)
        after = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
        assert before == after

    def test_an_interrupted_study_goes_on_as_an_unbroken_one(
        self, proposer: Proposer, study: StudySpec
    ) -> None:
        """Interrupted trials shift the numbers of the others, and nothing else."""
        space = SearchSpace(study.task.params)
        unbroken = play(proposer, study, 5, ("finished", "failed", "finished"))
        broken: list[Trial] = []
        shifted: dict[int | None, int | None] = {None: None}
        for trial in unbroken:
            base = shifted[trial.proposal.base_trial]
            proposal = trial.proposal.model_copy(update={"base_trial": base})
            if trial.number % 2 == 0:
                broken.append(ended(len(broken) + 1, proposal, space, state="interrupted"))
            shifted[trial.number] = len(broken) + 1
            broken.append(trial.model_copy(update={"number": len(broken) + 1, "proposal": proposal}))
        assert len(broken) > len(unbroken)
        straight = proposer.propose(ProposalContext(study, unbroken, len(unbroken) + 1))
        resumed = proposer.propose(ProposalContext(study, broken, len(broken) + 1))
        assert straight is not None
        assert resumed is not None
        assert resumed.config == straight.config
        assert resumed.change == straight.change
        assert resumed.base_trial == shifted[straight.base_trial]

    def test_a_study_starts_as_every_method_does(self, proposer: Proposer, study: StudySpec) -> None:
        """Unless it starts cold: then it is the method's own business, inside the space."""
        space = SearchSpace(study.task.params)
        given = proposer.propose(ProposalContext(study, [], 1))
        assert given is not None
        assert (given.source, given.config) == ("start", space.defaults())
        sensible = study.model_copy(update={"start": "knowledge"})
        known = proposer.propose(ProposalContext(sensible, [], 1))
        assert known is not None
        assert (known.source, known.config) == ("start", knowledge(study.task).start(space)[0])
        cold = study.model_copy(update={"start": "cold"})
        own = proposer.propose(ProposalContext(cold, [], 1))
        assert own is not None
        assert own.source != "start"
        assert space.contains(own.config)

    def test_an_interrupted_start_is_a_start(self, proposer: Proposer) -> None:
        """Nothing counts as tried when the first trial was interrupted."""
        study = proposer_study(SPACES["one integer"])
        space = SearchSpace(study.task.params)
        start = Proposal(config=space.defaults(), source="start")
        trials = [ended(1, start, space, state="interrupted")]
        again = proposer.propose(ProposalContext(study, trials, 2))
        assert again is not None
        assert (again.source, again.config) == ("start", space.defaults())

    @pytest.mark.parametrize("direction", ["maximize", "minimize"])
    @pytest.mark.parametrize("start", ["defaults", "knowledge", "cold"])
    def test_a_small_space_is_used_up_to_the_last_configuration(
        self, proposer: Proposer, start: str, direction: str
    ) -> None:
        """None comes when every configuration was tried, and not before."""
        study = proposer_study(SMALL, trials=20, start=start, direction=direction)
        space = SearchSpace(study.task.params)
        trials = play(proposer, study, 20, ("finished", "finished", "failed"))
        assert len({space.key(t.config) for t in trials}) == len(trials) == 9

    def test_running_trials_are_not_repeated(self, proposer: Proposer) -> None:
        """Also when nothing else is known, and when everything else is running."""
        study = proposer_study(SMALL, trials=20)
        space = SearchSpace(study.task.params)
        for states in [("running",), ("finished", "running", "running")]:
            trials = play(proposer, study, 20, states)
            assert len({space.key(t.config) for t in trials}) == len(trials) > 3

    def test_failures_alone_do_not_stop_it(self, proposer: Proposer) -> None:
        """A study in which no trial has a score yet goes on."""
        study = proposer_study(SPACES["conditions"])
        assert len(play(proposer, study, self.trials, ("failed",))) == self.trials

    def test_equal_scores_do_no_harm(self, proposer: Proposer) -> None:
        """A metric that never moves is a case like any other."""
        study = proposer_study(SPACES["steps"])
        space = SearchSpace(study.task.params)
        trials: list[Trial] = []
        for number in range(1, self.trials + 1):
            proposal = proposer.propose(ProposalContext(study, trials, number))
            assert proposal is not None
            trials.append(ended(number, proposal, space, value=0.0, metrics={"val_accuracy": 0.0}))
        assert len({space.key(t.config) for t in trials}) == self.trials

    def test_enormous_scores_do_no_harm(self, proposer: Proposer) -> None:
        """Scores are finite, and that is all that is known of them."""
        study = proposer_study(SPACES["conditions"], direction="minimize")
        space = SearchSpace(study.task.params)
        trials: list[Trial] = []
        for number in range(1, self.trials + 1):
            proposal = proposer.propose(ProposalContext(study, trials, number))
            assert proposal is not None
            value = [1e300, -1e300, 1e-300, 0.0][number % 4]
            trials.append(ended(number, proposal, space, value=value, metrics={"val_accuracy": value}))
        assert all(space.contains(t.config) for t in trials)
