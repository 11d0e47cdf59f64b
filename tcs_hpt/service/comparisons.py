"""Studies side by side."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from tcs_hpt.service import views
from tcs_hpt.service.context import Here
from tcs_hpt.service.known import Facts, KnownStudy
from tcs_hpt.service.problems import Refused, responses
from tcs_hpt.service.shapes import ComparedStudy, Comparison, Seconds

router = APIRouter(tags=["comparisons"])

MOST_STUDIES = 20


@router.get("/comparisons", summary="Studies side by side", responses=responses(404))
def compare(
    here: Here,
    studies: Annotated[
        str,
        Query(
            min_length=1,
            max_length=MOST_STUDIES * 121,
            description=f"Names of at most {MOST_STUDIES} studies, with commas between them.",
            examples=["tcs-1,random-1"],
        ),
    ],
) -> Comparison:
    """Several studies of one task and one metric: what each found, how it got there, and what it cost."""
    names = list(dict.fromkeys(n.strip() for n in studies.split(",") if n.strip()))
    if not names or len(names) > MOST_STUDIES:
        raise Refused(
            422,
            f"a comparison takes 1 to {MOST_STUDIES} studies, got {len(names)}",
            hint="?studies=one,another",
        )
    known = [here.shelf.study(name) for name in names]
    _require_comparable(known)
    first = known[0].row
    return Comparison(
        task=first.task,
        title=first.title or first.task,
        metric=first.metric,
        direction=first.direction,
        target=first.target,
        studies=[_compared(study, here.shelf.facts(study), here.now()) for study in known],
    )


def _require_comparable(known: list[KnownStudy]) -> None:
    first = known[0].row
    for study in known[1:]:
        row = study.row
        for what, a, b in (
            ("task", first.task, row.task),
            ("metric", first.metric, row.metric),
            ("direction", first.direction, row.direction),
            ("profile", known[0].spec.profile, study.spec.profile),
        ):
            if a != b:
                raise Refused(
                    422,
                    f"{first.name!r} and {row.name!r} cannot be compared: the {what} of one is {a!r}, of the other {b!r}",
                    hint="Compare studies of one task, at one size, with one metric.",
                )


def _compared(study: KnownStudy, facts: Facts, now: float) -> ComparedStudy:
    row = study.row
    return ComparedStudy(
        name=row.name,
        method=row.method,
        model=row.model,
        state=views.state(row, now),
        best=row.best,
        best_trial=row.best_trial,
        mean=facts.mean,
        trials_done=row.done,
        failures=row.failed,
        seconds=Seconds(thinking=facts.thinking_seconds, training=facts.training_seconds),
        progress=facts.progress,
    )
