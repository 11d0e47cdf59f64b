"""`tcs-hpt ask STUDY QUESTION`: what the records say."""

from __future__ import annotations

from typing import Annotated

import typer

from tcs_hpt.cli.options import StoreOption
from tcs_hpt.cli.studies import StudyArgument
from tcs_hpt.report.questions import answer
from tcs_hpt.report.words import numbers
from tcs_hpt.store import Store


def ask(
    study: StudyArgument,
    question: Annotated[
        list[str], typer.Argument(help='In English, e.g. "why did trial 4 fail?"', show_default=False)
    ],
    store: StoreOption = "",
) -> None:
    """Ask about a study; the answer comes from its records and names the trials that it rests on."""
    with Store.open(store or None) as database:
        said = answer(database.get_study(study), database.load_trials(study), " ".join(question))
    print(said.text)
    if said.trials:
        print(f"\nFrom {numbers(said.trials)}.")
    if said.suggestions:
        print("\nYou could ask:" if said.kind == "unknown" else "\nAsk next:")
        for one in said.suggestions:
            print(f"  {one}")
