"""Methods side by side: every task x method x seed is an ordinary study, all under the same rules.

    parse -> plan -> enter into the store -> run, several studies at a time -> read back

The store holds everything: the same comparison run again goes on where it was, and its results are read from there.
What they amount to is for `report` to say.
"""

from tcs_hpt.compare._confirm import Winner, again, confirmation, plan_confirmation, winners
from tcs_hpt.compare._models import ModelPool, Opener, SharedModel
from tcs_hpt.compare._plan import (
    Contender,
    PlannedStudy,
    TaskEntry,
    enter,
    parse_contenders,
    parse_seeds,
    plan,
    study_name,
)
from tcs_hpt.compare._recorded import SEPARATOR, Recorded, recorded, studies_of
from tcs_hpt.compare._run import ComparisonRun, StudyBegan, StudyOver, TrialOver, Update

__all__ = [
    "SEPARATOR",
    "ComparisonRun",
    "Contender",
    "ModelPool",
    "Opener",
    "PlannedStudy",
    "Recorded",
    "SharedModel",
    "StudyBegan",
    "StudyOver",
    "TaskEntry",
    "TrialOver",
    "Update",
    "Winner",
    "again",
    "confirmation",
    "enter",
    "parse_contenders",
    "parse_seeds",
    "plan",
    "plan_confirmation",
    "recorded",
    "studies_of",
    "study_name",
    "winners",
]
