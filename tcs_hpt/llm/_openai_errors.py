"""What goes wrong with an OpenAI-compatible server, in this package's errors.

Servers agree on status codes only roughly, and word the same trouble in many ways: the patterns here are the words
of OpenAI, vLLM, llama.cpp, LM Studio, Ollama, Mistral and OpenRouter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tcs_hpt.errors import ModelError, UserError
from tcs_hpt.llm._breaker import NoServer

SHOWN_CHARACTERS = 300
"""Of a server's own words in a message."""

NO_ROUTE = re.compile(r"unexpected endpoint|no route|route not found|cannot post|invalid url", re.IGNORECASE)
NO_MODEL = re.compile(
    r"model_not_found|\bmodel\b.{0,200}?(does not exist|not found|not exist)|no models? (is )?loaded"
    r"|unknown model|invalid model|not a valid model",
    re.IGNORECASE | re.DOTALL,
)
NO_ROOM = re.compile(
    r"context_length_exceeded|exceed_context_size|(context|model) ?(length|size|window)[^.]{0,80}exceed"
    r"|exceed[^.]{0,80}(context|model)[ _](length|size|window|len)|maximum (context|model) length"
    r"|max_(completion_)?tokens['\"]? is too large|context the overflows|prompt (is )?too long|context (size|length|window) (is )?too small",
    re.IGNORECASE,
)
NO_MONEY = re.compile(
    r"insufficient_quota|exceeded your current quota|billing|insufficient (credit|balance)", re.IGNORECASE
)
BAD_KEY = re.compile(
    r"(invalid|incorrect|missing|no|valid) (an? )?api[ _-]?key|api[ _-]?key (is )?(not valid|invalid|missing)",
    re.IGNORECASE,
)
AWAY = (502, 503, 504)
"""What a proxy answers in place of a server that is gone."""
FORMAT = re.compile(r"response_format|json_schema|grammar|schema", re.IGNORECASE)
"""A server that fails with 500 over these cannot do what was asked; asking it the same again would not help."""


class Refused(Exception):
    """The server does not take the request as it is put; put differently, it may."""

    def __init__(self, complaint: Complaint, error: ModelError) -> None:
        super().__init__(error.message)
        self.complaint = complaint
        self.error = error


class Passing(Exception):
    """A trouble that may be over when the request is sent again."""

    def __init__(self, error: ModelError, *, wait: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait = wait
        """What the server asks for [s]; None when it does not say."""


class NoSuchModel(UserError):
    """The server has no model of that name."""


class PromptTooLong(ModelError):
    """Prompt and answer do not fit into the model's context."""


@dataclass(frozen=True)
class Complaint:
    """What a server says about a request that it did not answer."""

    status: int
    text: str
    """Its own words, on one line, without the request that some servers repeat in them."""
    code: str = ""
    param: str = ""
    """The field of the request that it is about, where the server says."""
    html: bool = False

    @classmethod
    def read(cls, status: int, body: bytes, scrub: Callable[[str], str]) -> Complaint:
        """From the body of an error response."""
        text = body.decode(errors="replace").strip()
        try:
            content = json.loads(text)
        except ValueError:
            html = (
                text[:200].lower().lstrip("\ufeff").startswith(("<!doctype html", "<html", "<head", "<?xml"))
            )
            return cls(status, _one_line(scrub(text)), html=html)
        return cls.of(status, content, scrub)

    @classmethod
    def of(cls, status: int, content: Any, scrub: Callable[[str], str]) -> Complaint:
        """From the JSON of an error response, whose shape differs from server to server."""
        error = content.get("error", content) if isinstance(content, Mapping) else content
        if not isinstance(error, Mapping):
            return cls(status, _one_line(scrub(_words(error))))
        nested = error.get("metadata")
        raw = (
            nested.get("raw") if isinstance(nested, Mapping) else None
        )  # OpenRouter quotes the provider here
        parts = (error.get("message"), error.get("detail"), raw, error.get("type"))
        return cls(
            status,
            _one_line(scrub(" ".join(_words(part) for part in parts if part))),
            code=_one_line(scrub(str(error.get("code") or ""))),
            param=str(error.get("param") or ""),
        )


def translate(complaint: Complaint, place: str, *, wait: float | None = None) -> Exception:
    """The exception that a complaint amounts to.

    Args:
        complaint: What the server said.
        place: The base URL, without secrets.
        wait: Seconds the server asks to wait.

    Returns:
        `Passing` or `Refused`, which are for this backend only, or an error of this package.
    """
    status, said = complaint.status, f"{complaint.text} {complaint.code}"
    server = f"the server at {place}"
    shown = f"{status}: {complaint.text[:SHOWN_CHARACTERS]}" if complaint.text else f"{status}"
    if NO_ROOM.search(said) or status == 413:
        return PromptTooLong(
            f"the prompt does not fit into the context that {server} gives the model ({shown})",
            hint="Shorten the prompt (the report's token budget), or start the server with a larger context.",
        )
    if status == 429 and NO_MONEY.search(said):
        return ModelError(
            f"{server} answers no more requests of this account ({shown})", hint="Check its plan and billing."
        )
    if status in (408, 429):
        return Passing(
            ModelError(f"{server} is busy ({shown})", hint="Wait a while, or run fewer trials at once."),
            wait=wait,
        )
    if status == 403 and complaint_about_logprobs(complaint):
        return Refused(complaint, ModelError(f"{server} refuses log-probabilities ({shown})"))
    if status in (401, 403) or (status == 400 and BAD_KEY.search(said)):
        return UserError(
            f"{server} does not accept the key, or wants one ({_status_only(complaint)})",
            hint="Put the right key into the environment variable TCS_HPT_API_KEY (for api.openai.com, "
            "OPENAI_API_KEY is read too).",
        )
    if complaint.html and status < 500:
        return wrong_path(place, f"answered with a web page ({status})")
    if status in (400, 404) and NO_MODEL.search(said) and not NO_ROUTE.search(said):
        return NoSuchModel(f"{server} does not have the model ({shown})")
    if status in (404, 405) or NO_ROUTE.search(said):
        return wrong_path(
            place, f"has nothing there ({_status_only(complaint) if complaint.html else shown})"
        )
    if status in (400, 422, 501) or (status == 500 and FORMAT.search(said)):
        return Refused(
            complaint,
            ModelError(f"{server} refuses the request ({shown})", hint="Choose another model or server."),
        )
    if status >= 500:
        broken = NoServer if status in AWAY else ModelError
        shown = _status_only(complaint) if complaint.html else shown
        return Passing(broken(f"{server} failed ({shown})", hint="Look into the server's log."), wait=wait)
    return ModelError(f"{server} answered {shown}", hint="Check the base URL and the server's log.")


def wrong_path(place: str, what: str) -> UserError:
    """The address leads to something that is not an OpenAI-compatible server."""
    root = re.match(r"\w+://[^/]+", place)
    better = "" if root is None or place.endswith("/v1") else f": try {root[0]}/v1"
    return UserError(f"{place} {what}", hint=f"Check the base URL; it usually ends in /v1{better}.")


def complaint_about_logprobs(complaint: Complaint) -> bool:
    """Hosted models answer 403 when they tell no probabilities, as if a key were wrong."""
    return "logprobs" in f"{complaint.text} {complaint.param}"


def _status_only(complaint: Complaint) -> str:
    # A web page says nothing in a terminal, and a refusal of a key likes to repeat the key, half hidden.
    named = complaint.code and not complaint.code.isdigit()
    return f"{complaint.status}, {complaint.code}" if named else str(complaint.status)


def _words(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(_without_request(value), ensure_ascii=False)


def _without_request(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_request(item) for item in value]
    if isinstance(value, Mapping):
        # FastAPI's validation errors repeat the whole request under `input`.
        return {k: _without_request(v) for k, v in value.items() if k not in ("input", "ctx", "url")}
    return value


def _one_line(text: str) -> str:
    return " ".join(text.split())[:4000]
