"""When a server is given up, and when it is tried again, against a clock that is moved by hand."""

from __future__ import annotations

import pytest

from tcs_hpt.errors import ModelError, ModelUnavailable
from tcs_hpt.llm._breaker import (
    FAILURES,
    LONGEST_PAUSE_SECONDS,
    PATIENCE_SECONDS,
    PAUSE_SECONDS,
    Breaker,
    NoAnswer,
    NoServer,
)


class Server:
    """One that is there or not, and how often it was asked and knocked at."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.there = False
        self.asked = self.knocked = 0
        self.breaker = Breaker("the server", self.knock, clock=lambda: self.now)

    def knock(self) -> bool:
        self.knocked += 1
        return self.there

    def ask(self, error: Exception | None = None, *, seconds: float = 0.0) -> None:
        with self.breaker.request():
            self.asked += 1
            self.now += seconds
            if error is not None:
                raise error
            if not self.there:
                raise NoServer("nobody")


def test_after_three_failures_in_a_row_it_is_not_asked_for_a_while() -> None:
    server = Server()
    for _ in range(FAILURES):
        assert not server.breaker.is_open
        with pytest.raises(ModelUnavailable, match="nobody"):
            server.ask()
    assert server.breaker.is_open
    server.now += 20
    for _ in range(10):
        with pytest.raises(
            ModelUnavailable, match=r"not answered 3 times in a row; .* for 40 seconds"
        ) as caught:
            server.ask()
        assert caught.value.hint
    assert (server.asked, server.knocked) == (FAILURES, 0)


def test_an_answer_in_between_begins_the_count_anew() -> None:
    server = Server()
    for there in (False, False, True, False, False):
        server.there = there
        if there:
            server.ask()
            continue
        with pytest.raises(NoServer, match="nobody"):
            server.ask()
    assert not server.breaker.is_open


def test_a_refusal_is_an_answer() -> None:
    server = Server()
    for error in (NoServer("nobody"), NoAnswer("silent"), ModelError("does not know the schema")) * 3:
        with pytest.raises(type(error), match=error.message):
            server.ask(error)
    assert not server.breaker.is_open


def test_one_long_silence_suffices() -> None:
    server = Server()
    with pytest.raises(NoAnswer, match="silent"):
        server.ask(NoAnswer("silent"), seconds=PATIENCE_SECONDS)
    with pytest.raises(NoServer, match="has not answered once; it is not asked again for 60 seconds"):
        server.ask()
    assert server.asked == 1


def test_a_server_that_came_back_is_used_again() -> None:
    server = broken()
    server.there = True
    server.now += PAUSE_SECONDS
    server.ask()
    assert server.knocked == 1
    for _ in range(FAILURES - 1):  # and trusted as before
        with pytest.raises(NoServer, match="nobody"):
            server.ask(NoServer("nobody"))
    assert not server.breaker.is_open


def test_where_nobody_opens_the_pauses_grow_and_nothing_is_asked() -> None:
    server = broken()
    pauses = []
    for _ in range(8):
        before = server.now
        while server.breaker.is_open:
            server.now += 1
        pauses.append(server.now - before)
        with pytest.raises(NoServer, match="times in a row"):
            server.ask()
    assert pauses == [min(PAUSE_SECONDS * 2**n, LONGEST_PAUSE_SECONDS) for n in range(8)]
    assert (server.asked, server.knocked) == (FAILURES, 8)


def test_who_opens_but_does_not_answer_gets_a_longer_pause_at_once() -> None:
    server = broken()
    server.there = True
    server.now += PAUSE_SECONDS
    with pytest.raises(NoAnswer, match="silent"):
        server.ask(NoAnswer("silent"))
    assert server.breaker.is_open
    server.now += PAUSE_SECONDS
    assert server.breaker.is_open
    server.now += PAUSE_SECONDS
    assert not server.breaker.is_open


def test_an_interruption_says_nothing_about_the_server() -> None:
    server = Server()
    for _ in range(FAILURES - 1):
        with pytest.raises(NoServer):
            server.ask()
    with pytest.raises(KeyboardInterrupt), server.breaker.request():
        raise KeyboardInterrupt
    with pytest.raises(NoServer):
        server.ask()
    assert server.breaker.is_open


def broken() -> Server:
    server = Server()
    for _ in range(FAILURES):
        with pytest.raises(NoServer):
            server.ask()
    return server
