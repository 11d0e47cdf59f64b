"""Ranks single changes by what a Gaussian process learned from the trials, with effect and confidence in words.

Pure and deterministic: trials may come in any order. The numbers of a fit differ a little from machine to machine, so
only the words may reach a prompt or a file that is compared.

**Observations.** `_observations.py` puts trials into numbers. Scores are in spreads: 0 is the median of the finished trials
and 1 the spread of the better half.

**Fit.** Matern 5/2 with a length scale per parameter, plus white noise. Ten trials do not settle so many numbers by their
likelihood alone, so it is maximized together with log-normal priors, after Hvarfner, Hellsten and Nardi, "Vanilla Bayesian
Optimization Performs Great in High Dimensions", 2024, arXiv 2402.02229. Ours are narrower, shorter, and do not grow
with the dimension, since single changes stay near the trials.

**Words** are held back where the model was seen to be wrong. On tuning problems whose answers are known nine in ten of
its sure losses were losses, but of the gains that it expected hardly more came true than of all changes, one in five: after
a few trials it knows what to avoid rather than what to try. So the threshold of `sure` is high and a gain counts as one
word less sure than a loss.

**Knowledge** enters as the mean of the process. Its weight fades as `PRIOR_TRIALS / (PRIOR_TRIALS + n)`. The fading is from
Hvarfner et al., "piBO: Augmenting Acquisition Functions with User Beliefs for Bayesian Optimization", 2022
(arXiv 2204.11051), which multiplies the acquisition by the prior to the power of `beta / n`. Ours differs because an upper
confidence bound may be negative, and because what is known shall also show in the words: near a trial, the trial decides.

Not covered: running trials, which change nothing here; several objectives; epochs of unfinished trials.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tcs_hpt.evidence._observations import Floats, encoded, ended, observations, scored
from tcs_hpt.records import Trial
from tcs_hpt.space import Change, SearchSpace
from tcs_hpt.spec import Config, Objective, Scalar

Effect: TypeAlias = Literal["large gain", "small gain", "about the same", "small loss", "large loss"]
Confidence: TypeAlias = Literal["sure", "likely", "a guess", "unknown"]
Acquisition: TypeAlias = Literal["ucb", "ei", "thompson"]

FEWEST = 2
"""Ended trials below which nothing is fitted; one of them must have finished."""
BETA = 1.0
"""Standard deviations that the upper confidence bound adds; with none it got stuck, with two it wandered from a bad start."""
LENGTH, LENGTH_SD = 0.5, 0.5
"""Median of the prior on length scales, in parts of a parameter's scale, and its spread in logarithms."""
NOISE, NOISE_SD = 0.03, 1.0
"""The same for the variance of the noise, in squared spreads."""
LEVEL = -0.5
"""Expected score far from all trials, in spreads: what somebody chose to try is better than most of the space."""
SIGNAL_SD = 0.5
"""Spread of the prior on the variance of the process, whose median is 1."""
STEPS = 40
"""Most steps of the optimizer."""
PRIOR_WEIGHT = 1.0
"""Spreads that a sensible value of one parameter is worth against a senseless one, before any trial."""
PRIOR_TRIALS = 5
"""Trials that halve the weight of the prior."""
SMALL, LARGE = 0.25, 1.0
"""Least expected difference, in spreads, that counts as one, and as a large one."""
SURE, LIKELY = 0.975, 0.85
"""Least probability of the effect's direction (gain, loss, about the same), as the model sees it."""
NEWS = 0.85
"""Share of its variance that a point keeps when the trials say next to nothing about it."""


class Prior(Protocol):
    """What is known of values before any trial."""

    def prior(self, name: str, value: Scalar, config: Mapping[str, Scalar]) -> float:
        """How sensible a value is, in [0, 1], in a configuration that holds it."""
        ...


@dataclass(frozen=True)
class Ranked:
    """A single change, and what the model expects of it against the base."""

    change: Change
    config: Config
    score: float
    """The acquisition; higher is better. Comparable within one ranking only."""
    effect: Effect
    """The expected one, without regard to how sure it is."""
    confidence: Confidence
    """Of the effect's direction; `unknown` where neither trials nor prior say anything about the change."""
    words: str
    """Effect and confidence as a prompt shows them."""


def rank(
    space: SearchSpace,
    trials: Sequence[Trial],
    objective: Objective,
    changes: Sequence[tuple[Change, Config]],
    *,
    base: Mapping[str, Scalar],
    prior: Prior | None = None,
    seed: int = 0,
    acquisition: Acquisition = "ucb",
) -> tuple[Ranked, ...]:
    """All changes, best first; ties keep the order in which they came.

    Before there are two ended trials, one of them finished, nothing is fitted: the prior alone ranks, and without
    one the order stays.

    Args:
        space: Where the configurations live.
        trials: All trials of the study; running and interrupted ones are passed over.
        objective: Metric and direction.
        changes: What may be tried, e.g. from `single_changes`.
        base: The configuration that effects are measured against.
        prior: What is known beforehand.
        seed: Of the Thompson sample; the other acquisitions draw nothing.
        acquisition: `ucb`: mean plus `BETA` standard deviations; `ei`: expected improvement over the best mean at a
            trial; `thompson`: one joint sample.
    """
    if not changes:
        return ()
    configs = [dict(base), *(config for _, config in changes)]
    known = _opinions(configs, prior)
    if len(ended(trials)) < FEWEST or not scored(trials):
        gains = PRIOR_WEIGHT * (known[1:] - known[0])
        judged = [(_effect(g), _by_prior(g)) for g in gains.tolist()]
        scores = gains
    else:
        belief = _learned(space, trials, objective, configs, known, prior)
        judged = belief.judged()
        scores = belief.acquisition(acquisition, seed)
    best_first = sorted(range(len(changes)), key=lambda i: -scores[i])
    return tuple(Ranked(*changes[i], float(scores[i]), *judged[i], _words(*judged[i])) for i in best_first)


def choose(ranked: Sequence[Ranked], count: int = 8, per_parameter: int = 2) -> tuple[Ranked, ...]:
    """The best few, best first: no two of one parameter in the same direction, at most `per_parameter` of each.

    Filled up with the best of the rest when that leaves room, so that there are always `count` if there are that many.
    """
    counts: dict[str, int] = {}
    seen: set[tuple[str, Scalar]] = set()
    kept: list[int] = []
    for i, one in enumerate(ranked):
        name, way = one.change.parameter, _way(one.change)
        if counts.get(name, 0) < per_parameter and (name, way) not in seen:
            counts[name] = counts.get(name, 0) + 1
            seen.add((name, way))
            kept.append(i)
    rest = [i for i in range(len(ranked)) if i not in kept]
    return tuple(ranked[i] for i in sorted((kept + rest)[:count]))


def _way(change: Change) -> Scalar:
    """Up or down between numbers; every other value is a direction of its own."""
    old, new = change.old, change.new
    if isinstance(old, str | bool | None) or isinstance(new, str | bool):
        return f"to {new}"
    return new > old


# -- what is known beforehand ---------------------------------------------------------------------------------


def _opinions(configs: Sequence[Mapping[str, Scalar]], prior: Prior | None) -> Floats:
    """How sensible each configuration is as a whole: sum over its parameters, where 1/2 counts as nothing. Shape [N].

    So it is neither good nor bad to have more parameters than another configuration.
    """
    if prior is None:
        return np.zeros(len(configs))
    return np.array([sum(prior.prior(n, v, c) - 0.5 for n, v in c.items()) for c in configs])


def _by_prior(gain: float) -> Confidence:
    """Of an effect that rests on the prior alone."""
    return "unknown" if abs(gain) < SMALL else "a guess"


# -- the model --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Belief:
    """What is believed of the base, which comes first, and of the configurations that the changes give."""

    mean: Floats
    """[N + 1]"""
    covariance: Floats
    """Of the values without noise. [N + 1, N + 1]"""
    signal: float
    """Variance of a value before any trial."""
    best: float
    """Highest mean at a trial."""
    by_prior: Floats
    """What the prior alone says that each change gains. [N]"""

    def acquisition(self, kind: Acquisition, seed: int) -> Floats:
        """The score of every change. Shape [N]."""
        mean = self.mean[1:]
        deviation: Floats = np.sqrt(np.diag(self.covariance)[1:])
        scores: Floats
        if kind == "ucb":
            scores = mean + BETA * deviation
        elif kind == "ei":
            normal = NormalDist()
            ahead = mean - self.best
            z = (ahead / deviation).tolist()
            below, density = (np.array([f(v) for v in z]) for f in (normal.cdf, normal.pdf))
            scores = ahead * below + deviation * density
        else:
            values, vectors = np.linalg.eigh(self.covariance[1:, 1:])
            drawn = np.random.default_rng(seed).standard_normal(len(mean))
            scores = mean + vectors @ (np.sqrt(np.maximum(values, 0.0)) * drawn)
        return scores

    def judged(self) -> list[tuple[Effect, Confidence]]:
        """Effect and confidence of every change."""
        variance = np.diag(self.covariance)
        gains = self.mean[1:] - self.mean[0]
        spreads = np.sqrt(np.maximum(variance[1:] + variance[0] - 2 * self.covariance[0, 1:], 1e-12))
        news = variance[1:] > NEWS * self.signal
        return [
            (_effect(g), _by_prior(p) if n else _confidence(g, s))
            for g, s, n, p in zip(
                gains.tolist(), spreads.tolist(), news.tolist(), self.by_prior.tolist(), strict=True
            )
        ]


def _learned(
    space: SearchSpace,
    trials: Sequence[Trial],
    objective: Objective,
    configs: Sequence[Mapping[str, Scalar]],
    known: Floats,
    prior: Prior | None,
) -> _Belief:
    seen, values = observations(trials, objective)
    columns, owners = encoded(space, [*seen, *configs])
    weight = PRIOR_WEIGHT * PRIOR_TRIALS / (PRIOR_TRIALS + len(seen))
    opinions = weight * np.concatenate([_opinions(seen, prior), known])
    count = len(seen)
    level = float(np.mean(opinions[:count]))
    opinions = opinions - level + LEVEL
    process, latent_noise = _fitted(columns[:count], values - opinions[:count], owners)
    mean, covariance = process.predict(columns[count:], return_cov=True)
    at_trials = process.predict(columns[:count]) + opinions[:count]
    np.fill_diagonal(covariance, np.maximum(np.diag(covariance) - latent_noise, 1e-10))
    return _Belief(
        mean + opinions[count:],
        covariance,
        float(np.exp(process.kernel_.theta[0])),
        float(np.max(at_trials)),
        weight * (known[1:] - known[0]),
    )


def _fitted(columns: Floats, values: Floats, owners: NDArray[np.int64]) -> tuple[Any, float]:
    """A scikit-learn process with the most probable kernel, and the variance of its noise."""
    # Imported here: it takes a second, and a study without this evidence has no use for it.
    from scipy.optimize import minimize
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    names, shared = np.unique(owners, return_inverse=True)
    # From the logarithms that are searched (signal, a length per parameter, noise) to scikit-learn's (one per column).
    expand = np.zeros((len(owners) + 2, len(names) + 2))
    expand[0, 0] = expand[-1, -1] = 1.0
    expand[1 + np.arange(len(owners)), 1 + shared] = 1.0
    centre = np.log([1.0, *[LENGTH] * len(names), NOISE])
    width = np.array([SIGNAL_SD, *[LENGTH_SD] * len(names), NOISE_SD])

    def process(logarithms: Floats) -> Any:
        lengths = np.exp(logarithms[1:-1])[shared]
        kernel = ConstantKernel(np.exp(logarithms[0])) * Matern(lengths, nu=2.5)
        kernel = kernel + WhiteKernel(np.exp(logarithms[-1]))
        return GaussianProcessRegressor(kernel, optimizer=None).fit(columns, values)

    model = process(centre)

    def improbability(logarithms: Floats) -> tuple[float, Floats]:
        likelihood, slope = model.log_marginal_likelihood(
            expand @ logarithms, eval_gradient=True, clone_kernel=False
        )
        off = (logarithms - centre) / width
        return 0.5 * float(off @ off) - likelihood, off / width - expand.T @ slope

    bounds = list(zip(centre - 3 * width, centre + 3 * width, strict=True))
    found = minimize(
        improbability, centre, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS}
    )
    return process(found.x), float(np.exp(found.x[-1]))


# -- words ------------------------------------------------------------------------------------------------------


def _effect(gain: float) -> Effect:
    if abs(gain) < SMALL:
        return "about the same"
    if gain > 0:
        return "large gain" if gain >= LARGE else "small gain"
    return "large loss" if gain <= -LARGE else "small loss"


def _confidence(gain: float, deviation: float) -> Confidence:
    """From the probability that the true difference has the direction of the expected one."""
    if abs(gain) < SMALL:
        difference = NormalDist(gain, deviation)
        right = difference.cdf(SMALL) - difference.cdf(-SMALL)
    else:
        right = NormalDist().cdf(abs(gain) / deviation)
    if gain >= SMALL:
        return "likely" if right >= SURE else "a guess"
    return "sure" if right >= SURE else "likely" if right >= LIKELY else "a guess"


def _words(effect: Effect, confidence: Confidence) -> str:
    return "unknown" if confidence == "unknown" else f"{effect} ({confidence})"
