"""Gradient-boosted trees estimate the price of a house from its size and its amenities.

Run by hand, it trains with the defaults of `task.toml`: python train.py
"""

import csv
import math
import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")  # more are slower on so small a table

import numpy as np
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import RepeatedKFold

import tcs_hpt
from tcs_hpt import data

try:
    import xgboost as xgb
except ModuleNotFoundError as error:
    sys.exit(f"xgboost_house_price needs xgboost ({error}): pip install 'tcs-hpt[tabular]'")

SOURCE = "https://www.kaggle.com/datasets/yasserh/housing-prices-dataset"
PLACES = [  # folder and file: as prepared, and as the tools of Kaggle leave it
    ("house_prices", "housing_545.csv"),
    ("house_prices", "Housing.csv"),
    ("housing-prices-dataset", "Housing.csv"),
    ("", "Housing.csv"),
]
ROWS = 545
FEATURES = ["area", "bedrooms", "bathrooms", "stories", "mainroad", "guestroom", "basement"]
FEATURES += ["hotwaterheating", "airconditioning", "parking", "prefarea", "furnishingstatus"]
WORDS = {"no": 0, "yes": 1, "unfurnished": 0, "semi-furnished": 1, "furnished": 2}  # furnishing has an order

SPLIT_SEED = 0  # never the trial's: every trial sees the same houses
REPORTS = 100  # epochs that a trial reports, at most


def load(data_dir, max_rows, invent):
    """Features [houses, 12] and prices of all houses, or of `max_rows` of them, in a random but fixed order.

    With `invent`, a table is made up when the real one is not there.
    """
    found = [(data.locate(data_dir, place, files=[name]), name) for place, name in PLACES]
    files = [folder / name for folder, name in found if folder is not None]
    if files:
        features, prices = read(files[0])
    elif invent:
        features, prices = made_up()
    else:
        why = f"Kaggle hands it out to people with an account: {SOURCE}"
        raise data.missing("The table of house prices", ["Housing.csv"], "house_prices", data_dir, why=why)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(prices))[:max_rows]
    return features[order], prices[order]


def read(file):
    """Features and prices of the 545 houses."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        table = csv.DictReader(stream)
        rows = list(table)
    if len(rows) != ROWS or not {"price", *FEATURES} <= set(table.fieldnames):
        raise data.DataUnavailable(
            f"{file} is not the table of {ROWS} houses of {SOURCE}: remove or replace it"
        )
    features = [[float(WORDS.get(row[name], row[name])) for name in FEATURES] for row in rows]
    return np.array(features), np.array([float(row["price"]) for row in rows])


def made_up():
    """A table of the same form, for tests on a machine without the real one."""
    chance = np.random.default_rng(SPLIT_SEED)
    area = chance.uniform(1500, 15000, 200)
    counts = chance.integers(0, 4, (200, len(FEATURES) - 1))
    prices = 1e6 + 300 * area + 4e5 * counts[:, :6].sum(axis=1) + chance.normal(0, 5e5, 200)
    return np.column_stack([area, counts]), prices


def booster_settings(params, seed):
    """What XGBoost calls our parameters, and what is not tuned."""
    same = [
        "max_depth",
        "min_child_weight",
        "subsample",
        "colsample_bytree",
        "gamma",
        "reg_alpha",
        "reg_lambda",
    ]
    return {
        "objective": "reg:squarederror",
        "eta": params["lr"],
        **{name: params[name] for name in same},
        "seed": seed,
        "nthread": 1,
        # Where there is no GPU, a build for CUDA falls back to the CPU by itself; it is told not to warn about it.
        "device": "cuda" if xgb.build_info().get("USE_CUDA") else "cpu",
        "verbosity": 0,
    }


class Model:
    """Trees that are boosted on some houses and measured on these and on others."""

    def __init__(self, features, prices, train, val, settings):
        # Prices are scaled to variance 1: with millions, gamma and reg_alpha would be far too small to matter.
        self.mean, self.scale = prices[train].mean(), prices[train].std()
        self.prices = {"train": prices[train], "val": prices[val]}
        self.data = {
            part: xgb.DMatrix(features[rows], (prices[rows] - self.mean) / self.scale)
            for part, rows in (("train", train), ("val", val))
        }
        self.booster = xgb.Booster(settings, list(self.data.values()))

    def boost(self, number):
        """Add the tree of one round; they count from 0."""
        self.booster.update(self.data["train"], number)

    def scores(self):
        """R2, and RMSE and MAE in units of the price; not a number when the training has diverged."""
        found = {}
        for part, prices in self.prices.items():
            estimates = self.booster.predict(self.data[part]).astype(float) * self.scale + self.mean
            finite = np.isfinite(estimates).all()
            found[f"{part}_r2"] = r2_score(prices, estimates) if finite else math.nan
            found[f"{part}_rmse"] = root_mean_squared_error(prices, estimates) if finite else math.nan
            found[f"{part}_mae"] = mean_absolute_error(prices, estimates) if finite else math.nan
        return found


def mean_scores(models):
    """The mean of each score over the models, and the standard deviation of the one that counts."""
    each = [model.scores() for model in models]
    found = {name: float(np.mean([scores[name] for scores in each])) for name in each[0]}
    return found, float(np.std([scores["val_r2"] for scores in each]))


def main():
    trial = tcs_hpt.current_trial()
    params = trial.params
    try:
        features, prices = load(trial.data_dir, params["max_rows"], invent=trial.profile == "smoke")
    except data.DataUnavailable as error:
        sys.exit(str(error))
    settings = booster_settings(params, trial.seed)
    test, rest = np.split(np.arange(len(prices)), [len(prices) // 5])
    folds = RepeatedKFold(n_splits=params["folds"], n_repeats=params["repeats"], random_state=SPLIT_SEED)
    models = [Model(features, prices, rest[train], rest[val], settings) for train, val in folds.split(rest)]

    every = math.ceil(params["n_estimators"] / REPORTS)
    start = time.perf_counter()
    for rounds in range(1, params["n_estimators"] + 1):
        for model in models:
            model.boost(rounds - 1)
        last = rounds == params["n_estimators"] or trial.should_stop()
        if rounds % every and not last:
            continue
        found, spread = mean_scores(models)
        trial.report(epoch=rounds, **found, lr=params["lr"], seconds=time.perf_counter() - start)
        start = time.perf_counter()
        if not math.isfinite(found["val_rmse"]):
            trial.finish(val_r2=math.nan)
            return
        if last:
            break

    final = Model(
        features, prices, rest, test, settings
    )  # what one would use: nothing is left out for validation
    for number in range(rounds):
        final.boost(number)
    trial.finish(**found, val_r2_sd=spread, test_r2=final.scores()["val_r2"], rounds=rounds)


if __name__ == "__main__":
    main()
