"""The trials of a study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query

from tcs_hpt.errors import UserError
from tcs_hpt.execution.outcome import clean
from tcs_hpt.execution.tail import read_piece, size
from tcs_hpt.records import Trial
from tcs_hpt.service import views
from tcs_hpt.service.context import MOST, Here, StudyName, TrialNumber
from tcs_hpt.service.problems import Refused, responses
from tcs_hpt.service.shapes import Progress
from tcs_hpt.service.trial_shapes import Calls, LogTail, TrialPage, TrialStory
from tcs_hpt.store import Store
from tcs_hpt.store.glance import epoch_counts, light_trials

router = APIRouter(prefix="/studies/{name}", tags=["trials"])

LOG_BYTES = 4096


@router.get("/trials", summary="The trials of a study", responses=responses(404))
def trials(
    here: Here,
    name: StudyName,
    after: Annotated[int, Query(ge=0, le=MOST, description="The last trial that you know.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most trials of the answer.")] = 100,
) -> TrialPage:
    """Trials by number, running and interrupted ones among them."""
    study = here.shelf.study(name)
    found = light_trials(here.store, name, after=after, limit=limit + 1)
    shown = found[:limit]
    epochs = epoch_counts(here.store, name, shown[0].number, shown[-1].number) if shown else {}
    bases = bases_of(here.store, name, found)
    items = views.trial_summaries(study, shown, [*found, *bases], epochs)
    return TrialPage(items=items, next=shown[-1].number if len(found) > limit else None)


@router.get("/trials/{number}", summary="The story of a trial", responses=responses(404))
def trial(here: Here, name: StudyName, number: TrialNumber) -> TrialStory:
    """Everything about one trial: what was seen, said, decided, run and measured."""
    return story(here, name, number)


@router.get("/trials/{number}/calls", summary="What the models were asked", responses=responses(404))
def calls(here: Here, name: StudyName, number: TrialNumber) -> Calls:
    """Every request to a language model for this trial, with prompts and replies as they were."""
    here.shelf.row(name)
    return views.calls(whole_trial(here.store, name, number))


@router.get("/progress", summary="All trials as columns", responses=responses(404))
def progress(here: Here, name: StudyName) -> Progress:
    """Compact columns over all trials, for a chart."""
    return here.shelf.facts(here.shelf.study(name)).progress


def story(here: Here, name: str, number: int) -> TrialStory:
    """Everything about one trial.

    Raises:
        Refused: There is no such trial (404).
    """
    study = here.shelf.study(name)
    found = whole_trial(here.store, name, number)
    bases = bases_of(here.store, name, [found])
    return views.trial_story(study, found, bases, log_tail(found), here.now())


def bases_of(store: Store, name: str, trials: Sequence[Trial]) -> list[Trial]:
    """The trials that some trials are measured against, where they are not among them."""
    known = {t.number for t in trials}
    wanted = {t.proposal.base_trial for t in trials if t.proposal.base_trial is not None} - known
    return light_trials(store, name, numbers=wanted) if wanted else []


def whole_trial(store: Store, name: str, number: int) -> Trial:
    """One trial with its epochs and model calls, of a study that exists.

    Raises:
        Refused: There is no such trial (404).
    """
    try:
        return store.load_trial(name, number)
    except UserError as error:
        raise Refused(404, error.message, hint=error.hint) from error


def log_tail(trial: Trial) -> LogTail | None:
    """The end of what a trial's script printed; None when its folder is not on this machine."""
    folder = Path(trial.folder)
    if not trial.folder or not folder.is_dir():
        return None
    return LogTail(stdout=_end_of(folder / "stdout.log"), stderr=_end_of(folder / "stderr.log"))


def _end_of(path: Path) -> str:
    return clean(read_piece(path, max(size(path) - LOG_BYTES, 0), LOG_BYTES))
