"""Support vector machines, linear models and nearest neighbours."""

from __future__ import annotations

from tcs_hpt.evidence.knowledge._entry import UNSAID, Entry, Interaction, on

_HSU = "Hsu, Chang and Lin 2003, section 3.2"
_SKL = "scikit-learn documentation"
_CURVED = {"kernel": ("rbf", "poly", "sigmoid", "radial", "polynomial", UNSAID)}

SVM = (
    Entry(("c", "cost", "svm_c"), f"between scikit-learn's 1 and 2^5, the middle of the grid of {_HSU}", "a usual cost", "medium", 10.0, 1.0, 1000.0, log=True),
    Entry(("gamma",), f"2^-6, the middle of the grid of {_HSU}", "a usual reach of the kernel", "medium", 0.0156, 1e-3, 0.5, log=True,
          worth={"scale": 1.0, "auto": 0.7}, given=_CURVED),
    Entry(("kernel",), "Hsu, Chang and Lin 2003, section 3.1", "rbf first", "high", worth={"rbf": 1.0, "radial": 1.0, "linear": 0.6, "poly": 0.5, "polynomial": 0.5, "sigmoid": 0.2}),
    Entry(("degree",), f"{_SKL}, SVC: 3", "the default", "medium", 3, 2, 4, given={"kernel": ("poly", "polynomial", UNSAID)}),
    Entry(("epsilon", "svr_epsilon"), f"{_SKL}, SVR: 0.1", "the default tube", "medium", 0.1, 0.01, 0.5, log=True, zero=0.5),
    Entry(("coef0",), f"{_SKL}, SVC: 0", "the default", "medium", 0.0, 0.0, 1.0),
    on("shrinking", source=f"{_SKL}, SVC", why="the default", confidence="high", off=0.9),
)  # fmt: skip

LINEAR = (
    Entry(("l1_ratio", "l1_mix"), f"{_SKL}, ElasticNet: 0.5", "half and half", "medium", 0.5, 0.1, 0.95),
    Entry(("penalty",), f"{_SKL}, LogisticRegression", "the default", "high", worth={"l2": 1.0, "elasticnet": 0.9, "l1": 0.8, "none": 0.4}),
    on("fit_intercept", source=_SKL, why="the default", confidence="high", off=0.2),
)  # fmt: skip

LOGISTIC = (
    Entry(("c", "inverse_regularization"), f"{_SKL}, LogisticRegression: 1", "the default", "high", 1.0, 0.01, 100.0, log=True),
    Entry(("max_iter",), f"{_SKL}, LogisticRegression: 100, more when it warns", "enough to converge", "medium", 1000, 100, 5000, log=True),
    Entry(("solver",), f"{_SKL}, LogisticRegression", "the default", "high", worth={"lbfgs": 1.0, "saga": 0.8, "newtoncholesky": 0.9, "newtoncg": 0.8, "liblinear": 0.8, "sag": 0.7}),
)  # fmt: skip

RIDGE = (
    Entry(
        ("alpha", "ridge_alpha", "lambda"),
        f"{_SKL}, Ridge: 1",
        "the default",
        "high",
        1.0,
        1e-2,
        100.0,
        log=True,
    ),
)

LASSO = (
    Entry(("alpha", "lasso_alpha", "lambda"), "below scikit-learn's default of 1, which drops most standardized columns; ours", "a light penalty", "low", 0.01, 1e-4, 1.0, log=True),
)  # fmt: skip

SGD_LINEAR = (
    Entry(("alpha",), f"{_SKL}, SGD user guide: 0.1 to 1e-6, default 1e-4", "the default penalty", "high", 1e-4, 1e-6, 1e-2, log=True),
    Entry(("eta0",), f"{_SKL}, SGDClassifier: 0.01", "the default step size", "high", 0.01, 1e-3, 0.1, log=True),
    Entry(("learning_rate",), f"{_SKL}, SGDClassifier", "the default schedule", "high", worth={"optimal": 1.0, "adaptive": 0.9, "invscaling": 0.7, "constant": 0.6}),
    Entry(("max_iter",), f"{_SKL}, SGDClassifier: 1000", "the default", "high", 1000, 200, 5000, log=True),
    Entry(("loss",), f"{_SKL}, SGDClassifier", "the default", "medium", worth={"hinge": 1.0, "logloss": 1.0, "modifiedhuber": 0.9, "squarederror": 1.0, "huber": 0.9, "perceptron": 0.4}),
)  # fmt: skip

KNN = (
    Entry(("n_neighbors", "k", "num_neighbors", "neighbors", "n_neighbours"), f"{_SKL}, KNeighbors: 5", "the default", "medium", 5, 3, 25, log=True),
    Entry(("weights",), f"{_SKL}, KNeighbors", "near ones count more", "medium", worth={"distance": 1.0, "uniform": 0.9}),
    Entry(("p",), f"{_SKL}, KNeighbors: 2", "euclidean distance", "high", 2, 1, 2),
    Entry(("metric", "distance"), f"{_SKL}, KNeighbors", "the default distance", "medium", worth={"minkowski": 1.0, "euclidean": 1.0, "manhattan": 0.9, "cosine": 0.8, "chebyshev": 0.4}),
    Entry(("leaf_size",), f"{_SKL}, KNeighbors: 30", "the default; changes only the speed", "high", 30, 10, 100, log=True),
)  # fmt: skip

INTERACTIONS = (
    Interaction(("svm",), ("c", "gamma"), "a smaller {gamma} wants a larger {c}", "scikit-learn example, RBF SVM parameters"),
    Interaction(("svm",), ("gamma", "kernel"), "{gamma} means nothing to a linear kernel", "scikit-learn documentation, SVC", {"kernel": ("linear",)}),
    Interaction(("svm",), ("degree", "kernel"), "{degree} matters only for the polynomial kernel", "scikit-learn documentation, SVC", {"kernel": ("poly",)}),
)  # fmt: skip
