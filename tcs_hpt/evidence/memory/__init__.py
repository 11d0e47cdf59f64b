"""What earlier studies found: their best values, as single changes and whole configurations that are worth a trial.

Pure and deterministic: dates come in, and studies may come in any order. Nothing is widened or moved: a value that the
present space does not allow is not offered.

**What counts.** The values of a study's best trial that differ from those it started with; a value that was there from the
start won nothing. Nothing is taken from a study with fewer than `FEWEST` finished trials, from one that did not beat
its start, from one that another study of the same setting had surpassed before its first change, nor from one that
drove the same metric the other way.

**How close.** `setting`: a study of the same task, objective and profile in which nothing was fixed at another value. `task`: the same
task and objective otherwise. `parameters`: any other study, also one of a task of this name with another metric, whose scores
say nothing here; only parameters of the same name, type, role and scale with an overlapping range count there. A task
is known by its name: two projects with one name and one metric are one task here, and the guard and a trial judge
what is offered.

**Where a range ended.** A best value at the end of its earlier range says "at least so much" when the present range
goes on. It is offered to a base on the earlier range's side of it alone: 30 epochs, the most that a smaller profile
allowed, are no reason to go down from 100.

**Rank.** Closeness first; within it every study adds what it won (a tenth of its score is half the weight), divided by how many
values it had changed, and a little less for every newer study. So studies that agree add up, and one that
drew eight values anew says less of each than one that changed a single value. The weights are ours and not tuned.

Not covered: what earlier studies found to be bad, and how values act together.
"""

from tcs_hpt.evidence.memory._changes import OFFERED, remembered_changes, with_memory
from tcs_hpt.evidence.memory._configurations import RememberedConfiguration, remembered_configurations
from tcs_hpt.evidence.memory._memory import Memory, recall
from tcs_hpt.evidence.memory._study import (
    FEWEST,
    Closeness,
    EarlierStudy,
    Lesson,
    Remembered,
    Tried,
    remembered_studies,
)
from tcs_hpt.evidence.memory._values import RememberedValue, remembered_values

__all__ = [
    "FEWEST",
    "OFFERED",
    "Closeness",
    "EarlierStudy",
    "Lesson",
    "Memory",
    "Remembered",
    "RememberedConfiguration",
    "RememberedValue",
    "Tried",
    "recall",
    "remembered_changes",
    "remembered_configurations",
    "remembered_studies",
    "remembered_values",
    "with_memory",
]
