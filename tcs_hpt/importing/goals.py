"""What a metric's name says: whether it measures, on which data, and which way is better."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from tcs_hpt.evidence.roles import snake_case
from tcs_hpt.spec import Direction

Split: TypeAlias = Literal["validation", "train", "test", ""]

_MAXIMIZE = (
    r"acc|accuracy|top_?[15]|f1|f_?score|f_?beta|auc|auroc|auprc|roc|prauc|ap|map|map50|average_precision|precision|recall|r2|r_2|rouge\w*|bleu|sacrebleu|meteor"
    r"|iou|miou|dice|ndcg\w*|mrr|hit|hits?_?\d*|hr|kappa|mcc|score|scores|reward|return|returns|psnr|ssim|pearson|spearman|correlation|corr|em|exact_match|chrf"
)
_MINIMIZE = (
    r"loss|losses|logloss|mlogloss|log_loss|error|err|merror|rmse|mse|mae|mape|smape|rmsle|msle|ppl|perplexity|nll|bce|ce|cross_entropy|brier|wer|cer|fid|kl|elbo_loss|deviance"
    r"|bpb|bpc|bits_per_byte|objective_loss|crps|pinball|quantile_loss|huber|l1_loss|l2_loss|mean_squared_error|mean_absolute_error|root_mean_squared_error"
)
_UP, _DOWN = (re.compile(rf"(^|_)({words})(_|$)") for words in (_MAXIMIZE, _MINIMIZE))
_NEGATED = re.compile(r"(^|_)neg(ative)?_")
_SPLITS: tuple[tuple[Split, re.Pattern[str]], ...] = (
    ("validation", re.compile(r"(^|_)(val|valid|validation|validate|dev|eval|evaluation|oof|cv|cross_val|heldout|held_out|holdout)(_|\d|$)")),
    ("test", re.compile(r"(^|_)(test|testing|tst|te)(_|\d|$)")),
    ("train", re.compile(r"(^|_)(train|training|trn|tr|batch|running)(_|\d|$)")),
)  # fmt: skip
_NOT_MEASURES = re.compile(
    r"(^|_)(lr|learning_rate|time|seconds|secs?|elapsed|eta|minutes|runtime|speed|samples_per_second|steps_per_second|memory|mem|params|parameters"
    r"|step|steps|batch|batches|size|count|n|num|total|grad_norm|std|stdev|fold|seed|epochs?|patience|threshold)$"
)


def _plain(name: str) -> str:
    return re.sub(r"\W+", "_", snake_case(name))


def measure(name: str) -> Direction | None:
    """Which way is better, if the name is that of a measure; a loss beside a score decides (`loss_of_the_best_accuracy`)."""
    plain = _plain(name)
    if _NOT_MEASURES.search(plain):
        return None
    if _NEGATED.search(plain):
        return "maximize"
    if _DOWN.search(plain):
        return "minimize"
    return "maximize" if _UP.search(plain) else None


def split(name: str) -> Split:
    """The data that a name speaks of; empty when it does not say."""
    plain = _plain(name)
    return next((s for s, pattern in _SPLITS if pattern.search(plain)), "")


def rank(name: str) -> int:
    """How good a metric is to tune on, lower is better: validation before what says nothing before train before test.

    Of the same data a measure of quality goes before a loss.
    """
    order: dict[Split, int] = {"validation": 0, "": 2, "train": 4, "test": 6}
    return order[split(name)] + (1 if _is_loss(name) else 0)


def _is_loss(name: str) -> bool:
    plain = _plain(name)
    return bool(
        re.search(r"(^|_)(loss|losses|logloss|mlogloss|nll|bce|ce|cross_entropy|deviance|kl)(_|$)", plain)
    )


def without_test(name: str) -> str:
    """The name without a word that says test, which no objective may begin with."""
    kept = re.sub(r"(^|_)(test|testing)(?=_|$)", "", _plain(name)).strip("_")
    return kept or "score"
