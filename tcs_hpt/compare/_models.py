"""Language models that several studies share.

A model answers one question at a time. Where several may answer side by side, each study that asks gets one of its own, as far
as studies run side by side: a connection to a server, or an engine in this process on its share of the cores.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TypeAlias

from tcs_hpt.errors import ModelError
from tcs_hpt.llm import ChatModel, ChatReply, ChatRequest

Opener: TypeAlias = Callable[[str], tuple[ChatModel, str]]
"""Makes a model from its name, and says in a sentence why it is this one."""

LAST_ANSWER_SECONDS = 3.0
"""How long closing waits for an answer that is being written; then the model is left to the end of the process."""


SIDE_BY_SIDE = ("openai:", "embedded:")
"""What the names of models begin with of which there may be several: servers that answer several requests at a time, and files whose
weights engines in one process share. An Ollama server would have to hold the model's context several times, on a GPU that a trial
may need."""


class SharedModel:
    """A `ChatModel` that may be asked from several threads; they queue for it, or for one of several like it.

    Args:
        model: Who answers.
        another: Makes one more like it; when it raises a `ModelError`, those that are there are waited for.
        most: How many there may be in all; another is made when all are busy.
    """

    def __init__(
        self, model: ChatModel, another: Callable[[], ChatModel] | None = None, *, most: int = 1
    ) -> None:
        self._name = model.name
        self._another = another
        self._more = most - 1 if another is not None else 0
        """That may still be made."""
        self._idle: queue.LifoQueue[ChatModel] = queue.LifoQueue()
        self._idle.put(model)
        self._left = 1
        """That are not closed."""
        self._making = threading.Lock()
        self._stopped = False

    @property
    def name(self) -> str:
        """How the user would name it."""
        return self._name

    def complete(self, request: ChatRequest) -> ChatReply:
        """Answer one request, after those that came before.

        Raises:
            KeyboardInterrupt: `stop` was called; a study takes it for Ctrl-C while its model thinks.
            ModelError: It fails, or another one cannot be made.
        """
        with self._turn() as model:
            return model.complete(request)

    def rest(self) -> None:
        """Give back what a training run may need; whoever waits for an answer takes it again."""
        model = self._idle.get()
        try:
            model.rest()
        finally:
            self._idle.put(model)

    def stop(self) -> None:
        """Answer no further request. Only sets a flag, so a signal handler may call it."""
        self._stopped = True

    def close(self) -> None:
        """Release what answers, unless it is still in the middle of an answer; calling it twice is fine."""
        deadline = time.monotonic() + LAST_ANSWER_SECONDS
        while self._left:
            try:
                model = self._idle.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return
            self._left -= 1
            model.close()

    @contextmanager
    def _turn(self) -> Iterator[ChatModel]:
        model = self._free()
        try:
            self._go_on()
            yield model
        finally:
            self._idle.put(model)

    def _free(self) -> ChatModel:
        while True:
            with suppress(queue.Empty):
                return self._idle.get(block=not self._more, timeout=0.1)
            self._go_on()
            with self._making:
                if self._more and self._another is not None:
                    try:
                        made = self._another()
                    except ModelError:
                        self._more = 0
                        continue
                    self._more -= 1
                    self._left += 1
                    return made

    def _go_on(self) -> None:
        if self._stopped:
            raise KeyboardInterrupt


class ModelPool:
    """Models by the names they are asked for. Use it as a context manager: leaving it closes them.

    Args:
        opener: Makes a model from its name.
        jobs: Studies that may ask at the same time.
    """

    def __init__(self, opener: Opener, *, jobs: int = 1) -> None:
        self._opener = opener
        self._jobs = jobs
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
            self._open[name] = (known or self._shared(model, name), reason)
        return self._open[name]

    def _shared(self, model: ChatModel, name: str) -> SharedModel:
        most = self._jobs if model.name.startswith(SIDE_BY_SIDE) else 1
        return SharedModel(model, lambda: self._opener(name)[0], most=most)

    def stop(self) -> None:
        """Let no model answer a further request."""
        for model, _ in list(self._open.values()):
            model.stop()
