"""Fewer epochs first: rungs, promotions, what proposers see, and what counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.errors import UserError
from tcs_hpt.execution import Job, RunResult
from tcs_hpt.loop import Study, fewer_first, prepare
from tcs_hpt.loop._promotion import Promotion, next_promotion
from tcs_hpt.proposers import ExpertProposer, ProposalContext, Proposer, RandomProposer
from tcs_hpt.records import EpochRecord, Failure, Proposal, Trial, Usage, incumbent
from tcs_hpt.spec import Fidelity, StopRules, StudySpec, TaskSpec, rungs_up_to
from tcs_hpt.store import Store
from tests.build import study as make_spec
from tests.build import task, trial

TASK, RUNGS = fewer_first(task(), "epochs=27")


class Executor:
    """Scores by the learning rate and grows with the epochs; remembers what it was given."""

    def __init__(self, fail: Callable[[Job], bool] = lambda job: False) -> None:
        self.jobs: list[Job] = []
        self.fail = fail

    def run(self, job: Job, on_epoch: Callable[[EpochRecord], None]) -> RunResult:
        self.jobs.append(job)
        job.folder.mkdir(parents=True, exist_ok=True)
        if self.fail(job):
            failure = Failure(kind="crashed", message="boom")
            return RunResult("failed", None, {}, (), failure, Usage(exit_code=1))
        epochs = int(job.task.fixed["epochs"])
        value = (1.0 - abs(float(job.config["lr"]) - 0.1)) * (1 - 0.8**epochs)
        (job.folder / "checkpoint.pt").write_text(f"{epochs} epochs")
        return RunResult("finished", value, {"val_accuracy": value}, (), None, Usage(wall_seconds=0.1))

    def interrupt(self) -> None: ...

    def kill(self) -> None: ...


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "studies.db")) as database:
        yield database


def make(store: Store, tmp_path: Path, proposer: Proposer, executor: Any = None, **changes: Any) -> Study:
    fields: dict[str, Any] = {"task": TASK, "fidelity": RUNGS, "memory": False} | changes
    spec = prepare(make_spec(fields.pop("task"), **fields), store)
    return Study(
        spec=spec,
        task_folder=tmp_path,
        folder=tmp_path / spec.name,
        store=store,
        proposer=proposer,
        executor=executor or Executor(),
        now=lambda: "2026-01-01T00:00:00+00:00",
    )


def rungs(trials: Sequence[Trial]) -> list[int]:
    return [t.fidelity or RUNGS.full for t in trials]


# -- rungs --------------------------------------------------------------------------------------------------


def test_rungs_are_parts_of_the_full_number() -> None:
    assert rungs_up_to(27, at_least=1) == (3, 9, 27)
    assert rungs_up_to(100, at_least=5, count=None) == (11, 33, 100)
    assert rungs_up_to(10, at_least=2) == (3, 10)
    assert rungs_up_to(50, at_least=5, step=5) == (5, 15, 50)
    assert rungs_up_to(1, at_least=1) == (1,)


@pytest.mark.parametrize("number", range(1, 60))
def test_every_configuration_is_in_one_bracket_and_about_a_third_goes_on(number: int) -> None:
    sizes = RUNGS.brackets(number)
    assert sum(sizes) == number
    assert max(sizes) - min(sizes) <= 1
    assert number < 5 or all(5 <= size <= 13 for size in sizes)
    assert [RUNGS.places(9), RUNGS.places(10), RUNGS.places(2)] == [[3, 1], [3, 1], [1, 1]]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("epochs", (3, 10)),  # the default is 10, and the range begins at 2
        ("epochs=27", (3, 9, 27)),
        ("epochs=9..27", (9, 27)),
        (" epochs = 2 .. 18 ", (2, 6, 18)),
    ],
)
def test_what_a_person_asks_for(asked: str, found: tuple[int, ...]) -> None:
    narrowed, fidelity = fewer_first(task(), asked)
    assert fidelity == Fidelity(parameter="epochs", rungs=found)
    assert "epochs" not in narrowed.params
    assert narrowed.fixed["epochs"] == found[-1]
    assert fidelity.on(narrowed, 3).fixed["epochs"] == 3


def test_a_fixed_number_of_epochs_is_the_full_one() -> None:
    fixed = task({"lr": {"type": "float", "low": 0.001, "high": 1.0}}, fixed={"rounds": 90})
    assert fewer_first(fixed, "rounds")[1].rungs == (10, 30, 90)


@pytest.mark.parametrize(
    ("asked", "problem", "hint"),
    [
        ("epoch", "has no parameter 'epoch'", "counts by epochs"),
        ("lr", "'lr' is not a whole number", "counts by epochs"),
        ("epochs=3..", "NAME=LEAST..FULL", "epochs=3..27"),
        ("epochs=4", "no room below epochs=4", "epochs=18"),
        ("epochs=50", "between 2 and 40", "range"),
    ],
)
def test_what_makes_no_sense_is_refused(asked: str, problem: str, hint: str) -> None:
    with pytest.raises(UserError, match=problem) as refused:
        fewer_first(task(), asked)
    assert hint in str(refused.value.hint)


def test_a_number_that_hangs_on_others_is_refused() -> None:
    params: dict[str, Any] = {
        "solver": {"type": "categorical", "choices": ["a", "b"]},
        "steps": {"type": "int", "low": 1, "high": 90, "when": {"solver": ["a"]}},
        "extra": {"type": "float", "low": 0, "high": 1, "when": {"epochs": [1]}},
        "epochs": {"type": "int", "low": 1, "high": 90},
    }
    with pytest.raises(UserError, match="exists only while solver"):
        fewer_first(task(params), "steps")
    with pytest.raises(UserError, match="decides whether extra exists"):
        fewer_first(task(params), "epochs")
    with pytest.raises(UserError, match="no parameter") as nothing:
        fewer_first(task({"lr": {"type": "float", "low": 0.001, "high": 1.0}}), "epochs")
    assert "no whole number" in str(nothing.value.hint)


def test_several_weighted_objectives_and_pruners_are_refused(store: Store) -> None:
    with pytest.raises(UserError, match="would both end trials early"):
        prepare(make_spec(TASK, fidelity=RUNGS, prune="diagnosis"), store)
    terms = [
        {"metric": "accuracy", "direction": "maximize", "weight": 1.0},
        {"metric": "latency", "direction": "minimize", "weight": 0.1},
    ]
    weighted = task(objective={"metric": "weighted_score", "direction": "maximize", "terms": terms})
    narrowed, fidelity = fewer_first(weighted, "epochs")
    with pytest.raises(UserError, match="accuracy, latency decide together"):
        prepare(make_spec(narrowed, fidelity=fidelity), store)
    assert store.list_studies() == []


# -- a study ------------------------------------------------------------------------------------------------


def test_the_best_third_goes_on_and_the_start_is_trained_in_full(store: Store, tmp_path: Path) -> None:
    executor = Executor()
    study = make(store, tmp_path, RandomProposer(), executor, trials=10)
    assert study.run() == "trials"
    trials = study.trials
    assert len(trials) == study.spec.runs == 15
    assert rungs(trials) == [3, 27, *[3] * 9, 9, 9, 9, 27]
    assert [j.task.fixed["epochs"] for j in executor.jobs] == rungs(trials)
    assert all("epochs" not in t.config for t in trials)
    assert trials[1].promoted_from == 1
    low = sorted((t for t in trials[2:11]), key=lambda t: -(t.value or 0))
    assert {t.promoted_from for t in trials[11:14]} == {t.number for t in low[:3]}
    assert trials[11].promoted_from == low[0].number
    best = incumbent(trials, TASK.objective)
    assert best is trials[14]
    assert best.promoted_from == trials[11].number
    assert best.config == low[0].config
    assert trials[11].proposal.change == "epochs: 3 -> 9"
    assert trials[11].proposal.reason == "Number 1 of 9 with epochs 3."
    assert all(t.proposal.base_trial is None for t in trials if t.promoted_from)


def test_a_script_goes_on_from_the_checkpoint_of_the_rung_below(store: Store, tmp_path: Path) -> None:
    found: dict[int, str] = {}

    class Looking(Executor):
        def run(self, job: Job, on_epoch: Callable[[EpochRecord], None]) -> RunResult:
            checkpoint = job.folder / "checkpoint.pt"
            found[job.number] = checkpoint.read_text() if checkpoint.exists() else ""
            return super().run(job, on_epoch)

    study = make(store, tmp_path, RandomProposer(), Looking(), trials=4)
    study.run()
    assert found == {
        t.number: "" if t.promoted_from is None else f"{rungs(study.trials)[t.promoted_from - 1]} epochs"
        for t in study.trials
    }


def test_proposers_see_the_lowest_rung_alone(store: Store, tmp_path: Path) -> None:
    seen: list[ProposalContext] = []

    class Watched:
        def __init__(self) -> None:
            self.inner = ExpertProposer()

        def propose(self, context: ProposalContext) -> Proposal | None:
            seen.append(context)
            return self.inner.propose(context)

    make(store, tmp_path, Watched(), trials=6).run()
    assert [c.position for c in seen] == [1, 2, 3, 4, 5, 6]
    last = seen[-1]
    assert {t.fidelity for t in last.trials} == {None}
    assert all(t.promoted_from is None for t in last.trials)
    values = [t.value for t in last.trials if t.value is not None]
    assert max(values) < 1 - 0.8**3 + 1e-9  # nothing of the start in full
    assert last.task.fixed["epochs"] == 3
    assert last.task.objective.target is None
    assert last.report.situation.total == 6
    assert last.report.situation.trials == 5


class Dying(Executor):
    """Leaves half a trial behind and ends the study."""

    study: Study

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def run(self, job: Job, on_epoch: Callable[[EpochRecord], None]) -> RunResult:
        if job.number != self.at:
            return super().run(job, on_epoch)
        job.folder.mkdir(parents=True, exist_ok=True)
        self.study.stop()
        failure = Failure(kind="interrupted", message="interrupted")
        return RunResult("interrupted", None, {}, (), failure, Usage())


def test_a_study_that_was_killed_goes_on_as_an_unbroken_one(store: Store, tmp_path: Path) -> None:
    def story(name: str) -> list[tuple[Any, ...]]:
        return [
            (t.config, t.fidelity)
            for t in sorted(store.load_trials(name), key=lambda t: t.number)
            if t.state != "interrupted"
        ]

    make(store, tmp_path, ExpertProposer(), name="whole", trials=6).run()

    for stop_at in (2, 5, 9):
        dying = Dying(stop_at)
        dying.study = make(store, tmp_path, ExpertProposer(), dying, name="broken", trials=6)
        assert dying.study.run() == "interrupted"
        left = store.load_trials("broken")[stop_at - 1]
        killed = {"state": "running", "failure": None}  # as an engine that died leaves it
        store.save_trial("broken", left.model_copy(update=killed))
    again = make(store, tmp_path, ExpertProposer(), name="broken", trials=6)
    assert again.run() == "trials"
    assert story("broken") == story("whole")
    interrupted = [t for t in again.trials if t.state == "interrupted"]
    assert [t.number for t in interrupted] == [2, 5, 9]
    retries = {t.retry_of: t for t in again.trials if t.retry_of}
    assert all(
        retries[t.number].fidelity == t.fidelity and retries[t.number].promoted_from == t.promoted_from
        for t in interrupted
    )


def test_a_failed_promotion_leaves_its_place_to_the_next(store: Store, tmp_path: Path) -> None:
    failing: list[int] = []

    def fail(job: Job) -> bool:
        promoted = job.task.fixed["epochs"] == 9 and not failing
        if promoted:
            failing.append(job.number)
        return promoted

    study = make(store, tmp_path, RandomProposer(), Executor(fail), trials=9)
    assert study.run() == "trials"
    middle = [t for t in study.trials if t.fidelity == 9]
    assert [t.state for t in middle].count("finished") == 3
    assert [t.state for t in middle].count("failed") == 1
    assert rungs(study.trials)[-1] == 27


def test_trials_side_by_side_wait_for_their_bracket(store: Store, tmp_path: Path) -> None:
    study = make(store, tmp_path, RandomProposer(), trials=9)
    study.jobs, study.devices = 3, ()
    assert study.run() == "trials"
    trials = study.trials
    assert sorted(rungs(trials)) == [*[3] * 9, *[9] * 3, 27, 27]
    low = [t for t in trials if t.promoted_from is None]
    ranked = sorted((t for t in low if t.number != low[0].number), key=lambda t: -(t.value or 0))
    assert {t.promoted_from for t in trials if t.fidelity == 9} == {t.number for t in ranked[:3]}


def test_an_exhausted_space_closes_its_bracket(store: Store, tmp_path: Path) -> None:
    small = task(
        {
            "lr": {"type": "categorical", "choices": [0.1, 0.2, 0.3, 0.4]},
            "epochs": {"type": "int", "low": 1, "high": 27, "default": 27},
        }
    )
    narrowed, fidelity = fewer_first(small, "epochs")
    study = make(store, tmp_path, ExpertProposer(), task=narrowed, fidelity=fidelity, trials=20)
    assert study.run() == "exhausted"
    assert sorted(rungs(study.trials)) == [3, 3, 3, 3, 9, 27, 27]


def test_patience_ends_the_search_and_not_the_promotions(store: Store, tmp_path: Path) -> None:
    study = make(store, tmp_path, RandomProposer(), trials=20, stop={"patience": 3})
    assert study.run() == "patience"
    configurations = sum(t.promoted_from is None for t in study.trials)
    assert configurations < 20
    assert [t for t in study.trials if t.fidelity is None and t.number > 2]


def test_the_target_is_that_of_the_full_number(store: Store, tmp_path: Path) -> None:
    easy = TASK.objective.model_copy(update={"target": 0.4})
    study = make(
        store, tmp_path, RandomProposer(), task=TASK.model_copy(update={"objective": easy}), trials=9
    )
    study.spec = study.spec.model_copy(update={"stop": StopRules(target=True)})
    assert study.run() == "target"
    low, full = study.trials
    assert (low.value or 0) > 0.4
    assert (low.partial, full.partial) == (True, False)


def test_a_trial_that_breaks_a_bound_goes_on_only_after_those_that_keep_it() -> None:
    spec = make_spec(TASK, fidelity=RUNGS, trials=3)
    trials = [
        trial(1, {"lr": 0.001}, 0.2, fidelity=3),
        trial(2, {"lr": 0.001}, 0.5, promoted_from=1),
        trial(3, {"lr": 0.01}, 0.9, fidelity=3, violations=("latency_ms <= 20, got 30",)),
        trial(4, {"lr": 0.1}, 0.3, fidelity=3),
    ]
    due = next_promotion(spec, trials, closing=False)
    assert isinstance(due, Promotion)
    assert (due.promoted_from, due.fidelity) == (4, 9)


def test_a_start_that_fails_is_not_trained_in_full(store: Store, tmp_path: Path) -> None:
    study = make(store, tmp_path, RandomProposer(), Executor(lambda job: job.number == 1), trials=4)
    assert study.run() == "trials"
    assert rungs(study.trials) == [3, 3, 3, 3, 9, 27]


def test_a_study_cannot_be_continued_with_other_rungs(store: Store, tmp_path: Path) -> None:
    make(store, tmp_path, RandomProposer(), trials=2)
    with pytest.raises(UserError, match="fidelity"):
        prepare(make_spec(TASK, memory=False), store)
    assert store.get_study("s").fidelity == RUNGS


def test_a_larger_budget_opens_a_new_bracket(store: Store, tmp_path: Path) -> None:
    make(store, tmp_path, RandomProposer(), trials=9).run()
    study = make(store, tmp_path, RandomProposer(), trials=18)
    assert study.run() == "trials"
    assert len(study.trials) == study.spec.runs == 27
    assert rungs(study.trials)[14:] == [*[3] * 9, 9, 9, 9, 27]


def spec_of(trials: int = 10) -> StudySpec:
    return make_spec(TASK, fidelity=RUNGS, trials=trials)


def test_nothing_is_due_in_a_study_that_trains_in_full() -> None:
    plain: TaskSpec = task()
    assert next_promotion(make_spec(plain), [trial(1, {"lr": 0.1}, 0.5)], closing=True) is None
    assert next_promotion(spec_of(), [], closing=True) is None
