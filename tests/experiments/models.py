"""Models with a known character, to be checked."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence

from tcs_hpt.experiments.states import STATES
from tcs_hpt.llm import ChatRequest
from tcs_hpt.llm.scripted import ScriptedModel, first_choice

KEYS = ("specific_recommendation", "hyperparameters")


def options(request: ChatRequest) -> list[str]:
    assert request.schema is not None
    (key,) = (k for k in KEYS if k in request.schema["properties"])
    return list(request.schema["properties"][key]["enum"])


def choosing(pick: Callable[[list[str], ChatRequest], str], *, problem: str = "") -> ScriptedModel:
    """Answers well-formed; `pick` makes the choice, `problem` is the diagnosis if given."""

    def answer(request: ChatRequest) -> str:
        found = json.loads(first_choice(request))
        choice = pick(options(request), request)
        for key in KEYS:
            if key in found:
                found[key] = choice
        if "primary_action" in found:
            found["primary_action"] = choice.split(":")[0]
            if problem:
                found["problem_diagnosis"] = problem
        return json.dumps(found)

    return ScriptedModel(then=answer)


def by_place(place: int = 0) -> ScriptedModel:
    return choosing(lambda listed, request: listed[place])


def by_content(way: str = "right") -> ScriptedModel:
    """Always the same change of a list: one that goes this way, where there is one."""

    def pick(listed: list[str], request: ChatRequest) -> str:
        state = next(s for s in STATES.values() if set(s.changes) == set(listed))
        going = [text for text in state.changes if state.way(text) == way]
        return (going or list(state.changes))[0]

    return choosing(pick)


def at_random() -> ScriptedModel:
    """Draws from the list by the request's seed."""
    return choosing(lambda listed, request: random.Random(request.seed).choice(listed))


def invalid(text: str = "I would lower the learning rate.") -> ScriptedModel:
    return ScriptedModel(then=text)


def sometimes(first: Sequence[str], then: ScriptedModel) -> ScriptedModel:
    """These replies first, afterwards another model's."""
    return ScriptedModel(first, then=lambda request: then.complete(request).text)
