"""Can a study rely on this task? Runs it a few times, as a study would, and says what it found.

`task_findings` and `task_run_findings` put it into words, `task_changes` says what another value of a parameter is,
`task_folder` looks at files; this module runs.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tcs_hpt.catalog import LoadedTask, load_task
from tcs_hpt.errors import ManifestError, UserError
from tcs_hpt.execution import Job, LocalExecutor, RunResult
from tcs_hpt.execution.metrics import read_result
from tcs_hpt.execution.outcome import STDERR_BYTES, clean
from tcs_hpt.execution.processes import end_orphans
from tcs_hpt.experiments import task_findings as findings
from tcs_hpt.experiments import task_run_findings as run_findings
from tcs_hpt.experiments.task_changes import Change, Reported, differing, single_changes
from tcs_hpt.experiments.task_findings import Check
from tcs_hpt.experiments.task_folder import state, unnamed
from tcs_hpt.records import EpochRecord
from tcs_hpt.space import SearchSpace, format_value
from tcs_hpt.spec import Config, Frozen, Limits, Objective

SMOKE = "smoke"
"""The size that is checked, if the task has it and no other is asked for."""
TRIAL_SECONDS = 600.0
"""What a run may take when the task itself has no limit."""
STUDY_TRIALS = 10
"""Of the study whose time is estimated."""

_ALWAYS_NOISE = frozenset({"seconds"})


@dataclass(frozen=True)
class CheckOptions:
    """What to look at, and how the script is run."""

    profile: str | None = None
    """A size of the task; None for `smoke`, or the bare manifest where there is no such profile."""
    manifest_only: bool = False
    """Run nothing."""
    once: bool = False
    """A single run; whether it repeats and can be stopped is not looked at."""
    thorough: bool = False
    """One more run for each parameter, to see whether it acts."""
    data_dir: Path | None = None
    python: str = ""
    """Interpreter for `{python}`; empty for the running one."""
    seed: int = 0
    trial_seconds: float | None = None
    """Limit of a run [s]; None for the task's own, and 600 where it has none."""
    grace_seconds: float = 3.0
    """Between asking a script to end and killing it."""


class TaskCheck(Frozen):
    """What a check found."""

    task: str
    folder: str
    """Empty when the manifest could not be read."""
    profile: str
    """Empty for the bare manifest."""
    seed: int
    checks: tuple[Check, ...]
    """In the order in which they were made. After a failed run those that need one are left out."""
    seconds: float | None = None
    """Wall-clock time of a trial with the defaults; None when none finished."""
    peak_memory_mb: float | None = None
    """Of its process tree, in MiB."""
    study_seconds: float | None = None
    """What the trials of a study of ten would take at this size, one after another, without the model's time."""

    @property
    def ok(self) -> bool:
        """Nothing failed."""
        return not any(c.status == "failed" for c in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Everything, in JSON's own types."""
        return {"ok": self.ok, **self.model_dump(mode="json")}


def check_task(
    reference: str | Path,
    home: Path,
    options: CheckOptions = CheckOptions(),
    *,
    on_check: Callable[[Check], None] = lambda check: None,
    on_run: Callable[[str], None] = lambda what: None,
) -> TaskCheck:
    """Check one task. What is wrong with the task is in what comes back, not an exception.

    Args:
        reference: As `load_task` takes it.
        home: An empty folder, in which the script runs; what it writes there is removed after each run.
        options: What to look at.
        on_check: Called with each check once it is made.
        on_run: Called before each run with what it is for.

    Raises:
        UserError: There is no such task or profile, or the options do not fit together.
        TaskError: The manifest is a file that cannot be opened.
        StoreError: `home` cannot be written.
    """
    if options.thorough and (options.once or options.manifest_only):
        raise UserError(
            "--thorough takes many runs, so it goes neither with --once nor with --manifest-only",
            hint="Leave out one of them.",
        )
    try:
        task = load_task(reference)
    except ManifestError as error:
        broken = findings.broken_manifest(error)
        on_check(broken)
        return TaskCheck(task=str(reference), folder="", profile="", seed=options.seed, checks=(broken,))
    return _Checking(task, home.absolute(), options, on_check, on_run).check()


@dataclass(frozen=True)
class _Run:
    """One run, and what its folder told before it was removed."""

    result: RunResult
    limits: Limits
    stderr: str
    late: float | None
    """Time between being told to end and having ended [s]; None for a run that was not told."""
    orphans: bool
    seen: tuple[str, ...]
    """Every metric that was reported."""

    @property
    def reported(self) -> Reported:
        epochs = tuple({"epoch": e.epoch, **e.metrics} for e in self.result.epochs)
        return Reported(epochs, dict(self.result.metrics))


class _Checking:
    """One check in progress."""

    def __init__(
        self,
        task: LoadedTask,
        home: Path,
        options: CheckOptions,
        on_check: Callable[[Check], None],
        on_run: Callable[[str], None],
    ) -> None:
        profile = options.profile or (SMOKE if SMOKE in task.spec.profiles else None)
        self.task = task
        self.spec = task.spec.with_profile(profile)
        self.profile = profile or ""
        self.space = SearchSpace(self.spec.params)
        self.home = home
        self.options = options
        self.executor = LocalExecutor(grace_seconds=options.grace_seconds)
        self.checks: list[Check] = []
        self.runs = 0
        self._on_check, self._on_run = on_check, on_run

    def check(self) -> TaskCheck:
        """Everything that was asked for."""
        self._add(findings.manifest(self.task.spec))
        self._add(findings.defaults(self.task.spec))
        self._add(findings.time_limit(self.task.spec))
        sound = self.task.spec.params and all(c.status != "failed" for c in self.checks)
        typical = self._with_runs() if sound and not self.options.manifest_only else None
        if typical is None and self.options.manifest_only:
            self._add(findings.named(self.spec, unnamed(self.task.folder, self.spec)))
        usage = None if typical is None else typical.result.usage
        return TaskCheck(
            task=self.task.spec.name,
            folder=str(self.task.folder),
            profile=self.profile,
            seed=self.options.seed,
            checks=tuple(self.checks),
            seconds=None if usage is None else usage.wall_seconds,
            peak_memory_mb=None if usage is None else usage.peak_memory_mb,
            study_seconds=None if usage is None else STUDY_TRIALS * usage.wall_seconds,
        )

    def _with_runs(self) -> _Run | None:
        """The checks that need runs; the newest one with the defaults that finished."""
        before = state(self.task.folder)
        metric = self.spec.objective.metric
        try:
            first = self._run("with the defaults", self.space.defaults())
        except UserError as error:  # its program cannot be started
            self._add(Check(name="run", status="failed", text=f"{error.message}.", hint=error.hint))
            return None
        own = self.options.trial_seconds is None and self.spec.limits.trial_seconds is not None
        ran = run_findings.run(first.result, first.limits, own_limit=own, stderr=first.stderr)
        self._add(ran)
        if ran.status == "failed":
            self._add_stopping(first)
            return None
        self._add(
            run_findings.metric(first.result, self.spec.objective, first.seen, unchanged=self._unchanged)
        )
        self._add(run_findings.curve(first.result, self.spec.objective, unchanged=self._unchanged))
        self._add(run_findings.held_out(first.seen))
        typical = None if first.result.value is None else first
        again = None
        if typical is not None and not self.options.once:
            again = self._run("once more with the same seed", self.space.defaults())
            self._add(run_findings.same_seed(first.result, again.result, metric, unchanged=self._unchanged))
            typical = again if again.result.value is not None else first
            self._add_stopping(self._stopped(typical))
        if again is not None and self.options.thorough:
            self._add(self._acting(first, again))
        else:
            self._add(findings.named(self.spec, unnamed(self.task.folder, self.spec)))
        after = state(self.task.folder)
        if before is not None and after is not None:
            changed = sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))
            self._add(findings.folder(changed, at_home=self.spec.run_in == "task"))
        return typical

    @property
    def _unchanged(self) -> bool:
        """Whether the script knows nothing of tcs_hpt, so that its numbers are read where the manifest says."""
        return self.spec.metrics is not None

    def _add(self, check: Check) -> None:
        self.checks.append(check)
        self._on_check(check)

    def _stopped(self, typical: _Run) -> _Run:
        """A run that is not left to finish: told to end at its first epoch, or without one after half of its time."""
        if typical.result.epochs:
            return self._run("until it is told to end", self.space.defaults(), stop=True)
        half = max(typical.result.usage.wall_seconds / 2, 0.01)
        return self._run("with half of its time", self.space.defaults(), seconds=half)

    def _add_stopping(self, run: _Run) -> None:
        """What can be said about ending it, unless the run has failed for another reason."""
        failure = run.result.failure
        if failure is None or failure.kind in ("timeout", "interrupted"):
            self._add(run_findings.stopping(run.result, run.late, self.options.grace_seconds, run.orphans))

    def _run(self, what: str, config: Config, *, stop: bool = False, seconds: float | None = None) -> _Run:
        """Run the script once, as a study does, and clean up after it.

        Args:
            what: What for.
            config: Complete.
            stop: Tell it to end at its first epoch.
            seconds: Its time limit, in place of the usual one.
        """
        self._on_run(what)
        self.runs += 1
        folder = self.home / str(self.runs)
        usual = self.options.trial_seconds or self.spec.limits.trial_seconds or TRIAL_SECONDS
        seconds = usual if seconds is None else seconds
        limits = self.spec.limits.model_copy(update={"trial_seconds": seconds})
        job = Job(
            self.runs,
            self.spec.model_copy(update={"limits": limits}),
            self.task.folder,
            folder,
            config,
            self.options.seed,
            self.profile,
            self.options.data_dir,
            self.options.python,
        )
        asked: list[float] = []

        def on_epoch(epoch: EpochRecord) -> None:
            if stop and not asked:
                asked.append(time.monotonic())
                self.executor.interrupt()

        try:
            result = self.executor.run(job, on_epoch)
            late = time.monotonic() - asked[0] if asked else result.usage.wall_seconds - seconds
            return _Run(
                result,
                limits,
                stderr=_end_of(folder / "stderr.log"),
                late=late if late > 0 else None,
                orphans=end_orphans(folder, None, 0.0, self.options.grace_seconds),
                seen=_seen(result, folder, self.spec.objective),
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _acting(self, first: _Run, again: _Run) -> Check:
        """Try another value of each parameter."""
        noise = differing(first.reported, again.reported) | _ALWAYS_NOISE
        bases = {self.space.key(self.space.defaults()): again}
        tried: dict[str, frozenset[str]] = {}
        lost: dict[str, RunResult] = {}
        changes = single_changes(self.space)
        for change in changes:
            key = self.space.key(change.base)
            if key not in bases:
                bases[key] = self._run(f"to compare {change.name} with", change.base)
            run = self._run(f"with {_told(change)}", change.config)
            failure = run.result.failure
            if failure is not None and failure.kind in ("crashed", "no_metric"):
                lost[_told(change)] = run.result
            same_end = failure is None and bases[key].result.failure is None
            # A script may report the value itself, e.g. the learning rate, and yet not use it.
            changed = differing(run.reported, bases[key].reported) - noise - {change.name}
            tried[change.name] = changed if same_end else changed | {"how it ended"}
        return run_findings.acting(
            tried,
            lost,
            [n for n in self.space.names if n not in {c.name for c in changes}],
            repeats=self.spec.objective.metric not in noise,
            name=self.spec.objective.metric,
        )


def _told(change: Change) -> str:
    return f"{change.name}={format_value(change.config[change.name])}"


def _seen(result: RunResult, folder: Path, objective: Objective) -> tuple[str, ...]:
    final, _ = read_result(folder, objective)
    return tuple(dict.fromkeys([n for e in result.epochs for n in e.metrics] + list(final or ())))


def _end_of(log: Path) -> str:
    try:
        with log.open("rb") as stream:
            stream.seek(max(log.stat().st_size - STDERR_BYTES, 0))
            return clean(stream.read())
    except OSError:  # the script has removed it
        return ""
