"""Streams of events, from a real server."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tcs_hpt.events import EpochReported, StudyEnded, StudyStarted, TrialEnded
from tcs_hpt.records import EpochRecord
from tcs_hpt.service.server import bound_socket, url_of
from tcs_hpt.service.shelf import Shelf
from tcs_hpt.store import StudyRow
from tests.build import history, study, task
from tests.service.api import AT, record
from tests.service.served import SECONDS, Sent, Served, serving


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as made:
        yield made


def kinds(sent: list[Sent]) -> list[str]:
    return [s.kind for s in sent]


def test_a_study_that_is_over_is_replayed_to_its_end(served: Served) -> None:
    record(served.store, history(task()), study(name="six", trials=6))
    with served.stream("/studies/six/events") as stream:
        sent = list(stream)
    assert [s.id for s in sent] == [str(i) for i in range(1, 21)]
    assert kinds(sent)[0] == "study_started"
    assert kinds(sent)[-1] == "study_ended"
    page = httpx.get(f"{served.url}/api/v1/studies/six/events.json", params={"limit": 1000}).json()
    assert [s.data for s in sent] == page["items"]


def test_a_stream_goes_on_after_the_last_event_that_was_seen(served: Served) -> None:
    record(served.store, history(task()), study(name="six", trials=6))
    with served.stream("/studies/six/events", **{"Last-Event-ID": "18"}) as stream:
        assert [s.id for s in stream] == ["19", "20"]
    with served.stream("/studies/six/events?after=19") as stream:
        assert [s.id for s in stream] == ["20"]
    with served.stream("/studies/six/events?after=3", **{"Last-Event-ID": "19"}) as stream:
        assert [s.id for s in stream] == ["20"]
    with served.stream("/studies/six/events", **{"Last-Event-ID": "20"}) as stream:
        assert list(stream) == []


def test_events_arrive_while_they_happen_and_nothing_is_lost_over_a_break(served: Served) -> None:
    trials = history(task())
    record(served.store, trials[:1], study(name="live", trials=6), ended=False)
    with served.stream("/studies/live/events") as stream:
        assert kinds([next(stream) for _ in range(4)])[-1] == "trial_ended"
        for i in range(300):  # more than are read at one go
            epoch = EpochRecord(epoch=i, metrics={"val_accuracy": i / 300})
            served.store.append_event("live", EpochReported(number=2, epoch=epoch), AT)
        numbers = [int(next(stream).id) for _ in range(300)]
    assert numbers == list(range(5, 305))
    served.store.append_event("live", TrialEnded(trial=trials[1]), AT)
    with served.stream("/studies/live/events", **{"Last-Event-ID": "304"}) as stream:
        assert next(stream).kind == "trial_ended"
        served.store.append_event("live", StudyEnded(reason="patience"), AT)
        assert kinds(list(stream)) == ["study_ended"]


def test_a_study_that_goes_on_keeps_its_stream_open(served: Served) -> None:
    spec = record(served.store, [], study(name="on", trials=6))
    served.store.append_event("on", StudyStarted(study=spec), AT)
    with served.stream("/studies/on/events") as stream:
        assert kinds([next(stream) for _ in range(3)]) == ["study_started", "study_ended", "study_started"]
        served.store.append_event("on", StudyEnded(reason="interrupted"), AT)
        assert kinds(list(stream)) == ["study_ended"]


def test_an_end_that_comes_while_the_server_looks_is_sent(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(served.store, history(task())[:1], study(name="live", trials=6), ended=False)
    looks = 0
    row_now = Shelf.row

    def row_before_the_end(shelf: Shelf, name: str) -> StudyRow:
        nonlocal looks
        row = row_now(shelf, name)
        looks += 1
        if looks == 2:  # the first one is whether there is such a study
            served.store.append_event("live", StudyEnded(reason="patience"), AT)
        return row

    monkeypatch.setattr(Shelf, "row", row_before_the_end)
    with served.stream("/studies/live/events") as stream:
        assert kinds(list(stream))[-2:] == ["trial_ended", "study_ended"]


def test_a_paused_study_that_is_resumed_keeps_its_stream(served: Served) -> None:
    record(served.store, [], study(name="queued", trials=6))
    served.store.enqueue("queued", "{}", now=time.time())
    with served.stream("/studies/queued/events") as stream:
        assert kinds([next(stream), next(stream)]) == ["study_started", "study_ended"]
        served.store.want("queued", "stop", now=time.time())  # now nobody is going to go on
        assert list(stream) == []


def test_an_unknown_study_is_a_404_and_not_a_stream(served: Served) -> None:
    response = httpx.get(f"{served.url}/api/v1/studies/nobody/events")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_a_study_that_is_deleted_ends_its_stream(served: Served) -> None:
    record(served.store, [], study(name="gone", trials=6), ended=False)
    with served.stream("/studies/gone/events") as stream:
        next(stream)
        served.store.delete_study("gone")
        assert list(stream) == []


def test_all_studies_are_followed_at_once(served: Served) -> None:
    record(served.store, [], study(name="old", trials=6), ended=False)
    with served.stream("/events") as stream, served.stream("/events") as other:
        record(served.store, history(task()), study(name="new", trials=6))
        seen = until(stream, lambda s: s.data["summary"]["trials_done"] == 6)
        assert (seen.kind, seen.data["study"]) == ("study", "new")
        assert seen.data["summary"]["best"] == 0.955
        until(other, lambda s: s.data["summary"]["trials_done"] == 6)
        served.store.enqueue("new", "{}", now=time.time())
        assert until(stream, lambda s: s.data["summary"]["state"] == "queued").data["study"] == "new"
        served.store.want("new", "pause", now=time.time())
        until(stream, lambda s: s.data["summary"]["state"] == "paused")
        served.store.delete_study("new")
        assert until(stream, lambda s: s.data["summary"] is None).data["study"] == "new"


def until(stream: Iterator[Sent], holds: Any) -> Sent:
    return next(s for s in stream if holds(s))


def test_many_listeners_cost_one_look(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    record(served.store, [], study(name="shared", trials=6), ended=False)
    pulse = served.server._service.pulse
    looks: list[float] = []
    look = pulse.look

    def counted(names: Any) -> Any:
        looks.append(time.monotonic())
        return look(names)

    monkeypatch.setattr(pulse, "look", counted)
    with (
        served.stream("/studies/shared/events") as one,
        served.stream("/studies/shared/events") as two,
        served.stream("/studies/shared/events") as three,
    ):
        for stream in (one, two, three):
            next(stream)
        looks.clear()
        before = time.monotonic()
        while len(looks) < 5 and time.monotonic() < before + SECONDS:
            time.sleep(0.01)
        assert all(b - a >= 0.02 for a, b in pairwise(looks))
    deadline = time.monotonic() + SECONDS
    while pulse._task is not None and not pulse._task.done():
        assert time.monotonic() < deadline, "somebody still looks though nobody listens"
        time.sleep(0.02)


def test_the_end_of_the_server_ends_its_streams(served: Served) -> None:
    record(served.store, [], study(name="open", trials=6), ended=False)
    with served.stream("/studies/open/events") as stream, served.stream("/events") as all_of_them:
        next(stream)
        served.server.should_exit = True
        assert list(stream) == []
        assert list(all_of_them) == []
    served.end()


def test_a_port_that_is_taken_is_known_before_anything_is_started() -> None:
    from tcs_hpt.errors import UserError

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(UserError, match=f"port {port} of 127.0.0.1 is taken"),
            bound_socket("127.0.0.1", port),
        ):
            pass
    with pytest.raises(UserError, match="not an address"), bound_socket("no such host", 0):
        pass
    with bound_socket("::1", 0) as six:
        assert url_of(six).startswith("http://[::1]:")
