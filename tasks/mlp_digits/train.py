"""A multilayer perceptron learns to read handwritten digits from 600 labelled images.

Run by hand, it trains with the defaults of `task.toml`: python train.py
"""

import math
import os
import time

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # read by numpy at import; matrices this small gain nothing from more

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import tcs_hpt


def load(max_train):
    """Train, validation and test images with their labels. The split never changes, whatever the seed."""
    images, labels = load_digits(return_X_y=True)
    images = images / 16.0
    train_x, rest_x, train_y, rest_y = train_test_split(
        images, labels, train_size=600, stratify=labels, random_state=0
    )
    val_x, test_x, val_y, test_y = train_test_split(
        rest_x, rest_y, train_size=600, stratify=rest_y, random_state=0
    )
    return (train_x[:max_train], train_y[:max_train]), (val_x, val_y), (test_x, test_y)


def train_one_epoch(model, images, labels):
    """One pass over the images."""
    try:
        model.partial_fit(images, labels, classes=np.arange(10))
    except ValueError:
        # scikit-learn raises when weights are no longer finite; the epoch's metrics will say so
        if all(np.isfinite(w).all() for w in model.coefs_ + model.intercepts_):
            raise


def evaluate(model, images, labels):
    """Mean cross-entropy and accuracy; NaN when the model has diverged."""
    probabilities = model.predict_proba(images)
    if not np.isfinite(probabilities).all():
        return math.nan, math.nan
    loss = log_loss(labels, probabilities, labels=model.classes_)
    return loss, np.mean(model.classes_[probabilities.argmax(axis=1)] == labels)


def main():
    trial = tcs_hpt.current_trial()
    params = trial.params
    train, val, test = load(params["max_train"])
    model = MLPClassifier(
        hidden_layer_sizes=(params["hidden_size"],),
        solver=params["optimizer"],
        learning_rate_init=params["lr"],
        momentum=params.get("momentum", 0.9),  # absent unless the optimizer is sgd, and then not used
        batch_size=min(params["batch_size"], len(train[0])),
        alpha=params["weight_decay"],
        random_state=trial.seed,
    )
    best = {"val_accuracy": -1.0}
    for epoch in range(1, params["epochs"] + 1):
        start = time.perf_counter()
        train_one_epoch(model, *train)
        train_loss, train_accuracy = evaluate(model, *train)
        val_loss, val_accuracy = evaluate(model, *val)
        trial.report(
            epoch=epoch,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            seconds=time.perf_counter() - start,
        )
        if math.isnan(val_loss):
            trial.finish(val_accuracy=math.nan)
            return
        if val_accuracy > best["val_accuracy"]:
            test_accuracy = evaluate(model, *test)[1]
            best = {"val_accuracy": val_accuracy, "val_loss": val_loss, "test_accuracy": test_accuracy}
            best["best_epoch"] = epoch
        if trial.should_stop():
            break
    trial.finish(**best)


if __name__ == "__main__":
    main()
