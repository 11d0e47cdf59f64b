"""One Ollama server: finding it, asking it, and what its failures mean.

Foreign exceptions are translated here and nowhere else.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from tcs_hpt.errors import ModelError, ModelUnavailable
from tcs_hpt.llm._breaker import Breaker, NoAnswer, NoServer
from tcs_hpt.llm._ollama_address import address_of, is_local

if TYPE_CHECKING:
    import ollama

    from tcs_hpt.llm.download import Progress

T = TypeVar("T")

CONNECT_SECONDS = 5.0
READ_SECONDS = 600.0
"""Without a byte from the server; loading a large model from a slow disk takes minutes."""
BRIEF_SECONDS = 10.0
"""The same for what a living server answers at once: which models it has or holds, what one is, that it unload one."""
PROBE_SECONDS = 1.0
ATTEMPTS = 4
BACKOFF_SECONDS = 0.5
"""Before the second attempt; doubled before each further one."""

_OUT_OF_MEMORY = re.compile(r"requires more system memory|out of memory|cudaMalloc|insufficient memory", re.I)
_LASTING = re.compile(
    r"does not exist|not found|manifest|unauthorized|no space|schema|grammar|does not support", re.I
)
"""Failures that no repetition mends, whatever status they come with."""


@dataclass(frozen=True)
class InstalledModel:
    """A model that an Ollama server has."""

    name: str
    """With its tag, e.g. `qwen2.5-coder:32b`."""
    size: int
    """On disk [bytes]."""
    parameters: str
    """How many, e.g. `32.8B`; empty when the server does not say."""
    quantization: str
    """E.g. `Q4_K_M`; empty when the server does not say."""


@dataclass(frozen=True)
class LoadedModel:
    """A model that an Ollama server holds in memory."""

    name: str
    size: int
    """In memory [bytes]."""
    vram: int
    """Of that, on a GPU [bytes]."""
    context: int | None
    """Its context window [tokens]; old servers do not say."""


def is_running(host: str | None = None, *, timeout: float = PROBE_SECONDS) -> str | None:
    """The version of the Ollama server at `host`, or None when no Ollama server answers there.

    Needs no extra package, and never waits longer than a few times `timeout` [s].

    Raises:
        UserError: `host`, or OLLAMA_HOST, is not an address.
    """
    try:
        return _version(address_of(host), timeout)
    except ModelUnavailable:
        return None


def installed(host: str | None = None) -> tuple[InstalledModel, ...]:
    """The models that the server has, in its order (last changed first).

    Raises:
        ModelUnavailable: No Ollama server answers.
        ModelError: It does not say.
    """
    with Server(host) as server:
        return server.installed()


def loaded(host: str | None = None) -> tuple[LoadedModel, ...]:
    """The models that the server holds in memory now.

    Raises:
        ModelUnavailable: No Ollama server answers.
        ModelError: It does not say.
    """
    with Server(host) as server:
        return server.loaded()


def pull(name: str, *, host: str | None = None, on_progress: Progress | None = None) -> None:
    """Have the server fetch a model; what an interrupted pull had fetched is kept by the server.

    Args:
        name: As Ollama's library names it, with or without `ollama:`.
        host: The server; by default OLLAMA_HOST, else this machine.
        on_progress: Called with the bytes so far and in total. The total grows as the server names further parts.

    Raises:
        ModelUnavailable: No server answers, the library has no such model, or the pull broke off.
    """
    name = name.removeprefix("ollama:")
    parts: dict[str, tuple[int, int]] = {}

    def fetch(client: ollama.Client) -> None:
        import httpx

        status = None
        for step in client.pull(name, stream=True):
            status = step.status
            if step.digest and step.total:
                parts[step.digest] = (step.completed or 0, step.total)
                if on_progress is not None:
                    on_progress(
                        sum(done for done, _ in parts.values()), sum(all_ for _, all_ in parts.values())
                    )
        if status != "success":
            raise httpx.RemoteProtocolError(f"the pull ended with {status!r}")

    with Server(host) as server:
        server.ask(fetch, model=name)


PROXIES = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "http_proxy", "https_proxy")


@contextlib.contextmanager
def _without_proxies(hidden: bool) -> Iterator[None]:
    """Hide proxy settings from what is imported meanwhile: they do not concern a server on this machine."""
    kept = {name: os.environ.pop(name) for name in PROXIES if hidden and name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


class Server:
    """A connection to an Ollama server.

    Args:
        host: The server; by default OLLAMA_HOST, else this machine.
        connect_timeout: Seconds until it must accept the connection.
        read_timeout: Seconds without a byte from it.
        brief_timeout: The same for what it answers at once.
        attempts: How often a request is made when it fails in passing.
        backoff: Seconds before the second attempt, doubled before each further one.

    Raises:
        ModelUnavailable: The `ollama` package is missing, or no Ollama server answers.
        UserError: `host`, or OLLAMA_HOST, is not an address.
    """

    def __init__(
        self,
        host: str | None,
        *,
        connect_timeout: float = CONNECT_SECONDS,
        read_timeout: float = READ_SECONDS,
        brief_timeout: float = BRIEF_SECONDS,
        attempts: int = ATTEMPTS,
        backoff: float = BACKOFF_SECONDS,
    ) -> None:
        self.address = address_of(host)
        try:
            with _without_proxies(is_local(self.address)):
                # Importing the package makes a client for the environment's host and proxies.
                import httpx
                import ollama
                import tenacity
        except (ImportError, ValueError) as error:
            raise ModelUnavailable(
                f"the client for Ollama cannot be imported: {error}",
                hint="Run `pip install ollama`; if it is installed, check ALL_PROXY and HTTPS_PROXY.",
            ) from error
        self._read_timeout = read_timeout
        self._brief_timeout = brief_timeout
        self._retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(attempts),
            wait=tenacity.wait_exponential(multiplier=backoff),
            retry=tenacity.retry_if_exception(_is_passing),
            reraise=True,
        )
        # Before the first real request, whose retries would only delay the news.
        _version(self.address, connect_timeout)
        self._client, self._brief_client = (
            ollama.Client(
                host=self.address,
                timeout=httpx.Timeout(seconds, connect=connect_timeout),
                # A proxy from the environment cannot reach this machine's own server.
                trust_env=not is_local(self.address),
            )
            for seconds in (read_timeout, brief_timeout)
        )
        self.breaker = Breaker(f"the Ollama server at {self.address}", lambda: self._answers(connect_timeout))
        """Stands before `ask`, so that a server that is gone is not waited for again and again."""

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; calling it twice is fine."""
        for client in (self._client, self._brief_client):
            client.close()  # type: ignore[no-untyped-call]

    def ask(self, do: Callable[[ollama.Client], T], *, model: str = "") -> T:
        """Run a request that may take its time, again if it fails in passing.

        Raises:
            ModelError: It failed; `ModelUnavailable` when server or model is not there, or was not for a while.
        """
        with self.breaker.request():
            return self._run(lambda: self._retrying(do, self._client), model, self._read_timeout)

    def ask_briefly(self, do: Callable[[ollama.Client], T], *, model: str = "") -> T:
        """Run a request that a living server answers at once. Made only once, and not waited for longer than seconds.

        Raises:
            ModelError: It failed; `ModelUnavailable` when server or model is not there.
        """
        return self._run(lambda: do(self._brief_client), model, self._brief_timeout)

    def installed(self) -> tuple[InstalledModel, ...]:
        """What the server has, in its order (last changed first)."""
        listing = self.ask_briefly(lambda client: client.list())
        return tuple(
            InstalledModel(
                name=model.model or "",
                size=int(model.size or 0),
                parameters=(model.details and model.details.parameter_size) or "",
                quantization=(model.details and model.details.quantization_level) or "",
            )
            for model in listing.models
        )

    def loaded(self) -> tuple[LoadedModel, ...]:
        """What the server holds in memory."""
        listing = self.ask_briefly(lambda client: client.ps())
        return tuple(
            LoadedModel(
                name=model.model or model.name or "",
                size=int(model.size or 0),
                vram=int(model.size_vram or 0),
                context=model.context_length,
            )
            for model in listing.models
        )

    def _answers(self, timeout: float) -> bool:
        try:
            return bool(_version(self.address, timeout))
        except ModelUnavailable:
            return False

    def _run(self, do: Callable[[], T], model: str, seconds: float) -> T:
        import httpx
        import ollama

        try:
            return do()
        except (ollama.ResponseError, httpx.HTTPError, ConnectionError, ValueError) as error:
            raise self._translated(error, model, seconds) from error

    def _translated(self, error: Exception, model: str, seconds: float) -> ModelError:
        import httpx
        import ollama

        if isinstance(error, ollama.ResponseError):
            return self._refusal(str(error.error).strip()[:300], error.status_code, model)
        if isinstance(error, ConnectionError | httpx.ConnectError | httpx.ConnectTimeout):
            return _nobody(self.address)
        if isinstance(error, httpx.TimeoutException):
            return NoAnswer(
                f"the Ollama server at {self.address} sent nothing for {seconds:g} seconds",
                hint="Look at the server's log; the model may be too large for this machine.",
            )
        if isinstance(error, httpx.HTTPError):
            return NoServer(
                f"the connection to the Ollama server at {self.address} was lost: {error}",
                hint="Look at the server's log; it may have run out of memory.",
            )
        return _stranger(self.address)

    def _refusal(self, text: str, status: int, model: str) -> ModelError:
        if "file does not exist" in text:
            return ModelUnavailable(
                f"Ollama's library has no model `{model}`",
                hint="Look for its name at https://ollama.com/library.",
            )
        if status == 404 and "not found" in text and model and model in text:
            return ModelUnavailable(
                f"the Ollama server at {self.address} does not have the model `{model}`",
                hint=f"Fetch it with `tcs-hpt models pull ollama:{model}`, or add `--pull`.",
            )
        if status in (404, 405):
            return _stranger(self.address)
        if _OUT_OF_MEMORY.search(text):
            return ModelUnavailable(
                f"the Ollama server at {self.address} cannot hold `{model}`: {text}",
                hint="Choose a smaller model, or free memory on that machine.",
            )
        if status in (401, 403):
            return ModelUnavailable(
                f"the Ollama server at {self.address} refuses: {text}",
                hint="Sign in with `ollama signin`, or set OLLAMA_API_KEY.",
            )
        about = f" on `{model}`" if model else ""
        return ModelError(
            f"the Ollama server at {self.address} failed{about}: {text}",
            hint="Look at the server's log, try again, or choose another model.",
        )


def _is_passing(error: BaseException) -> bool:
    """Whether the same request may succeed a moment later."""
    import httpx
    import ollama

    if isinstance(error, ollama.ResponseError):
        text = str(error.error)
        # An error in the middle of a stream has no status: -1.
        passing = error.status_code in (-1, 408, 429, 500, 502, 503, 504)
        return passing and not (_LASTING.search(text) or _OUT_OF_MEMORY.search(text))
    if isinstance(error, httpx.TimeoutException):
        return False
    # Half a line is what a dying server leaves behind where the transfer has no length.
    return isinstance(error, httpx.TransportError | ConnectionError | json.JSONDecodeError)


def _version(address: str, timeout: float) -> str:
    """Ask who is there, with the standard library only.

    Raises:
        ModelUnavailable: Nobody, or somebody else.
    """
    request = urllib.request.Request(f"{address}/api/version", headers={"Accept": "application/json"})
    proxies = [urllib.request.ProxyHandler({})] if is_local(address) else []
    try:
        with urllib.request.build_opener(*proxies).open(request, timeout=timeout) as response:
            answer = json.loads(response.read(4096))
    except urllib.error.HTTPError as error:
        with error:
            raise _stranger(address) from error
    except OSError as error:
        raise _nobody(address) from error
    except (http.client.HTTPException, ValueError) as error:
        raise _stranger(address) from error
    version = answer.get("version") if isinstance(answer, dict) else None
    if not isinstance(version, str):
        raise _stranger(address)
    return version


def _nobody(address: str) -> NoServer:
    return NoServer(
        f"no Ollama server answers at {address}",
        hint="Start it with `ollama serve`, or set OLLAMA_HOST to where it runs.",
    )


def _stranger(address: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"what answers at {address} is not an Ollama server", hint="Set OLLAMA_HOST to where Ollama runs."
    )
