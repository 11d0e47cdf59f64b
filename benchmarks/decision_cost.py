"""Seconds and tokens per decision of a local model, by agent, while the history grows.

    python -m benchmarks.decision_cost [--model embedded:smollm2-135m]...

A decision is what happens between two trials: one analysis and one proposal. Histories come from random
configurations with made-up scores, so nothing is trained.
"""

from __future__ import annotations

import argparse
import statistics
import time

from rich.console import Console
from rich.table import Table

from benchmarks.state_report import history
from tcs_hpt.catalog import load_task
from tcs_hpt.llm.opening import open_model
from tcs_hpt.proposers import AgentsProposer, ProposalContext
from tcs_hpt.records import ModelCall
from tcs_hpt.spec import StudySpec


def main() -> None:
    """Print one row per model and agent."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--decisions", type=int, default=9)
    arguments = parser.parse_args()
    task = load_task("mlp_digits").spec.with_profile("quick")
    table = Table(title=f"cost of a decision: medians over {arguments.decisions} decisions, trials 2 to 10")
    for column in ("model", "agent", "calls", "prompt tokens", "written tokens", "seconds", "repairs"):
        table.add_column(column, justify="left" if column in ("model", "agent") else "right")
    for name in arguments.model or ["embedded:smollm2-135m"]:
        model, _ = open_model(name)
        proposer = AgentsProposer(model, model)
        calls: list[ModelCall] = []
        seconds = []
        for done in range(1, arguments.decisions + 1):
            study = StudySpec(name="s", task=task, trials=arguments.decisions + 1)
            started = time.perf_counter()
            proposal = proposer.propose(ProposalContext(study, history(task, done, 20), done + 1))
            assert proposal is not None
            calls += proposal.calls
            seconds.append(time.perf_counter() - started)
        model.close()
        for role in ("analysis", "optimizer"):
            of_role = [c for c in calls if c.role == role]
            table.add_row(
                name,
                role,
                str(len(of_role)),
                f"{statistics.median(c.prompt_tokens for c in of_role):.0f}",
                f"{statistics.median(c.completion_tokens for c in of_role):.0f}",
                f"{statistics.median(c.seconds for c in of_role):.1f}",
                str(sum(c.attempt > 1 for c in of_role)),
            )
        table.add_row(name, "both", "", "", "", f"{statistics.median(seconds):.1f}", "")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
