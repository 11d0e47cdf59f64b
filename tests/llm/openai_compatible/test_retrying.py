"""Servers that are busy, fail, break off, hang, or go away."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from email.utils import formatdate

import pytest

from tcs_hpt.errors import ModelError, ModelUnavailable
from tcs_hpt.testing.models import request
from tcs_hpt.testing.openai_server import Breaks, OpenAIServer, Status
from tests.llm.openai_compatible.asking import BUSY, failure, patient


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529])
def test_passing_trouble_is_waited_out(server: OpenAIServer, status: int) -> None:
    server.faults.extend([Status(status, BUSY)] * 3)
    model, waits = patient(server)
    assert model.complete(request()).text
    assert [int(w) for w in waits] == [1, 2, 4]  # and a part of a second by chance
    assert len({w % 1 for w in waits}) == 3


@pytest.mark.parametrize(
    ("status", "error"), [(429, "is busy (429: Rate limit"), (500, "failed (500: Rate"), (503, "failed (503")]
)
def test_the_waiting_ends(server: OpenAIServer, status: int, error: str) -> None:
    raised, waits = failure(server, *[Status(status, BUSY)] * 9, attempts=4)
    assert error in raised.message
    assert raised.message.endswith("; asked 4 times")
    assert len(waits) == 3
    assert len(server.bodies) == 4


@pytest.mark.parametrize("asked", ["7", "7.0", "date"])
def test_the_server_says_how_long_to_wait(server: OpenAIServer, asked: str) -> None:
    header = formatdate(time.time() + 7.9, usegmt=True) if asked == "date" else asked
    server.faults.append(Status(429, BUSY, {"Retry-After": header}))
    model, waits = patient(server)
    assert model.complete(request()).text
    assert waits == [pytest.approx(7, abs=1)]


@pytest.mark.parametrize("asked", ["86400", "inf"])
def test_nobody_waits_for_a_day(server: OpenAIServer, asked: str) -> None:
    error, waits = failure(server, Status(429, BUSY, {"Retry-After": asked}))
    assert "it asks to wait" in error.message
    assert waits == []


@pytest.mark.parametrize("asked", ["soon", "-3", "nan"])
def test_a_strange_wish_to_wait_does_no_harm(server: OpenAIServer, asked: str) -> None:
    server.faults.append(Status(429, BUSY, {"Retry-After": asked}))
    model, waits = patient(server)
    assert model.complete(request()).text
    assert 0 <= waits[0] <= 2


def test_an_empty_account_is_not_waited_for(server: OpenAIServer) -> None:
    error, waits = failure(server, Status(429, {"error": {"message": "no", "code": "insufficient_quota"}}))
    assert "billing" in error.hint
    assert waits == []


@pytest.mark.parametrize(
    "fault", [Breaks(0, "end"), Breaks(0, "reset"), Breaks(3, "end"), Breaks(3, "reset")]
)
def test_half_an_answer_is_asked_for_again(server: OpenAIServer, fault: Breaks) -> None:
    server.faults.append(fault)
    model, waits = patient(server)
    assert json.loads(model.complete(request()).text)
    assert len(waits) in (
        1,
        2,
    )  # on a busy machine the next request may still go out on the connection that is being closed
    error, waits = failure(server, *[fault] * 3, attempts=3)
    assert isinstance(error, ModelError)
    assert not isinstance(error, ModelUnavailable)
    assert "broke off before its answer was complete" in error.message
    assert len(waits) == 2


def test_an_error_in_the_middle_of_a_stream_is_one(server: OpenAIServer) -> None:
    stream = 'data: {"choices": [{"delta": {"content": "a"}}]}\n\ndata: {"error": {"message": "lost", "code": 500}}\n\n'
    server.faults.append(Status(200, stream, {"Content-Type": "text/event-stream"}))
    model, waits = patient(server)
    assert json.loads(model.complete(request()).text)
    assert len(waits) == 1


def test_a_server_that_was_there_may_come_back(server: OpenAIServer) -> None:
    model, waits = patient(server, attempts=3)
    assert model.complete(request()).text
    server.__exit__(None, None, None)
    with pytest.raises(ModelUnavailable, match=r"nothing answers at .*; asked 3 times"):
        model.complete(request())
    assert len(waits) == 2
    server._thread = threading.Thread()  # so that the fixture can close it again
    server._thread.start()


@pytest.mark.parametrize("after", [0, 2])
def test_a_server_that_hangs_is_noticed(server: OpenAIServer, after: int) -> None:
    error, waits = failure(server, Breaks(after, "hang"), read_seconds=0.5)
    assert error.message.endswith("was silent for 0.5 seconds")
    assert waits == []
    assert server.left.wait(5)  # so that it stops working for nobody


def test_an_answer_without_end_is_noticed() -> None:
    with OpenAIServer(say=lambda _: "no end " * 50_000) as server:
        model, _ = patient(server, answer_seconds=0.05)
        with pytest.raises(ModelError, match="does not come to an end"):
            model.complete(request(schema=None, max_tokens=10**6))


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a POSIX signal")
def test_ctrl_c_works_at_once_and_frees_the_server(server: OpenAIServer) -> None:
    server.faults.append(Breaks(2, "hang"))
    code = f"""
from tcs_hpt.llm.openai_compatible import OpenAICompatibleModel
from tcs_hpt.testing.models import request
model = OpenAICompatibleModel({server.url!r}, "tiny")
try:
    model.complete(request())
except KeyboardInterrupt:
    print(model.complete(request(schema=None)).text)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    with process:
        deadline = time.monotonic() + 30
        while not server.requests and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=10)
    assert out == "ok\n"
    assert server.left.is_set()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_dead_server_does_not_cost_every_decision_its_waiting(server: OpenAIServer) -> None:
    clock = Clock()
    model, waits = patient(server, attempts=3, clock=clock)
    server.faults.extend([Status(503, BUSY)] * 9)
    for _ in range(3):
        with pytest.raises(ModelUnavailable, match="asked 3 times"):
            model.complete(request())
    waited = len(waits)
    for _ in range(20):
        with pytest.raises(ModelUnavailable, match="not asked again for 60 seconds"):
            model.complete(request())
    assert len(server.bodies) == 9
    assert len(waits) == waited
    clock.now += 60
    assert model.complete(request()).text  # it is there again
    assert model.complete(request()).text


def test_a_server_that_says_it_is_busy_is_alive(server: OpenAIServer) -> None:
    model, _ = patient(server, attempts=1)
    for _ in range(5):
        server.faults.append(Status(429, BUSY))
        with pytest.raises(ModelError, match="is busy"):
            model.complete(request())
    assert model.complete(request()).text


def test_who_only_refuses_the_request_is_alive(server: OpenAIServer) -> None:
    model, _ = patient(server)
    for _ in range(5):
        server.faults.extend([Status(400, {"error": {"message": "no"}})] * 4)
        with pytest.raises(ModelError, match="refuses the request"):
            model.complete(request())
    server.faults.clear()
    assert model.complete(request()).text


def test_after_a_pause_a_server_is_only_knocked_at(server: OpenAIServer) -> None:
    clock = Clock()
    model, _ = patient(server, attempts=1, clock=clock)
    server.faults.extend([Status(502, BUSY)] * 3)
    for _ in range(3):
        with pytest.raises(ModelUnavailable, match="failed"):
            model.complete(request())
    clock.now += 60
    server.faults.append(Status(502, BUSY))
    with pytest.raises(ModelUnavailable, match="4 times in a row; it is not asked again for 120 seconds"):
        model.complete(request())
    assert server.requests[-1].method == "GET"
