"""The Trajectory Context Summarizer: from the records of a study to a compact, factual state report.

Pure and deterministic: the same records give the same bytes, in whatever order they come. The report's four parts are
those of the TCS-HPT paper, section 3.3: current situation, latest experiment, per-parameter analysis, and comparison
with earlier experiments. Ours adds the incumbent (changes branch from it), learning-curve diagnoses and failures.

The text never exceeds its budget of estimated tokens. What is dropped first, until it fits:

1. tested values beyond the three best of a parameter, and the second unexplored region
2. tested values beyond the best, failures beyond the newest, the comparison with the previous experiment
3. tested values and unexplored regions of parameters
4. parameters that were never changed, then the others, in the order of the manifest from the end
5. the latest experiment's and the incumbent's details, from the end of the report
"""

from tcs_hpt.summary._report import (
    Comparison,
    Experiment,
    FailureNote,
    ParameterAnalysis,
    Situation,
    StateReport,
    TestedValue,
    Trend,
)
from tcs_hpt.summary._summarize import converged, scale_text, summarize, trend
from tcs_hpt.summary._text import render
from tcs_hpt.summary._tokens import estimate_tokens

__all__ = [
    "Comparison",
    "Experiment",
    "FailureNote",
    "ParameterAnalysis",
    "Situation",
    "StateReport",
    "TestedValue",
    "Trend",
    "converged",
    "estimate_tokens",
    "render",
    "scale_text",
    "summarize",
    "trend",
]
