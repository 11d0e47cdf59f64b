"""Methods side by side on one task: same start, same seeds, same trials. Writes tidy results and can be continued.

    python benchmarks/methods.py --task mlp_digits --seeds 10 --methods random coin expert
    python benchmarks/methods.py --task mlp_digits --seeds 3 --methods tcs-paper --model embedded:smollm2-135m
    python benchmarks/methods.py --table

One JSON line per study goes to `--results`; a study that is there already is not run again. `--table` prints every
method in the file, and each against `coin` paired over seeds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tcs_hpt.catalog import load_task
from tcs_hpt.execution import LocalExecutor
from tcs_hpt.llm import ChatModel
from tcs_hpt.llm.models import open_model
from tcs_hpt.loop import Study, prepare
from tcs_hpt.proposers import NEEDS_MODEL, make_proposer
from tcs_hpt.records import Trial, incumbent
from tcs_hpt.report.tables import summarize_study
from tcs_hpt.spec import StudySpec
from tcs_hpt.statistics import mean_std, paired_difference
from tcs_hpt.store import Store


def run_study(task_name: str, method: str, seed: int, trials: int, model: ChatModel | None) -> dict[str, Any]:
    """One study in a database and folders of its own."""
    task = load_task(task_name)
    profile = "quick" if "quick" in task.spec.profiles else None
    with tempfile.TemporaryDirectory() as folder, Store.open(f"{folder}/studies.db") as store:
        spec = StudySpec(
            name="study",
            task=task.spec.with_profile(profile),
            profile=profile,
            method=method,
            trials=trials,
            seed=seed,
            analysis_model=model.name if model else "",
            optimizer_model=model.name if model else "",
        )
        study = Study(
            spec=prepare(spec, store),
            task_folder=task.folder,
            folder=Path(folder) / "study",
            store=store,
            proposer=make_proposer(method, analysis_model=model, optimizer_model=model),
            executor=LocalExecutor(),
        )
        study.run()
        return row(spec, study.trials, model.name if model else "")


def row(spec: StudySpec, trials: list[Trial], model: str) -> dict[str, Any]:
    """What a study amounts to, as one tidy record."""
    summary = summarize_study(spec, trials)
    best = incumbent(trials, spec.task.objective)
    return {
        "task": spec.task.name,
        "method": spec.method,
        "model": model,
        "seed": spec.seed,
        "trials": len(trials),
        "best": best.value if best else None,
        "test": best.metrics.get("test_accuracy") if best else None,
        "values": [t.value for t in trials],
        "failures": sum(t.state == "failed" for t in trials),
        "sources": dict(summary.sources),
        "fallbacks": sum(bool(t.proposal.fallback) for t in trials),
        "deviations": sum(bool(t.proposal.deviation) for t in trials),
        "hits": summary.hits,
        "predictions": len(summary.predictions),
        "thinking_seconds": sum(t.proposal.seconds for t in trials),
        "training_seconds": sum(t.usage.wall_seconds for t in trials),
        "calls": sum(len(t.proposal.calls) for t in trials),
        "tokens_read": sum(c.prompt_tokens for t in trials for c in t.proposal.calls),
        "tokens_written": sum(c.completion_tokens for t in trials for c in t.proposal.calls),
    }


def label(found: dict[str, Any]) -> str:
    """Method, with its model if it has one."""
    return f"{found['method']} ({found['model'].split(':')[-1]})" if found["model"] else str(found["method"])


def print_tables(rows: list[dict[str, Any]]) -> None:
    """The methods side by side, then paired against `coin`."""
    table = Table(title="best of the trials, mean +- std over seeds")
    for column in (
        "method",
        "seeds",
        "best",
        "test of the best",
        "mean trial",
        "failed",
        "fallbacks",
        "deviations",
        "thinking s",
        "training s",
    ):
        table.add_column(column, justify="left" if column == "method" else "right")
    groups: dict[str, list[dict[str, Any]]] = {}
    for found in rows:
        groups.setdefault(label(found), []).append(found)
    for name, group in groups.items():
        values = [v for r in group for v in r["values"] if v is not None]
        table.add_row(
            name,
            str(len(group)),
            _pm([r["best"] for r in group]),
            _pm([r["test"] for r in group]),
            f"{statistics.fmean(values):.4f}",
            str(sum(r["failures"] for r in group)),
            str(sum(r["fallbacks"] for r in group)),
            str(sum(r["deviations"] for r in group)),
            f"{statistics.fmean(r['thinking_seconds'] for r in group):.0f}",
            f"{statistics.fmean(r['training_seconds'] for r in group):.0f}",
        )
    console = Console(width=140)
    console.print(table)
    control = {r["seed"]: r["best"] for r in groups.get("coin", [])}
    for name, group in groups.items():
        pairs = [(r["best"], control[r["seed"]]) for r in group if r["seed"] in control]
        if name == "coin" or len(pairs) < 2:
            continue
        gap = paired_difference([a for a, _ in pairs], [b for _, b in pairs])
        interval = f"95 % interval {gap.low:+.4f} to {gap.high:+.4f}"
        console.print(f"{name} - coin, {gap.n} seeds: {gap.mean:+.4f}, {interval}")


def _pm(values: list[float | None]) -> str:
    known = [v for v in values if v is not None]
    summary = mean_std(known)
    return f"{summary.mean:.4f} +- {summary.std or 0.0:.4f}" if known else "none"


def main() -> None:
    """Run what is missing, then print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="mlp_digits")
    parser.add_argument("--methods", nargs="+", default=["random", "coin", "expert"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--model", default="embedded:smollm2-135m")
    parser.add_argument("--results", type=Path, default=Path("runs/methods.jsonl"))
    parser.add_argument("--table", action="store_true", help="print the tables and run nothing")
    arguments = parser.parse_args()
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    rows = _read(arguments.results)
    if not arguments.table:
        for method in arguments.methods:
            model = open_model(arguments.model)[0] if method in NEEDS_MODEL else None
            for seed in range(arguments.seeds):
                key = (arguments.task, method, model.name if model else "", seed, arguments.trials)
                if any((r["task"], r["method"], r["model"], r["seed"], r["trials"]) == key for r in rows):
                    continue
                found = run_study(arguments.task, method, seed, arguments.trials, model)
                rows.append(found)
                with arguments.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(found) + "\n")
                print(label(found), "seed", seed, "best", found["best"], flush=True)
            if model is not None:
                model.close()
    print_tables([r for r in rows if r["task"] == arguments.task])


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


if __name__ == "__main__":
    main()
