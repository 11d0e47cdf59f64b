"""Questions about a study in plain words, answered from its records alone, with the trials that the answer rests on.

No language model takes part: a question is matched by its words, by trial numbers and by names of parameters, and the answer is put together
from what was recorded. A question that is not understood is answered with what can be asked, never with a guess.
"""

from __future__ import annotations

from collections.abc import Sequence

from tcs_hpt.records import Trial
from tcs_hpt.report.questions._answer import Answer, Facts
from tcs_hpt.report.questions._of_a_study import ANSWERS, unknown
from tcs_hpt.report.questions._understand import Kind, understand
from tcs_hpt.spec import StudySpec

LONGEST = 2000
"""Characters of a question that are read."""


def answer(study: StudySpec, trials: Sequence[Trial], question: str) -> Answer:
    """What the records say to a question. Pure; the same question of the same records has the same answer.

    Args:
        study: The study that is asked about.
        trials: All its trials, in any order.
        question: In English. Names of parameters and numbers of trials in it are recognized; of the rest, words.
    """
    facts = Facts(study, trials)
    asked = understand(question[:LONGEST], study.task.params, frozenset(facts.numbered))
    if not facts.counted:
        return Answer(asked.kind, "No trial has run yet, so there is nothing to answer from.", ())
    if asked.missing:
        return Answer(asked.kind, facts.no_such_trials(asked.missing), ())
    return ANSWERS.get(asked.kind, unknown)(facts, asked)


__all__ = ["Answer", "Kind", "answer"]
