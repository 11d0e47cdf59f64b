"""What a study has to say: answers to questions, and its report."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from tcs_hpt import __version__
from tcs_hpt.report.html import render_html
from tcs_hpt.report.questions import answer
from tcs_hpt.service.bodies import QuestionBody
from tcs_hpt.service.context import Here, StudyName
from tcs_hpt.service.problems import responses
from tcs_hpt.service.safety import REPORT_POLICY
from tcs_hpt.service.shapes import AnswerShape
from tcs_hpt.tuning.places import explicit_url, reference_of

router = APIRouter(prefix="/studies/{name}", tags=["answers"])

_drawing = threading.Lock()
"""matplotlib draws in one thread at a time."""


@router.post("/questions", summary="Ask about a study", responses=responses(403, 404, 413, 415))
def question(here: Here, name: StudyName, body: QuestionBody) -> AnswerShape:
    """A question in English, answered from the records alone, with the trials that the answer rests on. No model is asked."""
    spec = here.shelf.study(name).spec
    said = answer(spec, here.store.load_trials(name), body.question)
    return AnswerShape(
        answer=said.text, trials=list(said.trials), kind=said.kind, suggestions=list(said.suggestions)
    )


@router.get(
    "/report.html",
    summary="The report",
    response_class=HTMLResponse,
    responses={200: {"description": "One file that needs no network."}, **responses(404)},
)
def report(here: Here, name: StudyName) -> HTMLResponse:
    """The report of a study as one HTML file, as it is now."""
    spec = here.shelf.study(name).spec
    trials = here.store.load_trials(name)
    now = datetime.fromtimestamp(here.now(), UTC).isoformat(timespec="seconds")
    with _drawing:
        page = render_html(
            spec,
            trials,
            task_ref=reference_of(here.store, name),
            generated_at=now,
            version=__version__,
            store_url=explicit_url(here.store),
        )
    return HTMLResponse(
        page.encode("utf-8", "backslashreplace"), headers={"Content-Security-Policy": REPORT_POLICY}
    )
