"""Asking a stand-in for a server, without waiting."""

from __future__ import annotations

from typing import Any

import pytest

from tcs_hpt.errors import TcsHptError
from tcs_hpt.llm import ChatReply
from tcs_hpt.llm.openai_compatible import OpenAICompatibleModel
from tcs_hpt.testing.models import request
from tcs_hpt.testing.openai_server import Breaks, OpenAIServer, Status

KEY = "sk-proj-Zq7_verySecret-0042"


BUSY = {"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}}


def ask(server: OpenAIServer, **changes: Any) -> ChatReply:
    model, waits = patient(server)
    reply = model.complete(request(**changes))
    assert waits == []
    return reply


def patient(server: OpenAIServer, **options: Any) -> tuple[OpenAICompatibleModel, list[float]]:
    """A model of the server, and the list of seconds it would have waited between attempts."""
    waits: list[float] = []
    return OpenAICompatibleModel(server.url, "tiny", sleep=waits.append, **options), waits


def failure(
    server: OpenAIServer, *faults: Status | Breaks, **options: Any
) -> tuple[TcsHptError, list[float]]:
    server.faults.extend(faults)
    model, waits = patient(server, **options)
    with pytest.raises(TcsHptError) as caught:
        model.complete(request())
    return caught.value, waits
