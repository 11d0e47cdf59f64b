"""What the runs of a task say about it, one sentence for each thing that a study relies on. Pure: runs nothing."""

from __future__ import annotations

import itertools
import re
import signal
from collections.abc import Collection, Mapping, Sequence

from tcs_hpt.catalog.wording import meant
from tcs_hpt.execution import RunResult
from tcs_hpt.experiments.task_findings import Check, listed
from tcs_hpt.records import NEGLIGIBLE
from tcs_hpt.spec import Limits, Objective

CLOSE = 0.5
"""Share of the time limit above which a trial counts as close to it: other values may take twice as long."""
_TRACEBACK = "Traceback (most recent call last):"
_NO_MODULE = re.compile(r"^(?:ModuleNotFoundError|ImportError): .*?'([\w.]+)'")
_LIKE_TEST = re.compile(r"(^|[_.-])(test|testing|holdout|heldout)([_.-]|$)", re.IGNORECASE)


def run(result: RunResult, limits: Limits, *, own_limit: bool, stderr: str) -> Check:
    """Whether the script comes to its end with the defaults. A score that is missing is another check's business.

    Args:
        result: How it ended.
        limits: What it ran under.
        own_limit: Whether the time limit is the task's own.
        stderr: The end of its standard error.
    """
    usage, failure = result.usage, result.failure
    took = f"{usage.wall_seconds:.1f} s"
    if failure is None or failure.kind in ("no_metric", "diverged"):
        limit = limits.trial_seconds
        if usage.exit_code and limit is not None and usage.wall_seconds > limit:
            return Check(
                name="run",
                status="warning",
                text=f"it went on after it had reported its score, and was ended after {took}.",
                hint="Let it exit after trial.finish(...): a study waits for that.",
                details=_last_lines(stderr),
            )
        if usage.exit_code:
            return Check(
                name="run",
                status="warning",
                text=f"it ended with exit code {usage.exit_code} after it had reported its score.",
                hint="The score counts all the same; see why it does not end well.",
                details=_last_lines(stderr),
            )
        if own_limit and limit is not None and usage.wall_seconds > CLOSE * limit:
            return Check(
                name="run",
                status="warning",
                text=f"finished in {took}, of {limit:g} s that it may take.",
                hint="Raise `trial_seconds`: with other values it may take longer.",
            )
        return Check(name="run", status="ok", text=f"finished in {took} with exit code 0.")
    if failure.kind == "timeout":
        known = f"`trial_seconds` of this size ({limits.trial_seconds:g})" if own_limit else "--trial-seconds"
        after = f" after {_epochs(result)}" if result.epochs else " and had not reported an epoch"
        return Check(
            name="run",
            status="failed",
            text=f"it still ran when its {limits.trial_seconds:g} s were up{after}.",
            hint=f"See whether it hangs; if it is only slow, raise {known} or give a smaller --profile.",
            details=_last_lines(stderr),
        )
    if failure.kind == "invalid":
        return Check(
            name="run",
            status="failed",
            text=f"it refuses its own defaults: {failure.message}",
            hint="Correct the defaults, or the rule in the script.",
        )
    if failure.kind == "out_of_memory":
        return Check(
            name="run",
            status="failed",
            text=f"{failure.message}.",
            hint="Make the model, the batches or the data of this size smaller, or raise `memory_mb`.",
            details=_last_lines(failure.stderr),
        )
    return Check(name="run", status="failed", **_crash(failure.message, failure.stderr))


def _crash(message: str, stderr: str) -> Mapping[str, str | tuple[str, ...]]:
    """A script that says itself what is missing is left to speak; a traceback is shown."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    if lines and _TRACEBACK not in (line.strip() for line in lines) and lines[-1].strip() == message:
        return {"text": f"the script says: {message}", "details": _last_lines("\n".join(lines[:-1]))}
    module = _NO_MODULE.match(message)
    hint = (
        f"Install {module[1]} for the interpreter that runs the script, or name another one with --python."
        if module
        else "Correct the script; the end of its standard error is below."
        if lines
        else "Run it by hand to see why."
    )
    return {"text": f"it crashed: {message}", "hint": hint, "details": _last_lines(stderr)}


def metric(result: RunResult, objective: Objective, seen: Sequence[str], *, unchanged: bool = False) -> Check:
    """Whether the score is there, under the declared name, and a number.

    Args:
        result: How a run with the defaults ended.
        objective: What is declared.
        seen: Every metric that was reported.
        unchanged: Whether the script's numbers are read where [metrics] says.
    """
    name = objective.metric
    if result.value is not None:
        return Check(name="metric", status="ok", text=f"{name} is {result.value:.6g}.")
    if result.failure is not None and result.failure.kind == "diverged":
        epochs = [e.epoch for e in result.epochs if name in e.non_finite]
        since = f", from epoch {epochs[0]} on" if epochs else ""
        return Check(
            name="metric",
            status="failed",
            text=f"{name} is not a finite number{since}, with the task's own defaults.",
            hint="Give defaults that train, and look for divisions by zero in how the score is computed.",
        )
    if result.failure is not None and "cannot be read" in result.failure.message:
        return Check(
            name="metric",
            status="failed",
            text=result.failure.message,
            hint="Let `trial.finish(...)` write it.",
        )
    if unchanged and result.failure is not None:
        return Check(
            name="metric",
            status="failed",
            text=result.failure.message,
            hint="Correct [metrics] in the task.toml to what the script writes.",
        )
    return Check(
        name="metric",
        status="failed",
        text=f"{name} was never reported; "
        + (f"what was: {listed(list(seen))}." if seen else "nothing was."),
        hint=f"{meant(name, seen)}Call trial.finish({_argument(name)}) at the end, or correct `metric`.",
    )


def curve(result: RunResult, objective: Objective, *, unchanged: bool = False) -> Check:
    """Whether there is a trajectory to read."""
    name, epochs = objective.metric, result.epochs
    if not epochs:
        return Check(
            name="curve",
            status="warning",
            text="no epoch was reported, so nothing can be learnt from how the training went.",
            hint="Let a pattern or column of [metrics] give the epoch, if the script writes it."
            if unchanged
            else f"Call trial.report(epoch=..., {_argument(name)}) after every epoch.",
        )
    amount = _epochs(result)
    if not any(name in e.metrics for e in epochs):
        return Check(
            name="curve",
            status="warning",
            text=f"{amount}, none with {name}.",
            hint=f"Let [metrics] find {name} in every epoch, if the script writes it."
            if unchanged
            else f"Add {name} to trial.report(...).",
        )
    numbers = [e.epoch for e in epochs]
    if any(later <= earlier for earlier, later in itertools.pairwise(numbers)):
        return Check(
            name="curve",
            status="warning",
            text=f"{amount}, whose numbers do not rise: {listed([str(n) for n in numbers])}.",
            hint="Report every epoch once, under its own number.",
        )
    names = list(dict.fromkeys(n for e in epochs for n in e.metrics))
    return Check(name="curve", status="ok", text=f"{amount} with {listed(names)}.")


def held_out(seen: Sequence[str]) -> Check:
    """Whether scores on held-out data are out of sight of whoever chooses the next configuration."""
    kept = [n for n in seen if n.startswith("test_")]
    shown = [n for n in seen if not n.startswith("test_") and _LIKE_TEST.search(n)]
    if shown:
        rest = _LIKE_TEST.sub(r"\1", shown[0]).strip("_.-") or "score"
        return Check(
            name="test scores",
            status="warning",
            text=f"what chooses the next configuration is shown {listed(shown)}.",
            hint=f"If it is measured on test data, begin its name with test_, e.g. test_{rest}.",
        )
    if not kept:
        text = "none; a name that begins with test_ would be stored and not shown."
        return Check(name="test scores", status="ok", text=text)
    return Check(name="test scores", status="ok", text=f"{listed(kept)}: stored, never shown.")


def same_seed(first: RunResult, again: RunResult, name: str, *, unchanged: bool = False) -> Check:
    """Whether a second run with the same seed gives the same score."""
    a, b = first.value, again.value
    if a is None or b is None:
        why = again.failure.message if again.failure is not None else "it has no score"
        return Check(
            name="same seed",
            status="failed",
            text=f"the second run had no score: {why}",
            hint="See what the first run left behind or used up.",
            details=_last_lines(again.failure.stderr if again.failure is not None else ""),
        )
    if a == b:
        return Check(name="same seed", status="ok", text=f"a second run gives the same {name}.")
    little = abs(a - b) <= NEGLIGIBLE * max(abs(a), abs(b))
    return Check(
        name="same seed",
        status="warning" if little else "failed",
        text=f"a second run gives {name} {b:.6g} instead of {a:.6g}.",
        hint="So little is usual on a GPU; a study takes it for no change."
        if little
        else "Hand the seed over, as {seed} in the command or [env], to a script that seeds everything random with it."
        if unchanged
        else "Seed everything random (weights, shuffling, dropout, data loaders) with `trial.seed`.",
    )


def stopping(result: RunResult, late: float | None, grace: float, orphans: bool) -> Check:
    """Whether a trial ends when its time is up or somebody interrupts the study, which both send SIGTERM.

    Args:
        result: How it ended.
        late: Time it took for that [s]; None when it was done before it could be told.
        grace: What it is given after it was asked to end [s].
        orphans: Whether anything was left running.
    """
    if orphans:
        return Check(
            name="stopping",
            status="failed",
            text="processes of the script outlived it and had to be looked for.",
            hint="Do not detach them; wait for them, or start them as daemons of the script.",
        )
    if late is None:
        return Check(name="stopping", status="ok", text="it had ended before it could be told to.")
    if late >= grace or result.usage.exit_code == -signal.SIGKILL:
        return Check(
            name="stopping",
            status="warning",
            text=f"told to end, it went on for {grace:g} s and had to be killed.",
            hint="Let SIGTERM end it: a handler must not swallow it.",
        )
    return Check(
        name="stopping",
        status="ok",
        text=f"told to end, it does so within {max(late, 0.05):.1f} s, with all it started.",
    )


def acting(
    tried: Mapping[str, frozenset[str]],
    lost: Mapping[str, RunResult],
    unreachable: Collection[str],
    *,
    repeats: bool,
    name: str,
) -> Check:
    """Whether another value of each parameter makes a difference.

    Args:
        tried: Parameter -> the metrics that it changed, noise left out.
        lost: `name=value` -> how a run ended that crashed or reported no score.
        unreachable: Parameters that are never active at this size.
        repeats: Whether the same configuration gives the same score; without that, nothing can be told.
        name: The metric that decides.
    """
    if lost:
        result = next(iter(lost.values()))
        message = result.failure.message if result.failure is not None else ""
        return Check(
            name="parameters",
            status="failed",
            text=f"there is no score with {listed(list(lost))}: {message}",
            hint="Correct the script, or take out of the range what cannot be trained.",
            details=_last_lines(result.failure.stderr if result.failure is not None else ""),
        )
    if not repeats:
        return Check(
            name="parameters",
            status="warning",
            text=f"whether they act cannot be told: {name} differs without any change.",
            hint="First see to `same seed`.",
        )
    idle = [f"`{n}`" for n, changed in tried.items() if not changed]
    if idle:
        return Check(
            name="parameters",
            status="failed",
            text=f"{listed(idle)} changed nothing.",
            hint="Use it in the training, or take it out of the manifest; if it acts at larger sizes only, "
            "check one with --profile.",
        )
    if unreachable:
        return Check(
            name="parameters",
            status="warning",
            text=f"at this size these are never switched on: {listed(list(unreachable))}.",
            hint="Widen what `when` depends on, or check another --profile.",
        )
    return Check(name="parameters", status="ok", text=f"all {len(tried)} change what is reported.")


def _last_lines(stderr: str, count: int = 12) -> tuple[str, ...]:
    return tuple(line for line in stderr.splitlines() if line.strip())[-count:]


def _epochs(result: RunResult) -> str:
    return f"{len(result.epochs)} epoch{'s' if len(result.epochs) != 1 else ''}"


def _argument(name: str) -> str:
    """A metric as an argument of `report` and `finish`."""
    return f"{name}=..." if name.isidentifier() else f'**{{"{name}": ...}}'
