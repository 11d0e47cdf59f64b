"""What remembering costs when a study begins: milliseconds to read the earlier studies, and to judge them.

    python benchmarks/earlier_studies.py [--store URL] [--studies 200] [--trials 30] [--compared 0]

Records are as large as those of the agents: ten epochs and a report of 3,000 characters. The median of nine readings counts. The
database must be empty or new; without `--store`, a SQLite file in a temporary folder is used. `--compared`
adds as many studies of a comparison, which are read only to be passed over. On a busy
machine the time spent computing is the one to compare.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from tcs_hpt.evidence.memory import recall
from tcs_hpt.records import EpochRecord, Trial
from tcs_hpt.spec import StudySpec
from tcs_hpt.store import Store, _database, _rows
from tcs_hpt.testing.samples import CONFIG, rich_trial, study_spec

AT = "2026-01-01T00:00:00+00:00"
EPOCHS = tuple(EpochRecord(epoch=i, metrics={"val_accuracy": i / 10, "loss": 1.0 / i}) for i in range(1, 11))


def milliseconds(work: Callable[[], object]) -> str:
    """The median of nine calls: by the clock, and of this process's own processor time."""
    clock, own = [], []
    for _ in range(9):
        begun = time.perf_counter(), time.process_time()
        work()
        clock.append((time.perf_counter() - begun[0]) * 1e3)
        own.append((time.process_time() - begun[1]) * 1e3)
    return f"{statistics.median(clock):.1f} ms ({statistics.median(own):.1f} ms of it computing)"


def record(number: int, study: int) -> Trial:
    """A trial that is a little better or worse than the one before."""
    trial = rich_trial(
        number, epochs=EPOCHS, value=0.4 if number == 1 else 0.5 + (number * 7 + study) % 30 / 100
    )
    config = {**CONFIG, "lr": 10 ** -(1.5 + (number + study) % 30 / 10)}
    proposal = trial.proposal.model_copy(update={"report": "x" * 3000, "config": config})
    return trial.model_copy(update={"config": config, "proposal": proposal})


def fill(store: Store, spec: StudySpec, trials: int, study: int) -> None:
    """Enter a study with its trials as the store writes them, without Optuna's tables, which take minutes."""
    with _database.writing(store._engine) as connection:
        _rows.insert_study(connection, spec, AT)
        found = _rows.find_study(connection, spec.name)
        assert found is not None
        for number in range(1, trials + 1):
            _rows.replace_trial(connection, found, record(number, study))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", default="")
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--compared", type=int, default=0)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder, Store.open(arguments.store or str(Path(folder) / "s.db")) as store:
        for number in range(arguments.studies + arguments.compared):
            compared = "main" if number >= arguments.studies else ""
            spec = study_spec(f"s{number}").model_copy(update={"comparison": compared})
            fill(store, spec, arguments.trials, number)
        fill(store, study_spec("present"), 0, 0)
        read = milliseconds(lambda: store.earlier_studies("present"))
        earlier = store.earlier_studies("present")
        judged = milliseconds(lambda: recall(study_spec("present"), earlier))
        print(
            f"{arguments.studies} studies and {arguments.compared} of a comparison, {arguments.trials} trials each"
        )
        print(f"read {len(earlier)} studies: {read}; judge them: {judged}")


if __name__ == "__main__":
    main()
