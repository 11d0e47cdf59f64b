"""Runs a study without a store: the proposer is asked exactly as the loop asks it, and the trials are kept in a list.

A study in SQLite writes each trial several times before the next begins, which takes longer than most of these problems do.
`tests/test_dev_bench.py` checks that both give the same trials.
"""

from __future__ import annotations

import importlib
import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.dev._base import Problem
from benchmarks.dev.problems import WORST, chosen, regret
from benchmarks.dev.tables import OTHERS
from tcs_hpt.errors import UserError
from tcs_hpt.evidence.memory import Memory
from tcs_hpt.execution import InProcessExecutor, Job
from tcs_hpt.guard import FREE_RULES, check
from tcs_hpt.llm import ChatModel
from tcs_hpt.loop._recovery import ended
from tcs_hpt.proposers import METHODS, ProposalContext, Proposer, make_proposer, needs_model
from tcs_hpt.records import Outcome, Size, Trial, by_number
from tcs_hpt.report.tables import prediction
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import AnswerStyle, Frozen, Start, StopRules, StudySpec


class Row(Frozen):
    """One trial, and how good it was."""

    problem: str
    method: str
    """Its label, with its model if it has one."""
    start: str
    seed: int
    budget: int
    """Trials that the study was given."""
    trials: int
    """Trials that it ran: fewer when the space was exhausted."""
    trial: int
    """1, 2, 3, ..."""
    value: float | None
    test: float | None
    """Of the same configuration, on what no proposer saw."""
    regret: float
    best_regret: float
    """Of the best trial so far."""
    failure: str
    """What kind; empty when it has a score."""
    source: str
    place: int | None = None
    """Of the change that was taken, in the order of the list, 1 for the best; None when it is on no list."""
    options: int = 0
    """Changes on the list."""
    deviation: bool | None = None
    """Whether the optimizer departed from the analysis; None where nobody analysed."""
    fallback: bool = False
    """Whether somebody else acted in place of the method's own proposer."""
    expected: Outcome | None = None
    """What the Analysis Agent said the change would do against its base; None when that cannot be checked."""
    measured: Outcome | None = None
    """What it did."""
    expected_size: Size | None = None
    measured_size: Size | None = None
    read_tokens: int = 0
    """Of all prompts of the decision."""
    written_tokens: int = 0
    thinking_seconds: float
    training_seconds: float

    @property
    def study(self) -> tuple[str, str, str, int, int]:
        """What tells the row's study apart."""
        return (self.problem, self.method, self.start, self.seed, self.budget)


@dataclass(frozen=True)
class Method:
    """Who proposes: a method of the product, or `module:factory` of an experiment."""

    label: str
    target: str
    model: str = ""


@dataclass(frozen=True)
class Unit:
    """One study to run. Goes to another process."""

    problem: str
    method: Method
    seed: int
    start: Start
    trials: int
    answers: AnswerStyle = "choice"

    @property
    def study(self) -> tuple[str, str, str, int, int]:
        """As that of its rows."""
        return (self.problem, self.method.label, self.start, self.seed, self.trials)


def parse_methods(text: str, model: str = "", answers: AnswerStyle = "choice") -> list[Method]:
    """Read `tpe,coin:raw,mine=my_module:MyProposer`.

    Args:
        text: Methods of the product by name, and factories by the path that imports them, perhaps with a label.
        model: For methods that ask one.
        answers: How these answer; free numbers are part of the label.

    Raises:
        UserError: A method is unknown, named twice, or needs a model and has none.
    """
    found: list[Method] = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        label, equals, target = word.partition("=")
        target = target if equals else word
        asks = _asks_a_model(target)
        needed = model if asks else ""
        if asks and not model:
            raise UserError(f"method {target!r} needs a language model", hint="Name one with --model.")
        if not asks:
            proposer_of(Method(label, target))  # says what is wrong with it before anything runs
        if needed and not equals:
            label = f"{label} ({needed}{'' if answers == 'choice' else ', free numbers'})"
        found.append(Method(label, target, needed))
    labels = [m.label for m in found]
    if len(set(labels)) != len(labels) or not found:
        raise UserError(
            f"--methods needs at least one method, and each once, got {text!r}",
            hint="For example: --methods random,gp,coin.",
        )
    return found


def proposer_of(method: Method) -> Proposer:
    """Make a method's proposer.

    Raises:
        UserError: There is no such method or factory.
    """
    model = _opened(method.model) if method.model else None
    factory = _factory(method.target)
    if factory is None:
        return make_proposer(method.target, analysis_model=model, optimizer_model=model)
    return factory() if model is None else factory(model)


def _factory(target: str) -> Callable[..., Proposer] | None:
    """The factory of an experiment; None for a method of the product.

    Raises:
        UserError: There is no such factory.
    """
    module, colon, name = target.partition(":")
    if not colon or module in METHODS:
        return None
    try:
        found: Callable[..., Proposer] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"there is no proposer factory {target!r}: {error}",
            hint="Write it as module:factory, importable from here; it is called without arguments, or with a model.",
        ) from error
    return found


def _asks_a_model(target: str) -> bool:
    factory = _factory(target)
    if factory is None:
        return needs_model(target)
    return any(p.default is p.empty for p in inspect.signature(factory).parameters.values())


_beside = 1
"""How many processes like this one run side by side."""


def run_beside(jobs: int) -> None:
    """Tell this process that so many like it run side by side, before it opens a model: an embedded one then takes its share of the cores."""
    global _beside
    _beside = jobs


@lru_cache(maxsize=1)
def _opened(name: str) -> ChatModel:
    from tcs_hpt.llm.opening import open_model

    return open_model(name, jobs=_beside)[0]


def study_spec(
    problem: Problem, *, method: str, seed: int, start: Start, trials: int, answers: AnswerStyle = "choice"
) -> StudySpec:
    """The study of one unit; it runs all its trials, whatever becomes of them."""
    return StudySpec(
        name=f"{problem.name}-{seed}",
        task=problem.task,
        method=method,
        trials=trials,
        stop=StopRules(failures=0),
        seed=seed,
        start=start,
        answers=answers,
    )


def run_trials(
    problem: Problem, proposer: Proposer, spec: StudySpec, folder: Path, memory: Memory | None = None
) -> list[tuple[Trial, float]]:
    """Trials until the budget is used or the space is exhausted, each with the seconds of thinking before it.

    Args:
        problem: What is tuned.
        proposer: Who proposes.
        spec: Start, seed and budget.
        folder: Where a trial works; used again by the next.
        memory: What earlier studies have to say.
    """
    executor = InProcessExecutor(problem.function)
    space = SearchSpace(spec.task.params)
    trials: list[Trial] = []
    seconds: list[float] = []
    for number in range(1, spec.trials + 1):
        began = time.perf_counter()
        proposal = proposer.propose(ProposalContext(spec, tuple(trials), number, memory=memory))
        if proposal is None:
            break
        seconds.append(time.perf_counter() - began)
        decision = check(proposal.config, space, trials, FREE_RULES)
        if not decision.accepted:
            raise AssertionError(f"{spec.method} proposed {proposal.config}: {decision.reasons}")
        running = Trial(
            number=number, config=proposal.config, state="running", proposal=proposal, seed=spec.seed
        )
        job = Job(number, spec.task, folder, folder, proposal.config, spec.seed)
        trials.append(ended(running, executor.run(job, lambda epoch: None)))
        if trials[-1].state == "interrupted":
            raise KeyboardInterrupt
    return list(zip(trials, seconds, strict=True))


def run_unit(unit: Unit) -> list[Row]:
    """One study as rows."""
    problem = chosen([unit.problem])[0]
    spec = study_spec(
        problem,
        method=unit.method.label,
        seed=unit.seed,
        start=unit.start,
        trials=unit.trials,
        answers=unit.answers,
    )
    with TemporaryDirectory() as folder:
        ran = run_trials(problem, proposer_of(unit.method), spec, Path(folder))
    numbered = by_number([trial for trial, _ in ran])
    objective = problem.task.objective
    rows: list[Row] = []
    best = WORST
    for trial, seconds in ran:
        now = regret(problem, unit.seed, trial.value)
        best = min(best, now)
        made = trial.proposal
        checked = prediction(trial, numbered, objective)
        rows.append(
            Row(
                problem=unit.problem,
                method=unit.method.label,
                start=unit.start,
                seed=unit.seed,
                budget=unit.trials,
                trials=len(ran),
                trial=trial.number,
                value=trial.value,
                test=_test_score(trial, problem),
                regret=now,
                best_regret=best,
                failure=trial.failure.kind if trial.failure else "",
                source=made.source,
                place=made.options.index(made.change) + 1 if made.change in made.options else None,
                options=len(made.options),
                deviation=bool(made.deviation) if made.analysis is not None and made.change else None,
                fallback=bool(made.fallback),
                expected=checked.expected if checked else None,
                measured=checked.measured if checked else None,
                expected_size=checked.expected_size if checked else None,
                measured_size=checked.measured_size if checked else None,
                read_tokens=sum(c.prompt_tokens for c in made.calls),
                written_tokens=sum(c.completion_tokens for c in made.calls),
                thinking_seconds=round(seconds, 4),
                training_seconds=round(trial.usage.wall_seconds, 4),
            )
        )
    return rows


def _test_score(trial: Trial, problem: Problem) -> float | None:
    if trial.value is None:
        return None
    own = problem.task.objective.metric.replace("val_", "test_", 1)
    return trial.metrics.get(OTHERS, trial.metrics.get(own))
