"""How quickly the service answers when its database is full: 50 studies of 1,000 trials each, read by people at once.

    pip install locust
    python -m benchmarks.service_latency --seconds 30 --users 8

One study is written through the store, trial by trial, with ten epochs, a state report, an analysis and two model calls each; the others are copies of its
rows. Locust then plays people who look at the list and at studies, without a pause of more than half a second: first for 15 seconds from the moment the service
has started and has read no study yet, then for as long as is asked. Its percentiles are printed and written to `benchmarks/results/service_latency.json`. The
goal is 100 ms at the 95th percentile for the list and for what a study's page asks for.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tcs_hpt.records import Trial
from tcs_hpt.store import Store, _database, _tables
from tcs_hpt.testing.samples import rich_trial, study_spec

OUT = Path(__file__).parent / "results" / "service_latency.json"
GOAL_MS = 100
BEGINNING_SECONDS = 15

PEOPLE = """
from locust import FastHttpUser, between, task

STUDIES = %(names)r

class Person(FastHttpUser):
    wait_time = between(0.1, 0.5)

    def on_start(self):
        self.turn = 0

    def study(self):
        self.turn += 1
        return STUDIES[self.turn * 7 %% len(STUDIES)]

    @task(3)
    def list(self):
        self.client.get("/api/v1/studies?limit=50", name="list of studies")

    @task(3)
    def page(self):
        name = self.study()
        self.client.get(f"/api/v1/studies/{name}", name="study")
        self.client.get(f"/api/v1/studies/{name}/progress", name="study: all scores")
        self.client.get(f"/api/v1/studies/{name}/trials?after=%(after)d&limit=25", name="study: the newest trials")

    @task(1)
    def story(self):
        self.client.get(f"/api/v1/studies/{self.study()}/trials/500", name="a trial's story")

    @task(1)
    def dashboard(self):
        self.client.get("/", name="the dashboard's page")
"""


def fill(path: Path, studies: int, trials: int) -> list[str]:
    """Write a database and return the names of its studies."""
    with Store.open(str(path)) as store:
        store.create_study(study_spec("study-00", trials=trials))
        sample = rich_trial(1)
        for number in range(1, trials + 1):
            changed = {"number": number, "value": (number * 37 % 1000) / 1000}
            store.save_trial("study-00", Trial.model_validate(sample.model_dump() | changed))
    names = [f"study-{i:02}" for i in range(studies)]
    engine = sa.create_engine(_database.resolve(str(path)))
    with engine.begin() as connection:
        original = connection.execute(sa.select(_tables.study)).one()
        for name in names[1:]:
            spec = json.dumps(json.loads(original.spec) | {"name": name})
            row = {"name": name, "spec": spec, "created_at": original.created_at}
            enter = _tables.study.insert().values(row).returning(_tables.study.c.id)
            number = connection.execute(enter).scalar_one()
            for table in (_tables.trial, _tables.epoch, _tables.model_call, _tables.event, _tables.summary):
                columns = [sa.literal(number) if c.name == "study_id" else c for c in table.c]
                of_the_first = sa.select(*columns).where(table.c.study_id == original.id)
                connection.execute(table.insert().from_select([c.name for c in table.c], of_the_first))
    engine.dispose()
    return names


@contextmanager
def served(path: Path) -> Iterator[str]:
    """The service on that database; yields its address."""
    command = [
        str(Path(sys.executable).parent / "tcs-hpt"),
        "serve",
        "--no-worker",
        "--port",
        "0",
        "--store",
        str(path),
    ]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"http://[\w.:\[\]]+", line):
                yield found[0]
                break
        else:
            raise SystemExit("the service did not start")
    finally:
        process.terminate()
        process.wait(30)


def load(
    locust: str, url: str, names: list[str], trials: int, users: int, seconds: int, folder: Path
) -> dict[str, Any]:
    """Let people look, and return what locust saw of each kind of request."""
    script = folder / "people.py"
    script.write_text(PEOPLE % {"names": names, "after": max(trials - 25, 0)}, encoding="utf-8")
    command = [
        *(locust, "-f", str(script), "--headless", "--only-summary", "--host", url),
        *(
            "--users",
            str(users),
            "--spawn-rate",
            str(users),
            "--run-time",
            f"{seconds}s",
            "--csv",
            str(folder / "seen"),
        ),
    ]
    subprocess.run(command, check=False, capture_output=True)
    with (folder / "seen_stats.csv").open(encoding="utf-8") as file:
        rows = {row["Name"]: row for row in csv.DictReader(file)}
    return {
        name: {
            "requests": int(row["Request Count"]),
            "failures": int(row["Failure Count"]),
            "median_ms": float(row["50%"]),
            "p95_ms": float(row["95%"]),
            "p99_ms": float(row["99%"]),
        }
        for name, row in rows.items()
        if name != "Aggregated"
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="How quickly the service answers when its database is full.")
    parser.add_argument("--studies", type=int, default=50)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument(
        "--locust", default="locust", help="Its command, when it is in an environment of its own."
    )
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = fill(folder / "full.db", given.studies, given.trials)
        size = (folder / "full.db").stat().st_size
        with served(folder / "full.db") as url:
            seen = {
                when: load(given.locust, url, names, given.trials, given.users, seconds, folder)
                for when, seconds in (("after a start", BEGINNING_SECONDS), ("later", given.seconds))
            }
    print(f"{given.studies} studies of {given.trials} trials ({size / 1e6:.0f} MB), {given.users} people")
    for when, requests in seen.items():
        print(when)
        for what, row in sorted(requests.items()):
            print(
                f"  {what:26} {row['requests']:6} requests, {row['failures']} failed, median {row['median_ms']:.0f} ms, "
                f"p95 {row['p95_ms']:.0f} ms{'' if row['p95_ms'] < GOAL_MS else '  above the goal'}"
            )
    settings = {key: getattr(given, key) for key in ("studies", "trials", "users", "seconds")}
    given.out.write_text(json.dumps({**settings, "seen": seen}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
