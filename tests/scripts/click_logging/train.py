#!/usr/bin/env python
import logging
from pathlib import Path

import click
import numpy as np
from sklearn.datasets import make_regression
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.metrics import mean_squared_error, r2_score
from sklearn.model_selection import train_test_split

logger = logging.getLogger("boosting")


@click.command()
@click.option("--learning-rate", "-l", default=0.1, show_default=True, help="Shrinkage of each tree.")
@click.option("--n-estimators", "-n", default=60, show_default=True, help="Number of trees.")
@click.option("--max-depth", default=3, show_default=True)
@click.option("--subsample", type=click.FloatRange(0, 1), default=1.0, show_default=True)
@click.option(
    "--loss", type=click.Choice(["squared_error", "absolute_error", "huber"]), default="squared_error"
)
@click.option("--random-seed", default=0)
@click.option("--output", type=click.Path(path_type=Path), default=Path("predictions.npy"))
@click.option("--verbose/--quiet", default=True)
def main(learning_rate, n_estimators, max_depth, subsample, loss, random_seed, output, verbose):
    """Gradient boosting on a synthetic regression problem."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(asctime)s %(levelname)s %(message)s"
    )
    x, y = make_regression(n_samples=400, n_features=12, n_informative=6, noise=20.0, random_state=1)
    x_train, x_valid, y_train, y_valid = train_test_split(x, y, random_state=1)
    model = GradientBoostingRegressor(
        learning_rate=learning_rate,
        n_estimators=n_estimators,
        max_depth=max_depth,
        subsample=subsample,
        loss=loss,
        random_state=random_seed,
    )
    model.fit(x_train, y_train)
    for name, (a, b) in {"train": (x_train, y_train)}.items():
        logger.info("%s r2: %.4f", name, r2_score(b, model.predict(a)))
    predicted = model.predict(x_valid)
    rmse = float(np.sqrt(mean_squared_error(y_valid, predicted)))
    logger.info("validation rmse: %.3f, r2: %.4f", rmse, r2_score(y_valid, predicted))
    np.save(output, predicted)


if __name__ == "__main__":
    main()
