"""What every store must do when several engines work on one study, as a test class to inherit.

    class TestSqlite(LeaseContract):
        @pytest.fixture
        def url(self, tmp_path):
            return f"sqlite:///{tmp_path}/studies.db"

Needs pytest. `url` must name an empty database for each test. Times are made up: no test waits for a lease to run out.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import pytest

from tcs_hpt.errors import UserError
from tcs_hpt.records import EpochRecord
from tcs_hpt.store import Lease, LeaseLost, Store
from tcs_hpt.testing.samples import interrupted_trial, simple_trial, study_spec

T = TypeVar("T")

NOON = 1_800_000_000.25
"""A time to start from."""
LENGTH = 60.0
"""Seconds that a lease lasts in these tests."""


def at_once(*attempts: Callable[[], T]) -> list[T]:
    """What several threads get that begin at the same moment."""
    gate = threading.Barrier(len(attempts))

    def wait_and_try(attempt: Callable[[], T]) -> T:
        gate.wait()
        return attempt()

    with ThreadPoolExecutor(len(attempts)) as pool:
        return list(pool.map(wait_and_try, attempts))


class LeaseContract:
    """Inherit it and give a fixture `url`."""

    @pytest.fixture
    def engines(self, url: str) -> Iterator[tuple[Store, Store]]:
        """Two stores on one database, with the study `first` in it."""
        with Store.open(url) as a, Store.open(url) as b:
            a.create_study(study_spec())
            yield a, b

    def test_one_of_two_gets_a_lease(self, engines: tuple[Store, Store]) -> None:
        """However close they are."""
        a, b = engines
        for number in range(1, 6):
            got = at_once(
                partial(a.acquire, "first", number, "a", seconds=LENGTH, now=NOON),
                partial(b.acquire, "first", number, "b", seconds=LENGTH, now=NOON),
            )
            assert sorted(got) == [False, True]
            assert a.leases("first")[-1].owner == ("a" if got[0] else "b")
            assert len(a.leases("first")) == number

    def test_a_lease_says_who_has_it(self, engines: tuple[Store, Store]) -> None:
        """And for how long."""
        a, b = engines
        a.acquire("first", 3, "engine a", seconds=LENGTH, now=NOON)
        host = socket.gethostname()
        lease = Lease(3, "engine a", os.getpid(), host, heartbeat=NOON, expires_at=NOON + LENGTH)
        assert b.leases("first") == [lease]
        b.create_study(study_spec("second"))
        assert b.leases("second") == []
        assert b.acquire("second", 3, "engine b", seconds=LENGTH, now=NOON)  # another study's trial 3

    def test_a_lease_runs_out_unless_it_is_renewed(self, engines: tuple[Store, Store]) -> None:
        """Renewing reaches all leases of an owner, and no other's."""
        a, b = engines
        for number, owner in ((1, "a"), (2, "a"), (3, "b")):
            assert a.acquire("first", number, owner, seconds=LENGTH, now=NOON)
        assert a.renew("first", "a", seconds=LENGTH, now=NOON + 40) == {1, 2}
        later = NOON + LENGTH
        assert [lease.number for lease in b.expired("first", later - 0.001)] == []
        assert [lease.number for lease in b.expired("first", later)] == [3]
        assert not b.acquire("first", 1, "b", seconds=LENGTH, now=later)
        assert b.acquire("first", 1, "b", seconds=LENGTH, now=later + 40)
        assert a.renew("first", "a", seconds=LENGTH, now=later + 41) == {2}  # came back too late for 1
        assert a.renew("first", "nobody", seconds=LENGTH, now=NOON) == frozenset()

    def test_an_owner_takes_its_own_lease_again(self, engines: tuple[Store, Store]) -> None:
        """Also after it ran out, while nobody has taken it."""
        a, b = engines
        assert a.acquire("first", 1, "a", seconds=LENGTH, now=NOON)
        assert a.acquire("first", 1, "a", seconds=LENGTH, now=NOON + 10)
        assert a.leases("first")[0].expires_at == NOON + 10 + LENGTH
        assert a.renew("first", "a", seconds=LENGTH, now=NOON + 500) == {1}
        assert not b.acquire("first", 1, "b", seconds=LENGTH, now=NOON + 501)

    def test_a_released_lease_is_free(self, engines: tuple[Store, Store]) -> None:
        """Only its owner releases it."""
        a, b = engines
        a.acquire("first", 1, "a", seconds=LENGTH, now=NOON)
        assert not b.release("first", 1, "b")
        assert not b.acquire("first", 1, "b", seconds=LENGTH, now=NOON)
        assert a.release("first", 1, "a")
        assert not a.release("first", 1, "a")
        assert b.acquire("first", 1, "b", seconds=LENGTH, now=NOON)

    def test_a_clock_that_was_set_back_blocks_nothing(self, engines: tuple[Store, Store]) -> None:
        """A dead engine's lease from the future has run out; one that is merely ahead has not."""
        a, b = engines
        a.acquire("first", 1, "a", seconds=LENGTH, now=NOON)
        slightly = NOON - LENGTH
        assert b.expired("first", slightly) == []
        assert not b.acquire("first", 1, "b", seconds=LENGTH, now=slightly)
        an_hour_earlier = NOON - 3600
        assert [lease.number for lease in b.expired("first", an_hour_earlier)] == [1]
        assert b.acquire("first", 1, "b", seconds=LENGTH, now=an_hour_earlier)
        assert b.leases("first")[0].expires_at == an_hour_earlier + LENGTH

    def test_an_engine_that_lives_survives_its_clock_being_set_back(
        self, engines: tuple[Store, Store]
    ) -> None:
        """Its next renewal writes the earlier time."""
        a, b = engines
        a.acquire("first", 1, "a", seconds=LENGTH, now=NOON)
        an_hour_earlier = NOON - 3600
        assert a.renew("first", "a", seconds=LENGTH, now=an_hour_earlier) == {1}
        assert not b.acquire("first", 1, "b", seconds=LENGTH, now=an_hour_earlier + 1)
        assert b.expired("first", an_hour_earlier + LENGTH - 1) == []
        assert b.acquire("first", 1, "b", seconds=LENGTH, now=an_hour_earlier + LENGTH)

    # -- numbers --------------------------------------------------------------------------------------------

    def test_a_number_is_given_out_once(self, engines: tuple[Store, Store]) -> None:
        """To as many as ask, without gaps; there is no trial yet."""
        a, b = engines
        numbers: list[int | None] = []
        for _ in range(4):
            numbers += at_once(
                lambda: a.reserve_number("first", "a", seconds=LENGTH, now=NOON),
                lambda: b.reserve_number("first", "b", seconds=LENGTH, now=NOON),
            )
        assert sorted(n or 0 for n in numbers) == [1, 2, 3, 4, 5, 6, 7, 8]
        assert a.load_trials("first") == []
        assert a.list_studies()[0].finished == 0

    def test_an_abandoned_number_is_given_out_again(self, engines: tuple[Store, Store]) -> None:
        """Unless a later trial has begun meanwhile: numbers follow the order of the starts."""
        a, b = engines
        assert a.reserve_number("first", "a", seconds=LENGTH, now=NOON) == 1
        assert b.reserve_number("first", "b", seconds=LENGTH, now=NOON + 30) == 2
        late = NOON + LENGTH
        assert b.reserve_number("first", "b", seconds=LENGTH, now=late) == 1  # a is gone
        assert b.release("first", 1, "b")
        assert b.start_trial("first", simple_trial(2), "b", seconds=LENGTH, now=late)
        assert b.reserve_number("first", "b", seconds=LENGTH, now=late) == 3

    def test_a_number_that_was_given_to_another_cannot_be_started(self, engines: tuple[Store, Store]) -> None:
        """By an engine that thought for longer than its lease."""
        a, b = engines
        assert a.reserve_number("first", "a", seconds=LENGTH, now=NOON) == 1
        assert b.reserve_number("first", "b", seconds=LENGTH, now=NOON + LENGTH) == 1
        assert not a.start_trial("first", simple_trial(1), "a", seconds=LENGTH, now=NOON + LENGTH + 1)
        assert a.load_trials("first") == []
        assert b.start_trial("first", simple_trial(1), "b", seconds=LENGTH, now=NOON + LENGTH + 2)

    def test_no_more_numbers_than_the_budget(self, engines: tuple[Store, Store]) -> None:
        """Trials and live reservations count, interrupted trials do not."""
        a, b = engines
        a.save_trial("first", simple_trial(1, 0.5))
        a.save_trial("first", interrupted_trial(2))
        assert a.reserve_number("first", "a", seconds=LENGTH, now=NOON, budget=1) is None
        got = at_once(
            lambda: a.reserve_number("first", "a", seconds=LENGTH, now=NOON, budget=2),
            lambda: b.reserve_number("first", "b", seconds=LENGTH, now=NOON, budget=2),
        )
        assert sorted(n or 0 for n in got) == [0, 3]
        late = NOON + LENGTH
        assert a.reserve_number("first", "c", seconds=LENGTH, now=late, budget=2) == 3

    def test_a_reservation_counts_when_a_later_trial_has_begun_before_it(
        self, engines: tuple[Store, Store]
    ) -> None:
        """However long its configuration is thought about."""
        a, b = engines
        assert a.reserve_number("first", "a", seconds=LENGTH, now=NOON, budget=2) == 1
        assert b.reserve_number("first", "b", seconds=LENGTH, now=NOON, budget=2) == 2
        assert b.start_trial("first", simple_trial(2), "b", seconds=LENGTH, now=NOON)
        assert b.reserve_number("first", "b", seconds=LENGTH, now=NOON, budget=2) is None
        assert a.start_trial("first", simple_trial(1), "a", seconds=LENGTH, now=NOON)
        assert b.reserve_number("first", "b", seconds=LENGTH, now=NOON + LENGTH, budget=2) is None

    # -- trials ---------------------------------------------------------------------------------------------

    def test_one_of_two_starts_a_trial(self, engines: tuple[Store, Store]) -> None:
        """The record and the lease are the winner's."""
        a, b = engines
        for number in range(1, 4):
            by_a, by_b = (simple_trial(number, folder=name) for name in "ab")
            got = at_once(
                partial(a.start_trial, "first", by_a, "a", seconds=LENGTH, now=NOON),
                partial(b.start_trial, "first", by_b, "b", seconds=LENGTH, now=NOON),
            )
            assert sorted(got) == [False, True]
            winner = "a" if got[0] else "b"
            assert a.load_trials("first")[-1].folder == winner
            assert a.leases("first")[-1].owner == winner

    def test_a_number_is_started_once(self, engines: tuple[Store, Store]) -> None:
        """Whoever has or had its lease."""
        a, b = engines
        assert a.start_trial("first", simple_trial(1), "a", seconds=LENGTH, now=NOON)
        assert not a.start_trial("first", simple_trial(1, 0.5), "a", seconds=LENGTH, now=NOON)
        a.release("first", 1, "a")
        assert not b.start_trial("first", simple_trial(1, 0.5), "b", seconds=LENGTH, now=NOON + 9999)
        assert b.load_trials("first") == [simple_trial(1)]
        assert b.leases("first") == []

    def test_only_the_holder_writes(self, engines: tuple[Store, Store]) -> None:
        """An engine that comes back cannot overwrite what its successor recorded."""
        a, b = engines
        epoch = EpochRecord(epoch=1, metrics={"val_accuracy": 0.25})
        assert a.start_trial("first", simple_trial(1), "a", seconds=LENGTH, now=NOON)
        a.append_epoch("first", 1, epoch, "a")
        late = NOON + LENGTH + 1
        assert b.acquire("first", 1, "b", seconds=LENGTH, now=late)
        with pytest.raises(LeaseLost, match="trial 1 of study 'first' is held by b, not by a") as caught:
            a.append_epoch("first", 1, epoch, "a")
        assert "run the same command again" in caught.value.hint
        b.save_trial("first", interrupted_trial(1), "b")
        assert b.release("first", 1, "b")
        with pytest.raises(LeaseLost, match="was given up"):
            a.save_trial("first", simple_trial(1, 0.5), "a")
        assert a.load_trials("first") == [interrupted_trial(1)]
        assert a.renew("first", "a", seconds=LENGTH, now=late) == frozenset()

    def test_a_lease_that_ran_out_still_serves_until_it_is_taken(self, engines: tuple[Store, Store]) -> None:
        """A long stall costs nothing when nobody else was there."""
        a, _ = engines
        assert a.start_trial("first", simple_trial(1), "a", seconds=LENGTH, now=NOON)
        assert a.expired("first", NOON + 9999)
        a.save_trial("first", simple_trial(1, 0.5), "a")
        assert a.load_trials("first") == [simple_trial(1, 0.5)]

    def test_leases_belong_to_a_study_that_exists(self, engines: tuple[Store, Store]) -> None:
        """As everything does."""
        a, _ = engines
        for attempt in (
            lambda: a.acquire("x", 1, "a", seconds=LENGTH, now=NOON),
            lambda: a.renew("x", "a", seconds=LENGTH, now=NOON),
            lambda: a.release("x", 1, "a"),
            lambda: a.reserve_number("x", "a", seconds=LENGTH, now=NOON),
            lambda: a.start_trial("x", simple_trial(1), "a", seconds=LENGTH, now=NOON),
            lambda: a.leases("x"),
            lambda: a.expired("x", NOON),
        ):
            with pytest.raises(UserError, match="no study 'x'"):
                attempt()
