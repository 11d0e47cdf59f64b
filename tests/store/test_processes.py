from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

from tcs_hpt.events import Thinking
from tcs_hpt.records import EpochRecord
from tcs_hpt.store import Store
from tcs_hpt.testing.samples import rich_trial, simple_trial, study_spec
from tests.store.at_once import run_at_once
from tests.store.optuna_view import expected, load_optuna, shown

ENGINE = """
url, owner = arguments
with Store.open(url, mirror_seconds=0) as store:
    while True:
        number = store.reserve_number("first", owner, seconds=60, now=0.0, budget=8)
        if number is None:
            break
        trial = simple_trial(number, folder=owner)
        assert store.start_trial("first", trial, owner, seconds=60, now=0.0)
        epoch = EpochRecord(epoch=1, metrics={"val_accuracy": 0.25})
        store.append_epoch("first", number, epoch, owner)
        store.append_event("first", StudyEnded(reason="trials"), owner)
        store.save_trial(
            "first", simple_trial(number, number / 8, folder=owner, epochs=(epoch,)), owner
        )
        assert store.release("first", number, owner)
        store.append_event("first", StudyEnded(reason="trials"), owner)
"""


def test_two_engines_share_a_study(any_url: str) -> None:
    with Store.open(any_url) as store:
        store.create_study(study_spec(trials=8))
        assert run_at_once(ENGINE, [any_url, "a"], [any_url, "b"]) == ""
        trials = store.load_trials("first")
        assert [(t.number, t.value) for t in trials] == [(n, n / 8) for n in range(1, 9)]
        assert {t.folder for t in trials} <= {"a", "b"}
        assert store.leases("first") == []
        stored = store.events("first")
        assert [e.seq for e in stored] == list(range(1, 17))
        mirrored = sorted(shown(store), key=lambda t: t[0])
        assert mirrored == expected(trials)  # each trial once
        assert all(t.intermediate_values == {1: 0.25} for t in load_optuna(store).trials)


CLAIM = """
url, worker = arguments
with Store.open(url) as store:
    while entry := store.claim(worker, host="here", device=worker, limit=9, seconds=60, now=0.0):
        assert entry.worker == worker
        assert store.end_claim(entry.name, worker, "ended", worker)
"""


def test_processes_share_a_queue(any_url: str) -> None:
    with Store.open(any_url) as store:
        for number in range(8):
            store.create_study(study_spec(f"s{number}"))
            store.enqueue(f"s{number}", "{}", now=0.0)
        assert run_at_once(CLAIM, [any_url, "a"], [any_url, "b"], [any_url, "c"]) == ""
        entries = store.queue()
        assert [e.state for e in entries] == ["ended"] * 8
        assert {e.message for e in entries} <= {"a", "b", "c"}


SYNC = """
with Store.open(*arguments) as store:
    store.append_event("first", StudyEnded(reason="trials"), "now")
"""


def test_two_processes_repair_a_mirror_once(any_url: str) -> None:
    with Store.open(any_url) as store:
        store.create_study(study_spec())
        store.save_trial("first", simple_trial(1, 0.5))
        load_optuna(store)._storage.delete_study(load_optuna(store)._study_id)
        assert run_at_once(SYNC, [any_url], [any_url]) == ""
        assert shown(store) == expected(store.load_trials("first"))


def test_a_trial_that_two_processes_have_mirrored_is_mirrored_once_again(store: Store) -> None:
    store.create_study(study_spec())
    store.save_trial("first", simple_trial(1, 0.5))
    study = load_optuna(store)
    study.add_trial(study.trials[0])
    store.repair_mirror("first")
    assert shown(store) == expected(store.load_trials("first"))


def test_stores_learn_of_each_others_trials(any_url: str) -> None:
    with Store.open(any_url) as a, Store.open(any_url) as b:
        a.create_study(study_spec())
        a.save_trial("first", simple_trial(1))
        b.save_trial("first", simple_trial(2))
        a.save_trial("first", simple_trial(3))
        b.save_trial("first", simple_trial(1, 0.5))  # takes over what the other has begun
        a.save_trial("first", simple_trial(2, 0.25))
        b.save_trial("first", simple_trial(3, 0.75))
        assert shown(a) == expected(a.load_trials("first"))


def test_threads_share_a_store(store: Store) -> None:
    store.create_study(study_spec())
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            store.save_trial("first", simple_trial(number))
            for epoch in (1, 2):
                store.append_epoch("first", number, EpochRecord(epoch=epoch, metrics={"val_accuracy": 0.1}))
                store.append_event("first", Thinking(number=number, role="analysis"), "now")
            mine = next(t for t in store.load_trials("first") if t.number == number)
            store.save_trial("first", simple_trial(number, number / 8, epochs=mine.epochs))
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(n,)) for n in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    trials = store.load_trials("first")
    assert [(t.number, t.value, len(t.epochs)) for t in trials] == [(n, n / 8, 2) for n in (1, 2, 3, 4)]
    assert [e.seq for e in store.events("first")] == list(range(1, 9))
    assert sorted(t.value or 0 for t in load_optuna(store).trials) == [n / 8 for n in (1, 2, 3, 4)]


SAVE = """
import sys
from tcs_hpt.store import Store
from tcs_hpt.testing.samples import rich_trial, simple_trial, study_spec
with Store.open(sys.argv[1]) as store:
    store.create_study(study_spec())
    print("ready", flush=True)
    for number in range(1, 10_000):
        store.save_trial("first", simple_trial(number))
        store.save_trial("first", rich_trial(number))
"""


def test_a_killed_writer_leaves_whole_records(any_url: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", SAVE, any_url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    with Store.open(any_url) as store:
        while len(store.load_trials("first")) < 3:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        trials = store.load_trials("first")
        assert trials[:-1] == [rich_trial(n) for n in range(1, len(trials))]
        assert trials[-1] in (simple_trial(len(trials)), rich_trial(len(trials)))
        store.repair_mirror("first")  # the dead process keeps no lock
        assert shown(store) == expected(trials)
