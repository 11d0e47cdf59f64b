"""Who may ask, and how: the host, the token, where a change may come from, sizes, and the headers of every answer.

The service listens on this machine alone unless told otherwise. What is left to fear there are pages of other sites in a
browser on the same machine, and other people's programs:

- A name that a stranger's DNS points to this machine is no name of ours: the `Host` header must be a known one.
- A form or script of another site cannot send what changes something: it must be `application/json`, which makes a browser
  ask first, and nobody here says yes; and an `Origin` must be our own.
- With a token, everything under `/api` needs it. The pages themselves hold no data.
- Nothing that a model, a script or a person wrote is ever run by a browser: no inline script, no other site's files.
"""

from __future__ import annotations

import hmac
import logging
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tcs_hpt.service.problems import problem_response
from tcs_hpt.service.settings import ServiceSettings

CHANGES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
PAGE_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"
)
"""A report is one file with its styles and drawings inside; nothing in it may run."""

_log = logging.getLogger("tcs_hpt.service")

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]\s]+)(?::\d{1,5})?")


class Safety:
    """The outermost layer of the app. What is refused here never reaches an endpoint.

    Args:
        app: What is inside.
        settings: Hosts, token and sizes.
        api: Where the paths begin that need the token.
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings, api: str = "/api/") -> None:
        self._app = app
        self._settings = settings
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        begun = False
        received = 0

        async def limited() -> Message:
            """A body that comes in pieces has no length that could be refused before."""
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._settings.max_body_bytes:
                raise HTTPException(413, _too_large(self._settings.max_body_bytes))
            return message

        async def dressed(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Content-Security-Policy", PAGE_POLICY)
                headers.setdefault("Cache-Control", "no-store" if path.startswith(self._api) else "no-cache")
            await send(message)

        refusal = self._refusal(scope["method"], path, Headers(scope=scope))
        try:
            await (refusal or self._app)(scope, limited, dressed)
        except Exception:
            if begun:
                raise
            _log.exception("%s %s failed", scope["method"], path)
            # What is inside of it is nobody else's business.
            sorry = "something went wrong inside the service"
            await problem_response(path, 500, sorry, "Its log says what.")(scope, receive, dressed)

    def _refusal(self, method: str, path: str, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if _name_in(host) not in self._settings.host_names:
            return problem_response(
                path,
                400,
                f"the Host header {host[:100]!r} names no host of this service",
                "Open it under the address that `tcs-hpt serve` printed, or start it with --allowed-host NAME.",
            )
        if path.startswith(self._api) and not self._knows_token(headers):
            return problem_response(
                path,
                401,
                "this service needs its token",
                "Send the header `Authorization: Bearer TOKEN`.",
                headers={"WWW-Authenticate": 'Bearer realm="tcs-hpt"'},
            )
        if method not in CHANGES:
            return None
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return problem_response(
                path,
                403,
                f"the request comes from a page of {origin[:100]!r}",
                "Only the dashboard's own pages may change something; programs send no Origin header.",
            )
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if method != "DELETE" and kind != "application/json":
            return problem_response(
                path,
                415,
                f"the body must be application/json, got {kind[:100] or 'no Content-Type'}",
                "Send the header `Content-Type: application/json`, also without a body.",
            )
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length[:20]) > self._settings.max_body_bytes:
            return problem_response(
                path, 413, _too_large(self._settings.max_body_bytes), "Send less at once."
            )
        return None

    def _knows_token(self, headers: Headers) -> bool:
        """Whether the token is right; takes the same time however much of it is."""
        if not self._settings.token:
            return True
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        right = hmac.compare_digest(shown.strip().encode(), self._settings.token.encode())
        return right and scheme.lower() == "bearer"


def _too_large(most: int) -> str:
    return f"the body is larger than {most} bytes"


def _name_in(host: str) -> str:
    """The name in a `Host` header, without port and brackets; empty for what is none."""
    found = _HOST.fullmatch(host)
    return found[1].strip("[]").lower() if found is not None else ""
