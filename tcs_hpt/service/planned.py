"""What a new study would be, without entering it."""

from __future__ import annotations

from datetime import UTC, datetime

from tcs_hpt.catalog import LoadedTask
from tcs_hpt.llm.scripted import ScriptedModel
from tcs_hpt.loop import require_fidelity
from tcs_hpt.proposers import make_proposer, needs_model
from tcs_hpt.pruning import require_prunable
from tcs_hpt.service.context import Service
from tcs_hpt.service.known import KnownStudy
from tcs_hpt.service.models import auto_reason
from tcs_hpt.service.problems import Refused
from tcs_hpt.store import QueueEntry, QueueState, StudyRow
from tcs_hpt.tuning.launch import Launch, study_spec


def planned_study(here: Service, launch: Launch, loaded: LoadedTask, where: QueueState) -> KnownStudy:
    """A study as it would be entered, checked as it would be.

    Args:
        here: The service.
        launch: How it would be started.
        loaded: Its task.
        where: Its state in the queue.

    Raises:
        UserError: Something in it cannot be.
        Refused: Its name is taken (409).
    """
    nobody = ScriptedModel([])
    make_proposer(launch.method, analysis_model=nobody, optimizer_model=nobody)
    spec = study_spec(launch, loaded, here.store)
    require_prunable(spec)
    require_fidelity(spec)
    if here.store.has_study(spec.name):
        raise Refused(
            409,
            f"there is already a study {spec.name!r}",
            hint="Choose another name, or resume that study.",
            pointer="/name",
        )
    now = here.now()
    objective = spec.task.objective
    row = StudyRow(
        name=spec.name,
        task=spec.task.name,
        title=spec.task.title,
        method=spec.method,
        trials=spec.trials,
        finished=0,
        best=None,
        created_at=datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        updated_at=datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        metric=objective.metric,
        direction=objective.direction,
        target=objective.target,
        entry=QueueEntry(name=spec.name, state=where, wanted="run", launch="", entered_at=now),
    )
    return KnownStudy(row, spec, model_reason=_model_reason(launch))


def _model_reason(launch: Launch) -> str:
    """Which models would answer, and why."""
    if not needs_model(launch.method):
        return ""
    named = dict.fromkeys((launch.analysis_model or launch.model, launch.optimizer_model or launch.model))
    return " ".join(auto_reason() if n == "auto" else f"The model {n} was asked for." for n in named)
