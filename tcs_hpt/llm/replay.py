"""Recording what a model said, and playing it back without the model."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tcs_hpt.errors import ReplayMiss, UserError
from tcs_hpt.llm._base import ChatModel, ChatReply, ChatRequest, Token


class RecordingModel:
    """Passes requests on to another model and appends each reply to a file of JSON lines.

    A line holds the request's digest, its lane and the reply. The file is complete up to the last reply at any
    time, and recording again into the same file adds to it. Owns `inner`: closing this closes it.
    """

    def __init__(self, inner: ChatModel, path: Path) -> None:
        self._inner = inner
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    @property
    def name(self) -> str:
        """The recorded model's name."""
        return self._inner.name

    def complete(self, request: ChatRequest) -> ChatReply:
        """Ask the recorded model, and write down what it says."""
        reply = self._inner.complete(request)
        line = {"digest": request.digest(), "lane": request.lane, "reply": asdict(reply)}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        return reply

    def rest(self) -> None:
        """Rests the model that is recorded."""
        self._inner.rest()

    def close(self) -> None:
        """Close the recorded model."""
        self._inner.close()


class ReplayModel:
    """Answers from a recording, and only what was recorded.

    A request is recognised by its digest, so any change of a prompt, schema, seed or limit misses. A request
    recorded several times is answered in the recorded order; then the last answer repeats.

    Raises:
        UserError: The recording is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._replies = _read(path)
        self._asked: dict[str, int] = defaultdict(int)

    @property
    def name(self) -> str:
        """How the user would name it."""
        return f"replay:{self._path}"

    def complete(self, request: ChatRequest) -> ChatReply:
        """The recorded reply to exactly this request.

        Raises:
            ReplayMiss: There is none.
        """
        digest = request.digest()
        replies = self._replies.get(digest)
        if replies is None:
            lane = f"of lane `{request.lane}` " if request.lane else ""
            raise ReplayMiss(
                f"{self._path} holds {len(self._replies)} requests, none of them this one: request {lane}"
                f"with digest {digest}, {len(request.messages)} messages, "
                f"ending {_tail(request)!r}",
                hint="Something in the request changed (prompt, schema, seed or limits); record it again.",
            )
        turn = self._asked[digest]
        self._asked[digest] += 1
        return replies[min(turn, len(replies) - 1)]

    def rest(self) -> None:
        """It holds nothing."""

    def close(self) -> None:
        """Nothing to release."""


def _read(path: Path) -> dict[str, list[ChatReply]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot read the recording {path}: {error}", hint="Name a file written by a recorded run."
        ) from error
    replies: dict[str, list[ChatReply]] = defaultdict(list)
    for number, line in enumerate(lines, 1):
        try:
            entry: dict[str, Any] = json.loads(line)
            reply = entry["reply"]
            tokens = tuple(Token(**token) for token in reply.get("tokens", ()))
            replies[entry["digest"]].append(ChatReply(**(reply | {"tokens": tokens})))
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"line {number} of the recording {path} is damaged: {error!r}",
                hint="Delete that line, or record again.",
            ) from error
    # A plain dict: a miss must not create an empty entry.
    return dict(replies)


def _tail(request: ChatRequest) -> str:
    return request.messages[-1].content[-80:] if request.messages else ""
