"""What every store must do as the service's queue, as a test class to inherit.

    class TestSqlite(QueueContract):
        @pytest.fixture
        def url(self, tmp_path):
            return f"sqlite:///{tmp_path}/studies.db"

Needs pytest. `url` must name an empty database for each test. Times are made up: no test waits for a claim to run out.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from tcs_hpt.errors import UserError
from tcs_hpt.store import QueueEntry, QueueState, Store, Wanted, WrongState
from tcs_hpt.testing.leases import LENGTH, NOON, at_once
from tcs_hpt.testing.samples import study_spec

LAUNCH = '{"task": "toy"}'


def enter(store: Store, name: str, *, now: float = NOON, state: QueueState = "queued") -> None:
    """A study in the queue."""
    store.create_study(study_spec(name))
    store.enqueue(name, LAUNCH, now=now, state=state)


def claim(
    store: Store, worker: str, *, now: float = NOON, device: str = "cpu", host: str = "here", limit: int = 9
) -> str | None:
    """The name of the study that a worker gets."""
    entry = store.claim(worker, host=host, device=device, limit=limit, seconds=LENGTH, now=now)
    return entry.name if entry is not None else None


def entry_of(store: Store, name: str) -> QueueEntry:
    """A study's entry."""
    entry = store.queue_entry(name)
    assert entry is not None
    return entry


class QueueContract:
    """Inherit it and give a fixture `url`."""

    @pytest.fixture
    def stores(self, url: str) -> Iterator[tuple[Store, Store]]:
        """Two stores on one database."""
        with Store.open(url) as a, Store.open(url) as b:
            yield a, b

    # -- entering -------------------------------------------------------------------------------------------

    def test_a_study_gets_a_place(self, stores: tuple[Store, Store]) -> None:
        """With all that was said of it; one that is not in the queue has none."""
        a, b = stores
        a.create_study(study_spec("first"))
        assert b.queue_entry("first") is None
        a.enqueue("first", LAUNCH, now=NOON)
        entry = QueueEntry("first", "queued", "run", LAUNCH, NOON)
        assert b.queue_entry("first") == entry
        assert b.queue() == [entry]
        assert not entry.live(NOON)

    def test_a_place_is_for_one_study_that_exists(self, stores: tuple[Store, Store]) -> None:
        """And given once."""
        a, b = stores
        enter(a, "first")
        with pytest.raises(WrongState, match="was entered before") as caught:
            b.enqueue("first", "{}", now=NOON + 1)
        assert caught.value.hint
        assert entry_of(a, "first").launch == LAUNCH
        for attempt in (
            lambda: a.enqueue("x", LAUNCH, now=NOON),
            lambda: a.queue_entry("x"),
            lambda: a.want("x", "run", now=NOON),
            lambda: a.delete_study("x", now=NOON),
            lambda: a.study_row("x"),
        ):
            with pytest.raises(UserError, match="no study 'x'"):
                attempt()

    def test_the_queue_is_in_order_and_by_state(self, stores: tuple[Store, Store]) -> None:
        """Of the times at which studies were entered."""
        a, b = stores
        for name, later in (("second", 2), ("first", 1), ("third", 3)):
            enter(a, name, now=NOON + later)
        assert claim(a, "w", now=NOON + 4) == "first"
        assert [e.name for e in b.queue()] == ["first", "second", "third"]
        assert [e.name for e in b.queue({"queued"})] == ["second", "third"]
        assert [e.name for e in b.queue(("running", "ended"))] == ["first"]

    # -- claiming -------------------------------------------------------------------------------------------

    def test_first_in_first_out(self, stores: tuple[Store, Store]) -> None:
        """Whoever takes them; a claim says who, where and for how long."""
        a, b = stores
        for number in range(3):
            enter(a, f"s{number}", now=NOON + number)
        assert claim(b, "w1", device="1") == "s0"
        assert claim(a, "w2") == "s1"
        assert claim(b, "w3") == "s2"
        assert claim(a, "w4") is None
        entry = entry_of(a, "s0")
        assert (entry.state, entry.worker, entry.host, entry.device) == ("running", "w1", "here", "1")
        assert (entry.heartbeat, entry.expires_at) == (NOON, NOON + LENGTH)
        assert entry.live(NOON)

    def test_one_of_two_gets_a_study(self, stores: tuple[Store, Store]) -> None:
        """However close they are."""
        a, b = stores
        for number in range(5):
            enter(a, f"s{number}")
            got = at_once(partial(claim, a, f"a{number}"), partial(claim, b, f"b{number}"))
            assert sorted(got, key=str) == [None, f"s{number}"]

    def test_no_more_than_the_limit_on_a_device(self, stores: tuple[Store, Store]) -> None:
        """Over all workers of a host; other hosts and other devices count for themselves, dead workers not at all."""
        a, b = stores
        for number in range(6):
            enter(a, f"s{number}", now=NOON + number)
        assert claim(a, "w1", limit=1) == "s0"
        assert claim(b, "w2", limit=1) is None
        assert claim(b, "w2", limit=2) == "s1"
        assert claim(b, "w3", limit=1, device="0") == "s2"
        assert claim(b, "w4", limit=1, host="elsewhere") == "s3"
        late = NOON + LENGTH
        assert claim(b, "w5", limit=1, now=late) == "s0"  # whose worker is gone
        assert claim(b, "w6", limit=1, now=late) is None

    def test_two_at_once_keep_to_the_limit(self, stores: tuple[Store, Store]) -> None:
        """They count each other's."""
        a, b = stores
        for number in range(6):
            enter(a, f"s{number}")
        for number in range(3):
            device = str(number)
            got = at_once(
                partial(claim, a, f"a{number}", device=device, limit=1),
                partial(claim, b, f"b{number}", device=device, limit=1),
            )
            assert sum(name is not None for name in got) == 1

    def test_a_claim_runs_out_unless_it_is_renewed(self, stores: tuple[Store, Store]) -> None:
        """Then another worker goes on, and the first learns of it."""
        a, b = stores
        enter(a, "first")
        assert claim(a, "w1") == "first"
        assert a.renew_claim("first", "w1", seconds=LENGTH, now=NOON + 40) == "run"
        assert claim(b, "w2", now=NOON + LENGTH) is None
        assert not entry_of(b, "first").live(NOON + 40 + LENGTH)
        assert claim(b, "w2", now=NOON + 40 + LENGTH) == "first"
        assert a.renew_claim("first", "w1", seconds=LENGTH, now=NOON + 41 + LENGTH) is None
        assert not a.end_claim("first", "w1", "ended", "trials")
        assert entry_of(a, "first").worker == "w2"

    def test_a_claim_that_ran_out_still_serves_until_it_is_taken(self, stores: tuple[Store, Store]) -> None:
        """A long stall costs nothing when nobody else was there."""
        a, _ = stores
        enter(a, "first")
        assert claim(a, "w1") == "first"
        assert a.renew_claim("first", "w1", seconds=LENGTH, now=NOON + 9999) == "run"
        assert entry_of(a, "first").live(NOON + 9999)

    def test_a_clock_that_was_set_back_blocks_nothing(self, stores: tuple[Store, Store]) -> None:
        """A dead worker's claim from the future has run out; one that is merely ahead has not."""
        a, b = stores
        enter(a, "first", now=0.0)
        assert claim(a, "w1") == "first"
        assert claim(b, "w2", now=NOON - LENGTH) is None
        assert entry_of(b, "first").live(NOON - LENGTH)
        assert claim(b, "w2", now=NOON - 3600) == "first"

    def test_nobody_takes_an_external_study(self, stores: tuple[Store, Store]) -> None:
        """Whatever is wanted of it: its state stays."""
        a, b = stores
        enter(a, "first", state="external")
        wishes: tuple[Wanted, ...] = ("pause", "run", "stop")
        for wish in wishes:
            entry = a.want("first", wish, now=NOON)
            assert (entry.state, entry.wanted) == ("external", wish)
            assert claim(b, "w") is None

    # -- giving back ----------------------------------------------------------------------------------------

    @pytest.mark.parametrize("given", ["queued", "paused", "stopped"])
    @pytest.mark.parametrize(("wish", "state"), [("run", "queued"), ("pause", "paused"), ("stop", "stopped")])
    def test_a_study_that_is_not_over_becomes_what_is_wanted(
        self, stores: tuple[Store, Store], given: QueueState, wish: Wanted, state: QueueState
    ) -> None:
        """At the moment in which it is given back, whatever its worker knew."""
        a, b = stores
        enter(a, "first")
        assert claim(a, "w") == "first"
        assert b.want("first", wish, now=NOON).state == "running"
        assert a.renew_claim("first", "w", seconds=LENGTH, now=NOON) == wish
        assert a.end_claim("first", "w", given, "so it is", deaths=1)
        assert b.queue() == [QueueEntry("first", state, wish, LAUNCH, NOON, deaths=1, message="so it is")]
        assert not a.end_claim("first", "w", "failed")
        assert claim(b, "w2") == ("first" if wish == "run" else None)

    @pytest.mark.parametrize("state", ["ended", "failed"])
    def test_a_study_that_is_over_waits_no_more(self, stores: tuple[Store, Store], state: QueueState) -> None:
        """And says why."""
        a, b = stores
        enter(a, "first")
        assert claim(a, "w") == "first"
        assert not a.end_claim("first", "another", state, "no")
        assert a.end_claim("first", "w", state, "the reason")
        entry = entry_of(b, "first")
        assert (entry.state, entry.message, entry.worker, entry.device) == (state, "the reason", "", "")
        assert claim(b, "w2", now=NOON + 9999) is None

    # -- what people want -----------------------------------------------------------------------------------

    def test_what_waits_obeys_at_once(self, stores: tuple[Store, Store]) -> None:
        """And the same wish twice changes nothing."""
        a, b = stores
        enter(a, "first")
        steps: tuple[tuple[Wanted, QueueState], ...] = (
            ("run", "queued"),
            ("pause", "paused"),
            ("pause", "paused"),
            ("run", "queued"),
            ("stop", "stopped"),
            ("stop", "stopped"),
            ("run", "queued"),
            ("pause", "paused"),
            ("stop", "stopped"),
        )
        for wish, state in steps:
            entry = a.want("first", wish, now=NOON)
            assert (entry.state, entry.wanted) == (state, wish)
        assert claim(b, "w") is None

    def test_who_comes_back_stands_at_the_end(self, stores: tuple[Store, Store]) -> None:
        """Of the queue, with a fresh start."""
        a, b = stores
        for name in ("first", "second"):
            enter(a, name)
        assert claim(a, "w") == "first"
        assert a.end_claim("first", "w", "failed", "no model", deaths=2)
        again = b.want("first", "run", now=NOON + 5)
        assert again == QueueEntry("first", "queued", "run", LAUNCH, NOON + 5)
        assert claim(a, "w1") == "second"
        assert claim(a, "w2") == "first"

    def test_a_wish_can_be_taken_back(self, stores: tuple[Store, Store]) -> None:
        """While the worker has not obeyed yet."""
        a, b = stores
        enter(a, "first")
        assert claim(a, "w") == "first"
        b.want("first", "stop", now=NOON)
        entry = b.want("first", "run", now=NOON)
        assert (entry.state, entry.wanted, entry.entered_at) == ("running", "run", NOON)
        assert a.renew_claim("first", "w", seconds=LENGTH, now=NOON) == "run"

    @pytest.mark.parametrize(("wish", "state"), [("pause", "paused"), ("stop", "stopped")])
    def test_a_dead_worker_is_not_waited_for(
        self, stores: tuple[Store, Store], wish: Wanted, state: QueueState
    ) -> None:
        """Whether it died before the wish or after."""
        a, b = stores
        enter(a, "before")
        enter(a, "after", now=NOON + 1)
        assert [claim(a, f"w{n}") for n in (1, 2)] == ["before", "after"]
        assert b.want("after", wish, now=NOON + 1).state == "running"
        late = NOON + LENGTH
        assert b.want("before", wish, now=late).state == state
        assert claim(b, "w3", now=late) is None
        entries = b.queue()
        assert [(e.state, e.wanted, e.worker) for e in entries] == [(state, wish, "")] * 2

    def test_what_makes_no_sense_is_refused(self, stores: tuple[Store, Store]) -> None:
        """With a sentence, and without a change."""
        a, _ = stores
        a.create_study(study_spec("terminal"))
        enter(a, "over")
        assert claim(a, "w") == "over"
        assert a.end_claim("over", "w", "ended", "trials")
        enter(a, "broken")
        assert claim(a, "w") == "broken"
        assert a.end_claim("broken", "w", "failed", "no")
        enter(a, "halted")
        a.want("halted", "stop", now=NOON)
        before = a.queue()
        refused: tuple[tuple[str, Wanted, str], ...] = (
            ("terminal", "pause", "was not entered through the service"),
            ("over", "run", r"has ended \(trials\)"),
            ("over", "stop", "has ended"),
            ("broken", "pause", "nothing to pause"),
            ("broken", "stop", "nothing to stop"),
            ("halted", "pause", "was stopped"),
        )
        for name, wish, sentence in refused:
            with pytest.raises(WrongState, match=sentence) as caught:
                a.want(name, wish, now=NOON)
            assert caught.value.hint.endswith(".")
        assert a.queue() == before

    # -- workers --------------------------------------------------------------------------------------------

    def test_workers_say_that_they_are_there(self, stores: tuple[Store, Store]) -> None:
        """Until they go, or are not heard of any more."""
        a, b = stores
        a.check_in("w1", host="here", devices=("0", "1"), slots=2, seconds=LENGTH, now=NOON)
        b.check_in("w2", host="there", devices=("cpu",), slots=1, seconds=LENGTH, now=NOON + 10)
        first, second = a.workers(NOON + 10)
        assert (first.name, first.host, first.devices, first.slots) == ("w1", "here", ("0", "1"), 2)
        assert (second.name, second.devices, second.heartbeat) == ("w2", ("cpu",), NOON + 10)
        assert [w.name for w in a.workers(NOON + LENGTH)] == ["w2"]
        a.check_in("w1", host="here", devices=("0", "1"), slots=2, seconds=LENGTH, now=NOON + LENGTH)
        b.check_out("w2")
        assert [w.name for w in b.workers(NOON + LENGTH)] == ["w1"]
