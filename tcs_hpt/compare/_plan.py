"""Which studies a comparison consists of, and that they play by the same rules."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tcs_hpt.compare._models import ModelPool, SharedModel
from tcs_hpt.compare._recorded import SEPARATOR
from tcs_hpt.errors import ModelError, TcsHptError, UserError
from tcs_hpt.loop import prepare
from tcs_hpt.proposers import NEEDS_MODEL, make_proposer, needs_model
from tcs_hpt.records import ordered
from tcs_hpt.spec import Start, StopRules, StudySpec, TaskSpec
from tcs_hpt.store import Store

MOST_SEEDS = 1000
"""More than anybody runs: a larger number was meant as a seed."""
TASK_LENGTH, CONTENDER_LENGTH = 28, 36
"""Characters of the parts of a study's name; a longer part is cut and told apart by a digest."""

SHARED = ("task", "profile", "start", "answers", "description", "report_tokens")
"""Fields of a `StudySpec` that are equal in all studies of one task in a comparison."""


@dataclass(frozen=True)
class Contender:
    """A method, perhaps with a model of its own."""

    method: str
    model: str = ""
    """As the user named it behind `@`; empty for the models that the comparison names for all."""

    def __str__(self) -> str:
        return f"{self.method}@{self.model}" if self.model else self.method


@dataclass(frozen=True)
class TaskEntry:
    """A task at the size that is compared."""

    spec: TaskSpec
    """With the profile applied."""
    folder: Path
    profile: str | None = None
    reference: str = ""
    """The task as a command line names it."""


@dataclass(frozen=True)
class PlannedStudy:
    """One study of a comparison, and who thinks in it."""

    spec: StudySpec
    task: TaskEntry
    analysis: SharedModel | None = None
    optimizer: SharedModel | None = None
    model_reason: str = ""
    failure: str = ""
    """Why it cannot run; then it is not entered into the store, since its model's own name is not known."""


def parse_contenders(text: str) -> tuple[Contender, ...]:
    """Read `tcs-paper@embedded:smollm2-135m,coin`.

    Raises:
        UserError: A method is unknown or named twice, or one that asks no model was given one.
    """
    found = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        method, at, model = word.partition("@")
        if not needs_model(method):
            make_proposer(method)  # says which methods there are
            if at:
                raise UserError(
                    f"method {method!r} asks no language model, got {word!r}",
                    hint=f"Methods with a model: {', '.join(sorted(NEEDS_MODEL))}.",
                )
        if at and not model:
            raise UserError(
                f"a model's name must follow the @, got {word!r}", hint="See tcs-hpt models list."
            )
        found.append(Contender(method.removesuffix(":tcs"), model))
    twice = [str(c) for c in found if found.count(c) > 1]
    if twice or not found:
        raise UserError(
            f"method {twice[0]!r} is named twice" if twice else f"--methods names no method, got {text!r}",
            hint="For example: --methods random,coin,expert.",
        )
    return tuple(found)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read `5`, which means 0 to 4, or a list such as `0,3,7`.

    Raises:
        UserError: It is neither.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(re.fullmatch(r"\d{1,9}", word) for word in words):
        raise UserError(
            f"--seeds takes a number of seeds or a list of them, got {text!r}",
            hint="For example: --seeds 5, or --seeds 0,3,7.",
        )
    numbers = tuple(int(word) for word in words)
    if "," not in text and numbers[0] > MOST_SEEDS:
        raise UserError(
            f"--seeds {text} means {text} seeds", hint=f"For the one seed {text} write --seeds {text},"
        )
    if "," not in text:
        numbers = tuple(range(numbers[0]))
    if not numbers or len(set(numbers)) != len(numbers):
        raise UserError(f"--seeds needs at least one seed, and each once, got {text!r}")
    return numbers


def study_name(comparison: str, task: str, contender: Contender, seed: int) -> str:
    """`NAME--TASK--METHOD--SEED`, in the characters that a study's name may have."""
    parts = (name_part(task, TASK_LENGTH), name_part(str(contender), CONTENDER_LENGTH), str(seed))
    return SEPARATOR.join((comparison, *parts))


def name_part(text: str, limit: int) -> str:
    """A text in the characters of a study's name, cut and told apart by a digest when it is too long."""
    plain = re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-")
    if len(plain) <= limit:
        return plain
    return f"{plain[: limit - 9].rstrip('-')}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def plan(
    comparison: str,
    tasks: Sequence[TaskEntry],
    contenders: Sequence[Contender],
    seeds: Sequence[int],
    *,
    trials: int,
    start: Start,
    models: ModelPool,
    analysis_model: str = "auto",
    optimizer_model: str = "auto",
) -> list[PlannedStudy]:
    """Every task x method x seed, seed by seed, so that a comparison cut short has all methods on equal seeds.

    All studies run all their trials: five failures in a row, which end a study of its own, would cut the budget of
    those methods alone that try much. `ComparisonRun` gives up a study whose first trials all fail.

    Args:
        comparison: Its name.
        tasks: What is tuned.
        contenders: Who proposes.
        seeds: Of search, models and training.
        trials: The budget of every study.
        start: How every study begins.
        models: Opens the models that are needed.
        analysis_model: For contenders without a model of their own.
        optimizer_model: For contenders without a model of their own.

    Raises:
        UserError: Two tasks have one name, two contenders come to the same, or a model's name means nothing.
    """
    names = [task.spec.name for task in tasks]
    if len(set(names)) != len(names):
        raise UserError(
            f"two tasks have the same name: {', '.join(sorted({n for n in names if names.count(n) > 1}))}",
            hint="Change `name` in one of their task.toml files, or compare them one by one.",
        )
    teams = [(c, _team(c, models, analysis_model, optimizer_model)) for c in contenders]
    planned = [
        PlannedStudy(
            spec=StudySpec(
                name=study_name(comparison, task.spec.name, contender, seed),
                task=task.spec,
                profile=task.profile,
                method=contender.method,
                trials=trials,
                stop=StopRules(failures=0),
                seed=seed,
                start=start,
                analysis_model=team.names[0],
                optimizer_model=team.names[1],
                comparison=comparison,
            ),
            task=task,
            analysis=team.analysis,
            optimizer=team.optimizer,
            model_reason=team.reason,
            failure=team.failure,
        )
        for seed in seeds
        for task in tasks
        for contender, team in teams
    ]
    _require_distinct([study.spec for study in planned])
    return planned


@dataclass(frozen=True)
class _Team:
    """Who thinks for a contender."""

    names: tuple[str, str] = ("", "")
    analysis: SharedModel | None = None
    optimizer: SharedModel | None = None
    reason: str = ""
    failure: str = ""


def _team(contender: Contender, models: ModelPool, analysis_model: str, optimizer_model: str) -> _Team:
    if not needs_model(contender.method):
        return _Team()
    wanted = (contender.model or analysis_model, contender.model or optimizer_model)
    try:
        analysis, reason = models.get(wanted[0])
        optimizer, other = models.get(wanted[1])
    except ModelError as error:  # the other methods need not wait for it
        return _Team(names=wanted, failure=said(error))
    reasons = reason if wanted[0] == wanted[1] else f"{reason} {other}"
    return _Team((analysis.name, optimizer.name), analysis, optimizer, reasons)


def said(error: TcsHptError) -> str:
    """An error as sentences for a table: what is wrong, and what to do."""
    message = error.message if error.message.endswith((".", "!", "?")) else f"{error.message}."
    return f"{message} {error.hint}".rstrip()


def _identity(spec: StudySpec) -> tuple[object, ...]:
    """What tells the studies of a comparison apart."""
    return (spec.task.name, spec.method, spec.analysis_model, spec.optimizer_model, spec.seed)


def _require_distinct(specs: Sequence[StudySpec]) -> None:
    seen: dict[tuple[object, ...], StudySpec] = {}
    taken: dict[str, StudySpec] = {}
    for spec in specs:
        other = seen.setdefault(_identity(spec), spec)
        if other is spec:
            other = taken.setdefault(spec.name, spec)
        if other is not spec:
            raise UserError(
                f"two of the methods come to the same: {other.method} and {spec.method} "
                f"with {spec.analysis_model or 'no model'}, both called {spec.name}",
                hint="Name each method, and each model, once.",
            )


def enter(planned: Sequence[PlannedStudy], store: Store) -> None:
    """Enter all studies into the store, or find them there unchanged; nothing runs before all of them are checked.

    Raises:
        UserError: A study of the comparison is there already and was made differently, be it one of these or one that
            these would be compared with.
    """
    specs = [study.spec for study in planned if not study.failure]
    if not specs:
        return
    comparison = specs[0].comparison
    names = {spec.name for spec in specs}
    others = [
        store.get_study(row.name)
        for row in store.list_studies()
        if row.comparison == comparison and row.name not in names
    ]
    for other in others:
        if other.comparison == comparison:
            _require_fair(specs, other)
    known = {row.name for row in store.list_studies()}
    for spec in specs:
        done = len(ordered(store.load_trials(spec.name))) if spec.name in known else 0
        if done > spec.trials:
            raise UserError(
                f"study {spec.name!r} has {done} trials already, and --trials asks for {spec.trials}",
                hint=f"Use --trials {done} or more, or another --name: a shorter budget cannot be compared with it.",
            )
    for spec in sorted(specs, key=lambda s: s.name not in known):  # a refusal leaves no new study behind
        prepare(spec, store)


def _require_fair(specs: Sequence[StudySpec], other: StudySpec) -> None:
    """That a study which is in the comparison already plays by the same rules as new ones of the same task."""
    for spec in specs:
        if spec.task.name != other.task.name:
            continue
        if _identity(spec) == _identity(other):
            raise UserError(
                f"comparison {spec.comparison!r} has this study already, as {other.name!r}",
                hint="Name the method as before, with or without @MODEL, to continue it.",
            )
        for field in SHARED:
            old, new = getattr(other, field), getattr(spec, field)
            if old != new:
                shown = "" if field == "task" else f" ({old!r}, now {new!r})"
                raise UserError(
                    f"comparison {spec.comparison!r} holds {other.name!r}, made with another {field}{shown}",
                    hint="A comparison has one setting for all methods; choose another --name for this one.",
                )
