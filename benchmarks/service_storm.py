"""A service and its workers that are killed at random moments, and whether anything is lost.

    python -m benchmarks.service_storm --kills 100

Studies of a short script are entered over HTTP. At random moments one or several of these are ended with SIGKILL: the web process, its local worker, a worker of
its own on the same database, a process that runs a study, a training script. What a person would start again is started again: the web process, the second worker,
and a study that the service has given up because its process died twice before a trial ended. In the end every study must have ended, every finished trial
must be as it was first seen, no configuration may have two scores, the budget must be exact, no lease may be left, and the events that a listener has put
together over all reconnects must be those in the database, each once and in order.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
import psutil

from benchmarks.kill_storm import Outcome, check_study, compare_finished, kill, make_task, scripts_of
from tcs_hpt.records import Trial
from tcs_hpt.store import Store

TARGETS = ("web", "local worker", "second worker", "study", "script", "everything")
GIVEN_UP = "The process that ran it died"
SECONDS = 300.0
"""Longest wait for the studies to end after the last kill."""


class Listener(threading.Thread):
    """Somebody who watches one study over server-sent events, and reconnects whenever the service comes back."""

    def __init__(self, study: str) -> None:
        super().__init__(daemon=True)
        self.url = ""
        self.numbers: list[int] = []
        self.connections = 0
        self.over = False
        self._study = study

    def run(self) -> None:
        """Listen until it is told to end."""
        while not self.over:
            with contextlib.suppress(httpx.HTTPError):  # killed: reconnect
                self._listen()
            time.sleep(0.1)

    def _listen(self) -> None:
        headers = {"Last-Event-ID": str(self.numbers[-1])} if self.numbers else {}
        address = f"{self.url}/api/v1/studies/{self._study}/events"
        with httpx.stream("GET", address, headers=headers, timeout=20) as response:
            self.connections += 1
            for line in response.iter_lines():
                if line.startswith("id:"):
                    self.numbers.append(int(line.removeprefix("id:")))
                if self.over:
                    return


class World:
    """The processes of the storm."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = str(folder / "studies.db")
        self.port = 0
        self.url = ""
        self.web: subprocess.Popen[str] | None = None
        self.second: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def keep_up(self) -> None:
        """Start what is not there."""
        command = str(Path(sys.executable).parent / "tcs-hpt")
        shared = (
            "--store",
            self.store,
            "--tasks-dir",
            str(self.folder / "tasks"),
            "--devices",
            "cpu",
            "--slots",
            "2",
        )
        log = (self.folder / "storm.log").open("ab")
        if self.web is None or self.web.poll() is not None:
            self.web = subprocess.Popen(
                [command, "serve", "--port", str(self.port), *shared],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
            self.starts += 1
            assert self.web.stdout is not None
            for line in self.web.stdout:
                if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                    self.url, self.port = found[0], int(found[1])
                    break
            else:
                raise SystemExit(f"the service did not start, see {self.folder / 'storm.log'}")
        if self.second is None or self.second.poll() is not None:
            self.second = subprocess.Popen([command, "worker", *shared], stderr=log)
        log.close()

    def victims(self, what: str, names: list[str]) -> list[int]:
        """Numbers of the processes of a kind."""
        web = [self.web.pid] if self.web else []
        second = [self.second.pid] if self.second else []
        local = _children(web)
        studies = _children([*local, *second])
        scripts = [pid for name in names for pid in scripts_of(self.folder / "studies", name)]
        found = {
            "web": web,
            "local worker": local,
            "second worker": second,
            "study": studies[:1],
            "script": scripts[:1],
        }
        return found.get(what) or [*scripts, *studies, *local, *second, *web]

    def close(self) -> None:
        """End everything in order."""
        for process in (self.web, self.second):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(60)


def _children(parents: list[int]) -> list[int]:
    found = []
    for parent in parents:
        try:
            found += [child.pid for child in psutil.Process(parent).children()]
        except psutil.NoSuchProcess:
            continue
    return found


def storm(folder: Path, *, kills: int, studies: int, trials: int, seed: int) -> dict[str, object]:
    """Kill, let everything finish, and check."""
    make_task(folder)
    (folder / "tasks").mkdir()
    (folder / "task").rename(folder / "tasks" / "storm")
    generator = random.Random(seed)
    world, began = World(folder), time.monotonic()
    world.keep_up()
    names = [f"s{i}" for i in range(studies)]
    for i, name in enumerate(names):
        body = {
            "task": "storm",
            "name": name,
            "method": ("random", "expert", "coin")[i % 3],
            "trials": trials,
            "seed": i,
            "jobs": 1 + i % 2,
        }
        httpx.post(f"{world.url}/api/v1/studies", json=body, timeout=30).raise_for_status()
    listener = Listener(names[0])
    listener.url = world.url
    listener.start()
    done: dict[str, int] = dict.fromkeys(TARGETS, 0)
    seen: dict[str, dict[int, Trial]] = {name: {} for name in names}
    outcome = Outcome("service", studies)
    with Store.open(world.store) as store:
        resumed = 0

        def ended() -> bool:
            nonlocal resumed
            queue = store.queue()
            given_up = [e.name for e in queue if e.state == "failed" and e.message.startswith(GIVEN_UP)]
            for name in given_up:
                with contextlib.suppress(httpx.HTTPError):  # killed: the next look tries again
                    answer = httpx.post(f"{world.url}/api/v1/studies/{name}/resume", json={}, timeout=30)
                    resumed += answer.is_success
            return not given_up and all(entry.state in ("ended", "failed") for entry in queue)

        while sum(done.values()) < kills and not ended():
            time.sleep(generator.uniform(0.2, 2.5))
            what = generator.choice(TARGETS)
            done[what] += sum(kill(pid) for pid in world.victims(what, names)) > 0
            for process in (world.web, world.second):
                if process is not None and what in ("web", "second worker", "everything"):
                    process.poll()
            time.sleep(0.1)
            world.keep_up()
            for name in names:
                compare_finished(store, name, seen[name], outcome)
        deadline = time.monotonic() + SECONDS
        while not ended() and time.monotonic() < deadline:
            world.keep_up()
            time.sleep(0.5)
        for entry in store.queue():
            if (entry.state, entry.message) != ("ended", "trials"):
                outcome.problems.append(f"{entry.name} is {entry.state}: {entry.message}")
            compare_finished(store, entry.name, seen[entry.name], outcome)
            check_study(store, store.get_study(entry.name), outcome)
        stored = [event.seq for event in store.events(names[0])]
    time.sleep(2.0)  # what is on its way to the listener
    listener.over = True
    listener.join(30)
    world.close()
    if listener.numbers != stored:
        outcome.problems.append(
            f"the listener has {len(listener.numbers)} events, the database {len(stored)}"
        )
    return {
        "kills": sum(done.values()),
        "by_target": done,
        "studies": studies,
        "trials": trials,
        "service_starts": world.starts,
        "resumed_after_two_deaths": resumed,
        "listener_connections": listener.connections,
        "listener_events": len(listener.numbers),
        "problems": outcome.problems,
        "seconds": round(time.monotonic() - began),
    }


def main() -> None:
    """Storm, print what was found, and write it."""
    parser = argparse.ArgumentParser(
        description="A service and its workers that are killed at random moments."
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--studies", type=int, default=8)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/service_storm.json"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = storm(
            Path(folder), kills=given.kills, studies=given.studies, trials=given.trials, seed=given.seed
        )
        if found["problems"]:
            print((Path(folder) / "storm.log").read_text()[-4000:], file=sys.stderr)
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))
    os._exit(bool(found["problems"]))  # the listener may still wait for a service that has ended


if __name__ == "__main__":
    main()
