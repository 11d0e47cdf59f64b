"""One OpenAI-compatible server: where it is, the key for it, and what to do when it does not answer."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any, Self, TypeVar

import httpx
import tenacity

from tcs_hpt.errors import ModelError, UserError
from tcs_hpt.llm._breaker import Breaker, NoAnswer, NoServer
from tcs_hpt.llm._openai_address import Address
from tcs_hpt.llm._openai_answer import BrokenOff, NotAnAnswer
from tcs_hpt.llm._openai_errors import AWAY, Complaint, Passing, Refused, translate, wrong_path

T = TypeVar("T")

CONNECT_SECONDS = 5.0
READ_SECONDS = 300.0
"""Without a byte: a model on a CPU may read a long prompt for minutes before its first word."""
ANSWER_SECONDS = 1800.0
"""For a whole answer: a server that never stops talking is as useless as one that never begins."""
ATTEMPTS = 6
LONGEST_WAIT_SECONDS = 60.0
"""Between two attempts. Who is asked to wait longer gives up at once, since trying earlier would be in vain."""
KNOCK_SECONDS = 5.0
"""Until a server says anything at all, when it is only asked whether it is there again."""
ANSWER_BYTES = 64 << 20
ERROR_BYTES = 64_000


class Connection:
    """Requests to one server, from one thread at a time.

    Neither `repr` nor any error holds a key, a password or a query string.

    Args:
        base_url: Where it is, e.g. `http://localhost:8000/v1`. A user and password in it are used for HTTP basic
            authentication while there is no key, and its query string is sent with every request.
        api_key: The key; by default from the environment, and none when empty.
        connect_seconds: Until the server is reached.
        read_seconds: Without a byte from the server.
        answer_seconds: For a whole answer.
        attempts: How often a request is sent at most.
        sleep: Waits between attempts [s].
        clock: A monotonic clock [s], for the pauses that a dead server gets.

    Raises:
        UserError: The URL or the key cannot be one.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = Address.of(base_url, api_key)
        self.place = self._address.place
        """The base URL without secrets and without a slash at its end."""
        self._read_seconds = read_seconds
        self._answer_seconds = answer_seconds
        self._attempts = attempts
        self._sleep = sleep
        self._answered = False
        self._breaker = Breaker(f"the server at {self.place}", self._answers, clock=clock)
        timeout = httpx.Timeout(read_seconds, connect=connect_seconds)
        headers, login = {}, None
        if key := self._address.key.get_secret_value():
            headers["Authorization"] = f"Bearer {key}"
        elif self._address.login:
            user, password = self._address.login
            login = httpx.BasicAuth(user, password.get_secret_value())
        try:
            # A proxy from the environment leads away from this machine, and so not to a server on it. Redirects are
            # not followed: the key is for this host.
            self._client = httpx.Client(
                headers=headers,
                auth=login,
                timeout=timeout,
                trust_env=not self._address.is_here,
                follow_redirects=False,
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            raise UserError(
                "the proxy settings of the environment cannot be used",
                hint="Check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY, or name the host in NO_PROXY.",
            ) from error

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.place!r})"

    def get(self, path: str) -> Any:
        """The JSON that a GET brings.

        Raises:
            UserError: There is no such server, or it refuses the key.
            ModelError: It fails.
        """
        try:
            return json.loads(self._asked("GET", path, None, b"\n".join))
        except Refused as refused:
            raise refused.error from refused
        except ValueError as error:
            raise wrong_path(self.place, "did not answer in the OpenAI protocol") from error

    def post(self, path: str, body: dict[str, Any], read: Callable[[Iterator[bytes]], T]) -> T:
        """What `read` makes of the lines of the response.

        Sent again, later and later, while the server is busy, fails or breaks off; a server that has been gone for
        several requests is not asked at once again (`_breaker` has the rule). Interrupting it closes the connection,
        which ends the work on a server that looks.

        Raises:
            Refused: The server does not take this body.
            UserError: There is no such server, or it refuses the key.
            ModelError: It fails, also when asked again.
        """
        with self._breaker.request():
            return self._asked("POST", path, body, read)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open; calling it twice is fine."""
        self._client.close()

    def _answers(self) -> bool:
        """Whether anything comes back from the server, however little it likes the request."""
        try:
            with self._client.stream("GET", self._address / "models", timeout=KNOCK_SECONDS) as response:
                return response.status_code not in AWAY
        except httpx.HTTPError:
            return False

    def _asked(
        self, method: str, path: str, body: dict[str, Any] | None, read: Callable[[Iterator[bytes]], T]
    ) -> T:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_worth_a_wait),
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=_wait,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            result: T = retrying(self._ask_once, method, path, body, read)
            return result
        except Passing as trouble:
            error, tries = trouble.error, retrying.statistics.get("attempt_number", 1)
            message = f"{error.message}; asked {tries} times" if tries > 1 else error.message
            if trouble.wait is not None and trouble.wait > LONGEST_WAIT_SECONDS:
                message += f"; it asks to wait {trouble.wait:.0f} seconds"
            raise type(error)(message, hint=error.hint) from trouble.__cause__
        except UserError as error:
            if not self._answered:
                raise
            # It was right before: what changed is the server, and a study may go on without it.
            raise ModelError(error.message, hint=error.hint) from error

    def _ask_once(
        self, method: str, path: str, body: dict[str, Any] | None, read: Callable[[Iterator[bytes]], T]
    ) -> T:
        try:
            with self._client.stream(method, self._address / path, json=body) as response:
                if response.is_redirect:
                    raise self._redirected(response)
                if not response.is_success:
                    complaint = Complaint.read(
                        response.status_code, _beginning(response), self._address.scrub
                    )
                    raise translate(
                        complaint, self.place, wait=_wait_asked_for(response.headers, time.time())
                    )
                result = read(self._lines(response))
        except NotAnAnswer as error:
            raise self._not_an_answer(error) from error
        except BrokenOff as error:
            raise Passing(self._broken_off("")) from error
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        self._answered = True
        return result

    def _lines(self, response: httpx.Response) -> Iterator[bytes]:
        # Not httpx's `iter_lines`: like `str.splitlines` it also ends a line at U+2028 and others, which JSON allows.
        deadline = time.monotonic() + self._answer_seconds
        pending, received = b"", 0
        for chunk in response.iter_bytes():
            received += len(chunk)
            if time.monotonic() > deadline or received > ANSWER_BYTES:
                raise NoAnswer(
                    f"the server at {self.place} does not come to an end: {received} bytes, and its limit is "
                    f"{self._answer_seconds:g} seconds or {ANSWER_BYTES} bytes",
                    hint="Choose a smaller model, or a server that honours max_tokens.",
                )
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                yield line.removesuffix(b"\r")
        yield pending

    def _unreachable(self, error: httpx.HTTPError) -> Exception:
        detail = self._address.scrub(str(error)) or type(error).__name__
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            unavailable = NoServer(
                f"nothing answers at {self.place}: {detail}",
                hint="Start the model server, or check host and port of the base URL.",
            )
            # A server that was there a moment ago may be starting again; one that never was is a mistake.
            return Passing(unavailable) if self._answered else unavailable
        if isinstance(error, httpx.TimeoutException):
            return NoAnswer(
                f"the server at {self.place} was silent for {self._read_seconds:g} seconds",
                hint="It may be overloaded, or the prompt too long for this machine: look into its log.",
            )
        if isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError):
            return Passing(self._broken_off(f" ({detail})"))
        return ModelError(
            f"the server at {self.place} cannot be talked to: {detail}", hint="Check the base URL."
        )

    def _broken_off(self, detail: str) -> NoAnswer:
        return NoAnswer(
            f"the server at {self.place} broke off before its answer was complete{detail}",
            hint="Look into the server's log: it may have run out of memory.",
        )

    def _redirected(self, response: httpx.Response) -> UserError:
        target = response.headers.get("Location", "")
        with contextlib.suppress(httpx.InvalidURL):
            target = str(response.request.url.join(target).copy_with(userinfo=b"", query=None, fragment=None))
        return UserError(
            f"the server at {self.place} sends to another address ({response.status_code}): {self._address.scrub(target)}",
            hint="If you trust that address, use it as the base URL; redirects are not followed with a key.",
        )

    def _not_an_answer(self, error: NotAnAnswer) -> Exception:
        content = error.content
        if isinstance(content, str):
            complaint = Complaint.read(200, content.encode(), self._address.scrub)
            what = "answered with a web page" if complaint.html else "did not answer in the OpenAI protocol"
            return wrong_path(self.place, what)
        if not isinstance(content, dict) or not {"error", "message", "detail", "code"} & content.keys():
            return wrong_path(self.place, "did not answer in the OpenAI protocol")
        inner = content.get("error")
        code = inner.get("code") if isinstance(inner, dict) else content.get("code")
        # An error under a good status: in the middle of a stream the server failed, otherwise it refused.
        status = code if isinstance(code, int) and 400 <= code < 600 else 500 if error.streamed else 400
        return translate(Complaint.of(status, content, self._address.scrub), self.place)


def _is_worth_a_wait(error: BaseException) -> bool:
    return isinstance(error, Passing) and (error.wait is None or error.wait <= LONGEST_WAIT_SECONDS)


_backoff = tenacity.wait_exponential_jitter(max=30)


def _wait(state: tenacity.RetryCallState) -> float:
    """As long as the server asks for, else 1, 2, 4 ... seconds and up to one more, so that clients do not march in step."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.wait if isinstance(error, Passing) else None
    return _backoff(state) if asked is None else asked


def _wait_asked_for(headers: httpx.Headers, now: float) -> float | None:
    """Seconds in a Retry-After header, which may also be a date; None without one that can be read."""
    text = headers.get("Retry-After", "").strip()
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except ValueError:
        return None


def _beginning(response: httpx.Response) -> bytes:
    """As much of an error's body as anyone would read."""
    body = b""
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > ERROR_BYTES:
            break
    return body[:ERROR_BYTES]
