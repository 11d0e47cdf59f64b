"""From Python: `tune(objective, space, ...)`, and what the command line and it have in common.

    import tcs_hpt

    result = tcs_hpt.tune(objective, {"lr": tcs_hpt.Float(1e-5, 1e-1, log=True)}, direction="maximize")

Same engine, same records, same store: `tcs-hpt studies` and `tcs-hpt report` show these studies too.
"""

from tcs_hpt.tuning._tune import tune
from tcs_hpt.tuning.result import Report, StudyResult
from tcs_hpt.tuning.space import Categorical, Float, Int

__all__ = ["Categorical", "Float", "Int", "Report", "StudyResult", "tune"]
