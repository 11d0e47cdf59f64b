"""One thing that was looked at in a task, and what its manifest and its folder say without a run. Pure.

What a study cannot work with has `failed`; what makes it worse, or could not be seen, is a `warning`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from tcs_hpt.errors import ManifestError
from tcs_hpt.space import SearchSpace, format_value
from tcs_hpt.spec import Frozen, TaskSpec

Status: TypeAlias = Literal["ok", "warning", "failed"]


class Check(Frozen):
    """One thing that was looked at."""

    name: str
    status: Status
    text: str
    """What was found."""
    hint: str = ""
    """What to do about it; empty when there is nothing to do."""
    details: tuple[str, ...] = ()
    """Lines to read, e.g. the end of the script's standard error."""


def broken_manifest(error: ManifestError) -> Check:
    """A manifest that cannot be used."""
    count = len(error.problems)
    return Check(
        name="manifest",
        status="failed",
        text=f"{count} problem{'s' if count != 1 else ''} in the task manifest.",
        hint="Correct the file where the lines below say so.",
        details=tuple(map(str, error.problems)),
    )


def manifest(spec: TaskSpec) -> Check:
    """Whether it says what a study has to know."""
    text = f"{len(spec.params)} parameters, {len(spec.profiles)} profiles, no problems found."
    if not spec.params:
        return Check(
            name="manifest",
            status="failed",
            text="it declares no parameter, so there is nothing to tune.",
            hint="Add a table [params.NAME] for each hyperparameter.",
        )
    silent = [n for n, p in spec.params.items() if not p.description.strip()]
    if spec.description.strip() and not silent:
        return Check(name="manifest", status="ok", text=text)
    lacking = ([] if spec.description.strip() else ["the task"]) + silent
    return Check(
        name="manifest",
        status="warning",
        text=f"{text[:-1]}, but without a `description`: {listed(lacking)}.",
        hint="Write one sentence each: the models that tune read them.",
    )


def defaults(spec: TaskSpec) -> Check:
    """Whether the configuration that a study starts from is inside the space, at every size."""
    wrong: list[str] = []
    for profile in (None, *spec.profiles):
        space = SearchSpace(spec.with_profile(profile).params)
        wrong += [f"{profile or 'bare manifest'}: {v}" for v in space.violations(space.defaults())]
    if wrong:
        return Check(
            name="defaults",
            status="failed",
            text="the defaults are not inside the ranges.",
            hint="Correct `default` or the range.",
            details=tuple(wrong),
        )
    space = SearchSpace(spec.params)
    middle = [f"{n} ({format_value(space.default(n))})" for n, p in spec.params.items() if p.default is None]
    if middle:
        return Check(
            name="defaults",
            status="warning",
            text=f"without a `default`, these start in the middle of their range: {listed(middle)}.",
            hint="Give them the value that you would try first.",
        )
    return Check(name="defaults", status="ok", text="every parameter has one, inside its range.")


def time_limit(spec: TaskSpec) -> Check:
    """Whether a script that hangs is ever ended."""
    without = [p or "the bare manifest" for p in (None, *spec.profiles) if not _seconds(spec, p)]
    if without:
        return Check(
            name="time limit",
            status="warning",
            text=f"none at {listed(without)}: a script that hangs would hold up a study forever.",
            hint="Add `trial_seconds` to [limits], a few times what a trial takes.",
        )
    return Check(name="time limit", status="ok", text="a trial that hangs is ended, at every size.")


def named(spec: TaskSpec, unseen: Sequence[str] | None) -> Check:
    """Whether every parameter is named where it would have to be, which can be seen without a run.

    Args:
        spec: The task.
        unseen: Parameters that are named neither in the command nor in a script; None when there was no script.
    """
    if unseen is None:
        return Check(name="parameters", status="ok", text="not looked at: the folder holds no script.")
    if unseen:
        return Check(
            name="parameters",
            status="warning",
            text=f"named neither in `command` nor in a script of the folder: {listed(unseen)}.",
            hint=f'Read it from trial.params["{unseen[0]}"], or see with --thorough whether it acts.',
        )
    which = "each of them is" if len(spec.params) != 1 else "it is"
    text = f"{which} named in the script or the command; --thorough tries whether they act."
    return Check(name="parameters", status="ok", text=text)


def folder(changed: Sequence[str], *, at_home: bool = False) -> Check:
    """Whether the task's folder is as it was.

    Args:
        changed: Files that are new, gone or different.
        at_home: Whether the script runs in the task's folder (`run_in = "task"`).
    """
    if not changed:
        return Check(name="folder", status="ok", text="nothing was written beside the script.")
    return Check(
        name="folder",
        status="warning",
        text=f"the runs wrote beside the script: {listed(changed)}.",
        hint="Hand over a place of its own as {trial_dir}, or run one trial at a time: each overwrites what the last one wrote."
        if at_home
        else "Write to trial.folder, or trials that run together meet in the same files.",
    )


def _seconds(spec: TaskSpec, profile: str | None) -> float | None:
    return spec.with_profile(profile).limits.trial_seconds


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names in a sentence, the first of them if there are many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
