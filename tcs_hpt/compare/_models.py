"""Language models that several studies share: each is opened once, answers one question at a time, and is closed once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TypeAlias

from tcs_hpt.errors import ModelError
from tcs_hpt.llm import ChatModel, ChatReply, ChatRequest

Opener: TypeAlias = Callable[[str], tuple[ChatModel, str]]
"""Makes a model from its name, and says in a sentence why it is this one."""

LAST_ANSWER_SECONDS = 3.0
"""How long closing waits for an answer that is being written; then the model is left to the end of the process."""


class SharedModel:
    """A `ChatModel` that may be asked from several threads; they queue.

    Args:
        model: Who answers.
    """

    def __init__(self, model: ChatModel) -> None:
        self._model = model
        self._lock = threading.Lock()
        self._stopped = False

    @property
    def name(self) -> str:
        """How the user would name it."""
        return self._model.name

    def complete(self, request: ChatRequest) -> ChatReply:
        """Answer one request, after those that came before.

        Raises:
            KeyboardInterrupt: `stop` was called; a study takes it for Ctrl-C while its model thinks.
        """
        with self._turn():
            return self._model.complete(request)

    def rest(self) -> None:
        """Give back what a training run may need; whoever waits for an answer takes it again."""
        with self._lock:
            self._model.rest()

    def stop(self) -> None:
        """Answer no further request. Only sets a flag, so a signal handler may call it."""
        self._stopped = True

    def close(self) -> None:
        """Release the model, unless it is still in the middle of an answer; calling it twice is fine."""
        if self._lock.acquire(timeout=LAST_ANSWER_SECONDS):
            try:
                self._model.close()
            finally:
                self._lock.release()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        while not self._lock.acquire(timeout=0.1):
            self._go_on()
        try:
            self._go_on()
            yield
        finally:
            self._lock.release()

    def _go_on(self) -> None:
        if self._stopped:
            raise KeyboardInterrupt


class ModelPool:
    """Models by the names they are asked for. Use it as a context manager: leaving it closes them.

    Args:
        opener: Makes a model from its name.
    """

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._open: dict[str, tuple[SharedModel, str]] = {}
        self._failed: dict[str, ModelError] = {}

    def __enter__(self) -> ModelPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for model, _ in self._open.values():
            model.close()

    def get(self, name: str) -> tuple[SharedModel, str]:
        """The model of this name and why it is this one; two names of one model give one model.

        Raises:
            UserError: The name means nothing.
            ModelError: It cannot be opened; it is not tried again.
        """
        if name in self._failed:
            raise self._failed[name]
        if name not in self._open:
            try:
                model, reason = self._opener(name)
            except ModelError as error:
                self._failed[name] = error
                raise
            known = next((shared for shared, _ in self._open.values() if shared.name == model.name), None)
            if known is not None:
                model.close()
            self._open[name] = (known or SharedModel(model), reason)
        return self._open[name]

    def stop(self) -> None:
        """Let no model answer a further request."""
        for model, _ in list(self._open.values()):
            model.stop()
