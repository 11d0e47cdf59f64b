"""Errors as answers: RFC 9457 `application/problem+json`, with the hint that every error of ours carries."""

from __future__ import annotations

import http
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.exceptions import HTTPException

from tcs_hpt.errors import ManifestError, ModelError, StoreError, TaskError, TcsHptError, UserError
from tcs_hpt.errors import Problem as ManifestProblem
from tcs_hpt.service.shapes import Shape, Text
from tcs_hpt.store import LeaseLost, WrongState

MEDIA_TYPE = "application/problem+json"

SENT_MANIFEST = "the manifest"
"""How errors name a manifest that came in a body; any other one is a file here."""

_log = logging.getLogger("tcs_hpt.service")

_HINTS = {
    404: "GET /api/v1/openapi.json lists what there is.",
    405: "GET /api/v1/openapi.json lists which methods a path takes.",
    413: "Send less at once.",
}


class Fault(Shape):
    """One thing that is wrong in a request."""

    pointer: Text = Field(
        description="Where in the body, as a JSON pointer: `/trials`; empty for other places."
    )
    detail: Text = Field(description="The rule, and what was received.")
    fix: Text = Field("", description="What to write instead, where that can be said.")


class Problem(Shape):
    """An error (RFC 9457): what is wrong, and what to do about it."""

    type: str = Field(
        "about:blank", description="Always `about:blank`: `status` and `title` say what kind it is."
    )
    title: str = Field(description="The status in words.", examples=["Not Found"])
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: Text = Field(description="What is wrong, for people.", examples=["there is no study 'gcn'"])
    hint: Text = Field(
        "", description="What to do about it; may be empty.", examples=["Did you mean gcn_cora?"]
    )
    instance: Text = Field("", description="The path that was asked for.", examples=["/api/v1/studies/gcn"])
    errors: list[Fault] = Field([], description="Every single thing that is wrong, where there are several.")


class Refused(TcsHptError):
    """A request that is answered with an error of its own status.

    Args:
        status: The HTTP status.
        message: What is wrong.
        hint: What to do about it.
        pointer: The field of the body that is to blame, as a JSON pointer.
        headers: Further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        hint: str = "",
        pointer: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.errors = [Fault(pointer=pointer, detail=message, fix=hint)] if pointer else []
        self.headers = dict(headers or {})


_SAID = {
    400: "The body cannot be read, or the Host header names no host of this service.",
    401: "The token is missing or wrong.",
    403: "The request comes from another site's page.",
    404: "There is no such thing.",
    409: "It is not in a state for this.",
    410: "The study is over.",
    413: "The body is larger than 1 MiB.",
    415: "The body is not `application/json`.",
    422: "Something in the request is not valid; `errors` may list it.",
    503: "The database or the language model cannot be reached; try again.",
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI shall say about the errors of an endpoint; those that every endpoint may give are added."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": _SAID[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in sorted({400, 401, 422, 503, *statuses})
    }


def problem_response(
    path: str,
    status: int,
    detail: str,
    hint: str = "",
    *,
    errors: list[Fault] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """One error as an answer."""
    problem = Problem(
        title=http.HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        hint=hint,
        instance=path,
        errors=errors or [],
    )
    return JSONResponse(problem.model_dump(), status, dict(headers or {}), MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Let an app answer every error so."""

    @app.exception_handler(TcsHptError)
    async def ours(request: Request, error: TcsHptError) -> JSONResponse:
        path = request.url.path
        if isinstance(error, Refused):
            return problem_response(
                path, error.status, error.message, error.hint, errors=error.errors, headers=error.headers
            )
        if isinstance(error, ManifestError):
            faults = [_fault_of_manifest(problem) for problem in error.problems]
            return problem_response(path, 422, "the task manifest has problems", errors=faults)
        if isinstance(error, LeaseLost | WrongState):
            return problem_response(path, 409, error.message, error.hint)
        if isinstance(error, UserError | TaskError):
            return problem_response(path, 422, error.message, error.hint)
        if isinstance(error, StoreError | ModelError):
            _log.warning("%s: %s", path, error.message)
            return problem_response(path, 503, error.message, error.hint, headers={"Retry-After": "5"})
        raise error

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        faults = [_fault(detail) for detail in error.errors()]
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        hint = "GET /api/v1/openapi.json says what may be sent."
        return problem_response(request.url.path, 422, f"{faults[0].detail}{more}", hint, errors=faults)

    @app.exception_handler(HTTPException)
    async def by_framework(request: Request, error: HTTPException) -> JSONResponse:
        detail = {404: f"there is nothing at {request.url.path}"}.get(error.status_code, str(error.detail))
        hint = _HINTS.get(error.status_code, "")
        return problem_response(request.url.path, error.status_code, detail, hint, headers=error.headers)


def _fault(found: Mapping[str, Any]) -> Fault:
    """One finding of pydantic; what was received is named only where it is short."""
    where, *path = found["loc"]
    named = ".".join(str(part) for part in path) or str(where)
    received = found.get("input")
    short = isinstance(received, str | int | float | bool) and len(str(received)) <= 60
    got = f", got {received!r}" if short else ""
    if found["type"] == "json_invalid":
        return Fault(
            pointer="",
            detail=f"the body is not JSON: {found.get('ctx', {}).get('error', 'it cannot be read')}",
        )
    pointer = pointer_to(path) if where == "body" else ""
    return Fault(pointer=pointer, detail=f"{named}: {found['msg']}{got}")


def _fault_of_manifest(problem: ManifestProblem) -> Fault:
    path = ["manifest", *problem.key.split(".")] if problem.key else ["manifest"]
    sent = problem.file == SENT_MANIFEST
    return Fault(
        pointer=pointer_to(path) if sent else "",
        detail=problem.message if sent or not problem.key else f"[{problem.key}] {problem.message}",
        fix=problem.fix,
    )


def pointer_to(path: Iterable[object]) -> str:
    """A place in the body as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
