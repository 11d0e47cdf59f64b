"""Studies that are killed at random moments, and whether anything is lost.

    python benchmarks/kill_storm.py --kills 200

Each study runs a short script in an engine of its own. At random moments the engine, a trial, or both are ended with
SIGKILL; a dead engine is started again. In the end every finished trial must be as it was first seen, no configuration
may have two scores, the budget must be exact, and with one job the configurations must be those of an unbroken study.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tcs_hpt.catalog import load_task
from tcs_hpt.records import Trial
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import StudySpec
from tcs_hpt.store import Store

SCRIPT = """
import time
import tcs_hpt
trial = tcs_hpt.current_trial()
x, y = trial.params["x"], trial.params["y"]
for epoch in range(1, 9):
    time.sleep(0.05)
    trial.report(epoch=epoch, score=1.0 / (1.0 + (x - 2) ** 2 + (y - 3) ** 2) * epoch / 8)
trial.finish(score=1.0 / (1.0 + (x - 2) ** 2 + (y - 3) ** 2))
"""
MANIFEST = """
schema = 1
name = "storm"
command = ["{python}", "train.py"]
[objective]
metric = "score"
direction = "maximize"
[params.x]
type = "float"
low = -5.0
high = 5.0
default = 0.0
[params.y]
type = "float"
low = -5.0
high = 5.0
default = 0.0
"""
ENGINE = """
import sys
from pathlib import Path
from tcs_hpt.catalog import load_task
from tcs_hpt.execution import LocalExecutor
from tcs_hpt.loop import Study
from tcs_hpt.proposers import make_proposer
from tcs_hpt.store import Store
folder, name, jobs = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with Store.open(str(folder / "studies.db")) as store:
    spec = store.get_study(name)
    Study(spec=spec, task_folder=folder / "task", folder=folder / name, store=store, jobs=jobs, devices=(),
          proposer=make_proposer(spec.method), executor=LocalExecutor()).run()
"""


@dataclass
class Outcome:
    """What a storm did and found."""

    method: str
    jobs: int
    kills: dict[str, int] = field(default_factory=lambda: {"engine": 0, "trial": 0, "both": 0})
    starts: int = 0
    interrupted: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


def make_task(folder: Path) -> None:
    """Write the storm's task."""
    task = folder / "task"
    task.mkdir(parents=True, exist_ok=True)
    (task / "task.toml").write_text(MANIFEST)
    (task / "train.py").write_text(SCRIPT)


def create(folder: Path, name: str, method: str, seed: int, trials: int) -> StudySpec:
    """Create a study in the storm's database."""
    spec = StudySpec(name=name, task=load_task(folder / "task").spec, method=method, seed=seed, trials=trials)
    with Store.open(str(folder / "studies.db")) as store:
        store.create_study(spec)
    return spec


def start(folder: Path, name: str, jobs: int) -> subprocess.Popen[bytes]:
    """Start an engine."""
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", ENGINE, str(folder), name, str(jobs)], stdout=log, stderr=log
        )


def scripts_of(folder: Path, name: str) -> list[int]:
    """Process numbers of the study's running scripts, found by their working folder."""
    found = []
    for process in psutil.process_iter(["pid", "cwd"]):
        cwd = process.info.get("cwd") or ""
        if cwd.startswith(str(folder / name)):
            found.append(process.info["pid"])
    return found


def kill(number: int) -> bool:
    """SIGKILL, if there is such a process."""
    try:
        os.kill(number, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def finished(store: Store, name: str) -> dict[int, Trial]:
    """Finished trials by number."""
    return {t.number: t for t in store.load_trials(name) if t.state == "finished"}


def storm(folder: Path, *, method: str, seed: int, jobs: int, kills: int, trials: int = 12) -> Outcome:
    """Kill one study so many times, let it finish, and check it."""
    generator = random.Random(seed * 1000 + jobs)
    name = f"{method}-{seed}-{jobs}"
    outcome = Outcome(method, jobs)
    began = time.monotonic()
    spec = create(folder, name, method, seed, trials)
    seen: dict[int, Trial] = {}
    engine: subprocess.Popen[bytes] | None = None
    with Store.open(str(folder / "studies.db")) as store:
        while sum(outcome.kills.values()) < kills:
            if engine is None or engine.poll() is not None:
                if engine is not None and engine.returncode == 0:
                    break  # the study is complete
                engine = start(folder, name, jobs)
                outcome.starts += 1
                time.sleep(generator.uniform(0.5, 2.0))
            time.sleep(generator.uniform(0.0, 0.6))
            what = generator.choice(["engine", "trial", "trial", "both"])
            scripts = scripts_of(folder, name)
            if what != "engine" and not scripts:
                continue  # between two trials: the moment of an engine's death alone
            hit = False
            if what in ("trial", "both"):
                hit = sum(kill(number) for number in scripts) > 0
            if what in ("engine", "both") and engine.poll() is None:
                hit = kill(engine.pid) or hit
                engine.wait()
            outcome.kills[what] += hit
            compare_finished(store, name, seen, outcome)
        for _ in range(20):
            if engine is None or engine.poll() is not None:
                if engine is not None and engine.returncode == 0:
                    break
                engine = start(folder, name, jobs)
                outcome.starts += 1
            engine.wait(timeout=120)
        compare_finished(store, name, seen, outcome)
        check_study(store, spec, outcome)
    outcome.seconds = time.monotonic() - began
    return outcome


def compare_finished(store: Store, name: str, seen: dict[int, Trial], outcome: Outcome) -> None:
    """Every finished trial is still there, and still the same."""
    now = finished(store, name)
    for number, trial in seen.items():
        if now.get(number) != trial:
            outcome.problems.append(f"finished trial {number} changed")
    seen.update(now)


def check_study(store: Store, spec: StudySpec, outcome: Outcome) -> None:
    trials = store.load_trials(spec.name)
    space = SearchSpace(spec.task.params)
    counted = [t for t in trials if t.consumes_budget]
    outcome.interrupted = len(trials) - len(counted)
    if len(counted) != spec.trials:
        outcome.problems.append(f"{len(counted)} trials count, the budget was {spec.trials}")
    if any(t.state == "running" for t in trials):
        outcome.problems.append("a trial is still recorded as running")
    keys = [space.key(t.config) for t in counted]
    if len(set(keys)) != len(keys):
        outcome.problems.append("a configuration was run twice")
    if store.leases(spec.name):
        outcome.problems.append("a lease is left")


def unbroken(folder: Path, method: str, seed: int, trials: int) -> list[dict[str, object]]:
    """The configurations of a study that nobody kills."""
    name = f"{method}-{seed}-unbroken"
    create(folder, name, method, seed, trials)
    start(folder, name, 1).wait(timeout=300)
    with Store.open(str(folder / "studies.db")) as store:
        return [dict(t.config) for t in store.load_trials(name)]


def same_as_unbroken(folder: Path, method: str, seed: int, trials: int) -> bool | None:
    """Whether the killed study with one job tried what an unbroken one tries.

    None when it cannot be asked: a script that was killed twice counts as crashed, and the expert learns from crashes.
    """
    with Store.open(str(folder / "studies.db")) as store:
        killed = [dict(t.config) for t in store.load_trials(f"{method}-{seed}-1") if t.consumes_budget]
        crashed = any(t.state == "failed" for t in store.load_trials(f"{method}-{seed}-1"))
    if crashed and method != "random":
        return None
    return killed == unbroken(folder, method, seed, trials)


def words(same: list[bool | None]) -> str:
    """`15 of 15; 1 not comparable`."""
    asked = [s for s in same if s is not None]
    left = len(same) - len(asked)
    return f"{sum(asked)} of {len(asked)}" + (f"; {left} not comparable" if left else "")


def main() -> None:
    """Storm until there were enough kills, and write the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--per-study", type=int, default=10)
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results/kill_storm.json"))
    arguments = parser.parse_args()
    outcomes: list[Outcome] = []
    equal: dict[str, list[bool | None]] = {"random": [], "expert": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_task(folder)
        seed = 0
        while sum(sum(o.kills.values()) for o in outcomes) < arguments.kills:
            for method, jobs in (("random", 1), ("expert", 1), ("random", 3), ("coin", 3)):
                found = storm(folder, method=method, seed=seed, jobs=jobs, kills=arguments.per_study)
                outcomes.append(found)
                if jobs == 1:
                    equal[method].append(same_as_unbroken(folder, method, seed, 12))
                print(method, jobs, found.kills, found.problems or "ok", f"{found.seconds:.0f} s", flush=True)
            seed += 1
    total = {k: sum(o.kills[k] for o in outcomes) for k in ("engine", "trial", "both")}
    figures = {
        "kills": sum(total.values()),
        "by_target": total,
        "studies": len(outcomes),
        "engine_starts": sum(o.starts for o in outcomes),
        "interrupted_trials": sum(o.interrupted for o in outcomes),
        "problems": [p for o in outcomes for p in o.problems],
        "jobs": {str(n): sum(sum(o.kills.values()) for o in outcomes if o.jobs == n) for n in (1, 3)},
        "equal_to_unbroken": {method: words(same) for method, same in equal.items()},
        "seconds": round(sum(o.seconds for o in outcomes)),
    }
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    arguments.results.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
