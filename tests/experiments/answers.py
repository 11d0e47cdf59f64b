"""Answers as a model would have given them, with only what a figure looks at."""

from __future__ import annotations

from typing import Any

from tcs_hpt.experiments.questions import Answer
from tcs_hpt.records import ModelCall

ABCD = ("a", "b", "c", "d")


def call(role: Any = "analysis", **changes: Any) -> ModelCall:
    fields = {"role": role, "model": "m", "template": "t", "template_sha256": "", "messages": (), "reply": ""}
    return ModelCall.model_validate(fields | changes)


def answer(choice: str | None, **changes: Any) -> Answer:
    fields: dict[str, Any] = {
        "state": "diverged",
        "order": 0,
        "seed": 0,
        "purpose": "order",
        "role": "analysis",
        "options": ABCD,
        "choice": choice,
        "calls": (call(),),
    }
    return Answer.model_validate(fields | changes)
