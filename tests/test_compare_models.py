"""Models that the studies of a comparison share."""

from __future__ import annotations

import threading
import time

import pytest

from tcs_hpt.compare import ModelPool, SharedModel
from tcs_hpt.errors import ModelUnavailable
from tcs_hpt.llm import ChatModel, ChatReply, ChatRequest
from tcs_hpt.llm.scripted import ScriptedModel
from tcs_hpt.records import Message


def test_a_shared_model_answers_one_at_a_time_and_falls_silent() -> None:
    class Counting(ScriptedModel):
        inside = most = 0

        def complete(self, request: ChatRequest) -> ChatReply:
            self.inside += 1
            self.most = max(self.most, self.inside)
            time.sleep(0.01)
            self.inside -= 1
            return ChatReply(text="x")

    inner = Counting(name="m")
    shared = SharedModel(inner)
    request = ChatRequest(messages=(Message(role="user", content="?"),), max_tokens=4)
    threads = [threading.Thread(target=shared.complete, args=(request,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inner.most == 1
    shared.stop()
    with pytest.raises(KeyboardInterrupt):
        shared.complete(request)


@pytest.mark.parametrize(
    ("name", "most"), [("openai:http://127.0.0.1:1/v1#m", 3), ("embedded:m", 3), ("ollama:m", 1)]
)
def test_several_studies_ask_at_a_time(name: str, most: int) -> None:
    """As many as there are jobs, each with a connection or an engine of its own; an Ollama server answers one after the other."""
    inside: list[ChatModel] = []
    together: list[int] = []
    closed: list[ChatModel] = []

    class Slow(ScriptedModel):
        def complete(self, request: ChatRequest) -> ChatReply:
            assert self not in inside, "one connection was used twice at a time"
            inside.append(self)
            together.append(len(inside))
            time.sleep(0.05)
            inside.remove(self)
            return ChatReply(text="x")

        def close(self) -> None:
            closed.append(self)

    request = ChatRequest(messages=(Message(role="user", content="?"),), max_tokens=4)
    with ModelPool(lambda asked: (Slow(name=asked), ""), jobs=3) as pool:
        shared, _ = pool.get(name)
        threads = [threading.Thread(target=shared.complete, args=(request,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        shared.rest()
    assert max(together) == most
    assert len(set(map(id, closed))) == len(closed) == most


def test_one_answers_all_where_there_is_no_memory_for_another() -> None:
    asked: list[str] = []

    def opener(name: str) -> tuple[ChatModel, str]:
        asked.append(name)
        if len(asked) > 1:
            raise ModelUnavailable("it needs about 1.9 GB of memory, and 1.0 GB are free")
        return Slow(name=name), ""

    class Slow(ScriptedModel):
        def complete(self, request: ChatRequest) -> ChatReply:
            time.sleep(0.05)
            return ChatReply(text="x")

    request = ChatRequest(messages=(Message(role="user", content="?"),), max_tokens=4)
    answers: list[str] = []
    with ModelPool(opener, jobs=3) as pool:
        shared, _ = pool.get("embedded:m")
        threads = [
            threading.Thread(target=lambda: answers.append(shared.complete(request).text)) for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == ["x"] * 6
    assert len(asked) == 2


def test_the_pool_opens_once_and_closes_once() -> None:
    opened: list[str] = []
    closed: list[str] = []

    class Closing(ScriptedModel):
        def close(self) -> None:
            closed.append(self.name)

    def opener(name: str) -> tuple[ChatModel, str]:
        opened.append(name)
        if name == "gone":
            raise ModelUnavailable("gone")
        return Closing(name="real" if name in ("auto", "real") else name), ""

    with ModelPool(opener) as pool:
        assert pool.get("auto")[0] is pool.get("real")[0]
        assert pool.get("auto")[0] is pool.get("auto")[0]
        for _ in range(2):
            with pytest.raises(ModelUnavailable):
                pool.get("gone")
        closed.clear()  # the second instance of the same model
    assert opened == ["auto", "real", "gone"]
    assert set(closed) == {"real"}
