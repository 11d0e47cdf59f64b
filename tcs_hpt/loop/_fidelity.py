"""Fewer epochs first, as a person asks for it, and whether it makes sense for a task."""

from __future__ import annotations

import re

from tcs_hpt.errors import UserError
from tcs_hpt.evidence.roles import role_of
from tcs_hpt.spec import Fidelity, IntParameter, StudySpec, TaskSpec, rungs_up_to
from tcs_hpt.spec.fidelity import REDUCTION, RUNGS

_ASKED = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.-]*?)\s*(?:=\s*(?:(\d+)\s*\.\.\s*)?(\d+)\s*)?")


def fewer_first(task: TaskSpec, asked: str) -> tuple[TaskSpec, Fidelity]:
    """The task with its epochs at the full number, and the rungs below it.

    Args:
        task: With profile and overrides applied.
        asked: `epochs`, the name of what counts them: the full number is its fixed value or its default, and two rungs lie below, a third
            and a ninth of it, as far as the parameter's range goes. `epochs=27` names the full number, `epochs=1..27` also the least,
            with as many rungs as fit between.

    Raises:
        UserError: There is no such parameter, it is no whole number, others depend on it, or there is no room below the full number.
    """
    read = _ASKED.fullmatch(asked)
    if read is None:
        raise UserError(
            f"fewer epochs first takes a name, NAME=FULL or NAME=LEAST..FULL, got {asked!r}",
            hint="For example: --fidelity epochs, or --fidelity epochs=3..27.",
        )
    name, full = read[1], int(read[3] or 0)
    low, step = 1, 1
    if name in task.params:
        parameter = task.params[name]
        if not isinstance(parameter, IntParameter):
            raise _no_epochs(task, f"{name!r} is not a whole number")
        if parameter.when:
            raise _no_epochs(
                task, f"{name!r} exists only while {', '.join(parameter.when)} has certain values"
            )
        full = full or (parameter.high if parameter.default is None else parameter.default)
        low, step = parameter.low, parameter.step or 1
        task = _with_full(task, name, full)
    elif name in task.fixed:
        value = task.fixed[name]
        if isinstance(value, bool) or not isinstance(value, int):
            raise _no_epochs(task, f"{name!r} is not a whole number")
        full = full or value
        task = task.model_copy(update={"fixed": {**task.fixed, name: full}})
    else:
        raise _no_epochs(task, f"task {task.name!r} has no parameter {name!r}")
    least = int(read[2]) if read[2] else low
    rungs = rungs_up_to(full, at_least=least, count=None if read[2] else RUNGS, step=step)
    if len(rungs) < 2:
        raise UserError(
            f"there is no room below {name}={full}: a third of it would be below {least}, the least that is allowed",
            hint=f"Name a larger full number, as in --fidelity {name}={REDUCTION**2 * max(least, 1)}, or train in full.",
        )
    return task, Fidelity(parameter=name, rungs=rungs)


def _with_full(task: TaskSpec, name: str, full: int) -> TaskSpec:
    children = [child for child, parameter in task.params.items() if name in parameter.when]
    if children:
        raise _no_epochs(task, f"{name!r} decides whether {', '.join(children)} exists")
    return task.narrowed(fix={name: full})


def require_fidelity(study: StudySpec) -> None:
    """Check that the study's rungs fit what else it was asked for.

    Raises:
        UserError: Several metrics decide by weight, or a rule ends trials early as well.
    """
    if study.fidelity is None:
        return
    name = study.fidelity.parameter
    if study.task.objective.terms:
        raise UserError(
            f"fewer {name} first needs one metric that decides, and {', '.join(study.task.objective.deciding)} decide together here: what one "
            "costs in the other changes while training goes on",
            hint="Let one metric decide and make the others bounds, or train in full.",
        )
    if study.prune != "none":
        raise UserError(
            f"fewer {name} first and the rule {study.prune!r} would both end trials early, and a score would no longer tell by how many {name} "
            "it was reached",
            hint="Leave out --prune, or leave out --fidelity.",
        )


def _no_epochs(task: TaskSpec, problem: str) -> UserError:
    numbers = [
        *(n for n, p in task.params.items() if isinstance(p, IntParameter) and not p.when),
        *(n for n, v in task.fixed.items() if isinstance(v, int) and not isinstance(v, bool)),
    ]
    named = [n for n in numbers if role_of(n, [*task.params, *task.fixed]) == "duration"]
    if named:
        hint = f"This task counts by {named[0]}: --fidelity {named[0]}."
    elif numbers:
        hint = f"Whole numbers of this task: {', '.join(numbers)}; name one that makes a trial cheaper when it is small."
    else:
        hint = "It has no whole number that could be lowered; give the script one for its epochs, or train in full."
    return UserError(f"fewer epochs first: {problem}", hint=hint)
