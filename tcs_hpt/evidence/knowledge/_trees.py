"""Boosted trees of all libraries, and random forests."""

from __future__ import annotations

from tcs_hpt.evidence.knowledge._entry import BUDGET, UNSAID, Entry, Interaction, Scaling, on

_XGB = "XGBoost documentation, parameters"
_LGB = "LightGBM documentation, parameters"
_CAT = "CatBoost documentation, parameter tuning"
_TD = "Holzmüller et al. 2024 (tuned defaults)"
_PBB = "Probst, Boulesteix and Bischl 2019 (tuned defaults)"
_SKL = "scikit-learn documentation"
_TREES = (
    *(
        "n_estimators",
        "num_boost_round",
        "iterations",
        "num_round",
        "n_rounds",
        "num_rounds",
        "nrounds",
        "num_trees",
    ),
    *("n_trees", "num_iterations", "boost_rounds", "n_iter", "num_boosting_rounds", "trees"),
)
_RATE = ("learning_rate", "eta", "lr", "shrinkage", "learn_rate", "shrinkage_rate")
_ROWS = ("subsample", "bagging_fraction", "sub_row", "row_subsample", "bagging", "sample_rate")
_COLUMNS = (
    *(
        "colsample_bytree",
        "feature_fraction",
        "colsample_bylevel",
        "colsample_bynode",
        "colsample",
        "sub_feature",
    ),
    *("rsm", "col_subsample", "feature_fraction_bynode", "col_sample_rate"),
)
_DEPTH = ("max_depth", "depth", "tree_depth")
_L1 = ("reg_alpha", "lambda_l1", "l1", "alpha", "l1_regularization", "reg_l1")
_L2 = ("reg_lambda", "lambda_l2", "l2", "lambda", "l2_regularization", "reg_l2")
_SPLIT_GAIN = ("gamma", "min_split_loss", "min_gain_to_split", "min_split_gain")
_MANY = (Scaling("n_estimators", 200, -0.5),)
"""More trees, smaller steps. The power is ours: it joins 0.1 at 100 to 200 trees with 0.018 at 4168 (Probst et al. 2019)."""

BOOSTING = (
    Entry(_RATE, f"0.1 in scikit-learn and LightGBM; {_TD}: 0.04 to 0.09 at 1000 trees; {_PBB}: 0.018 at 4168", "the usual step size of boosting", "high",
          0.1, 0.02, 0.3, log=True, scalings=_MANY),
    Entry(_TREES, f"100 in most libraries, 1000 in CatBoost; {_TD}: 1000 with early stopping", "enough trees for the step size", "medium",
          300, 100, 1000, log=True, reach=BUDGET),
    Entry(_DEPTH, f"{_XGB}: 6; {_TD}: 6 to 9", "the usual depth of boosting", "high", 6, 3, 10),
    Entry(_ROWS, f"{_TD}: 0.65 to 0.9; {_PBB}: 0.84", "a part of the rows regularizes", "high", 0.8, 0.5, 1.0),
    Entry(_COLUMNS, f"{_PBB}: 0.75; {_TD}: 0.9 to 1", "a part of the columns regularizes", "medium", 0.8, 0.5, 1.0),
    Entry(_L1, f"{_XGB}: 0; {_PBB}: 1.1", "no L1 penalty at first", "medium", 0.0, 0.0, 1.0),
    Entry(_L2, f"{_XGB}: 1; {_PBB}: 0.98", "the usual L2 penalty", "medium", 1.0, 0.1, 10.0, log=True, zero=0.8),
    Entry(_SPLIT_GAIN, f"{_XGB}: 0; Grinsztajn et al. 2022 search 1e-8 to 7", "no penalty on splits at first", "medium", 0.0, 0.0, 1.0),
    Entry(("max_bin", "max_bins", "border_count"), f"{_XGB}: 256; {_LGB}: 255", "the usual bins", "high", 255, 63, 256, log=True),
    Entry(("min_child_weight", "min_sum_hessian_in_leaf", "min_sum_hessian"), f"{_XGB}: 1; {_TD}: 2; {_PBB}: 2.06", "small leaves allowed", "medium",
          2.0, 1.0, 10.0, log=True, zero=0.7),
    Entry(("num_leaves", "max_leaves", "max_leaf_nodes"), f"{_LGB}: 31; {_TD}: 50 to 100", "the usual number of leaves", "high", 31, 15, 127, log=True),
)  # fmt: skip

XGBOOST = (
    Entry(("booster",), _XGB, "trees, not lines", "high", worth={"gbtree": 1.0, "dart": 0.7, "gblinear": 0.1}),
    Entry(("scale_pos_weight",), _XGB, "no reweighting at first", "medium", 1.0, 0.5, 10.0, log=True),
    Entry(("max_delta_step",), _XGB, "off by default", "high", 0, 0, 1),
    Entry(("tree_method",), _XGB, "fast and as good", "high", worth={"hist": 1.0, "auto": 1.0, "approx": 0.8, "exact": 0.8, "gpuhist": 0.9}),
    Entry(("grow_policy",), _XGB, "the default", "high", worth={"depthwise": 1.0, "lossguide": 0.9}),
)  # fmt: skip

LIGHTGBM = (
    Entry(("num_leaves", "max_leaves", "leaves", "num_leaf", "max_leaf_nodes"), f"{_LGB}: 31; {_TD}: 50 to 100", "the usual number of leaves", "high", 31, 15, 127, log=True),
    Entry(("min_data_in_leaf", "min_child_samples", "min_samples_leaf", "min_data"), f"{_LGB}: 20; {_TD}: 3 to 40", "the usual leaf size", "high", 20, 5, 100, log=True),
    Entry(_DEPTH, f"{_LGB}: unlimited", "leaves limit the trees, not depth", "low", 8, 5, 14),
    Entry(_L2, f"{_LGB}: 0", "no L2 penalty at first", "medium", 0.0, 0.0, 10.0),
    Entry(("bagging_freq", "subsample_freq"), f"{_TD}: 1", "bagging works only when this is above 0", "high", 1, 1, 5),
    Entry(("min_sum_hessian_in_leaf", "min_child_weight", "min_sum_hessian"), f"{_LGB}: 1e-3", "the default", "high", 1e-3, 1e-5, 10.0, log=True, zero=0.9),
    Entry(("boosting_type", "boosting"), _LGB, "the default", "high", worth={"gbdt": 1.0, "goss": 0.7, "dart": 0.7, "rf": 0.3}),
)  # fmt: skip

CATBOOST = (
    Entry(_DEPTH, f"{_CAT}: 4 to 10, often 6 to 10", "the default depth", "high", 6, 4, 10),
    Entry(("l2_leaf_reg", *_L2), "CatBoost documentation, training parameters: 3", "the default penalty", "high", 3.0, 1.0, 10.0, log=True, zero=0.5),
    Entry(_TREES, "CatBoost documentation, training parameters: 1000", "the default number of trees", "high", 1000, 300, 2000, log=True, reach=BUDGET),
    Entry(("random_strength",), "CatBoost documentation, training parameters: 1", "the default", "high", 1.0, 0.0, 2.0),
    Entry(("bagging_temperature",), "CatBoost documentation, training parameters: 1", "the default", "high", 1.0, 0.0, 1.0),
    Entry(("bootstrap_type",), _TD, "the tuned default", "medium", worth={"bernoulli": 1.0, "bayesian": 0.9, "mvs": 0.9, "no": 0.4}),
)  # fmt: skip

GBM = (
    Entry(_DEPTH, f"{_SKL}, GradientBoosting: 3; Hastie et al. 2009, section 10.11: 4 to 8 leaves", "shallow trees, the default", "high", 3, 2, 6),
    Entry(("min_samples_leaf",), f"{_SKL}, GradientBoosting: 1", "the default leaf size", "medium", 1, 1, 20, log=True),
    Entry(("min_samples_split",), f"{_SKL}, GradientBoosting: 2", "the default", "medium", 2, 2, 20, log=True),
    Entry(("max_features",), f"{_SKL}, user guide of boosting", "a part of the columns regularizes", "medium", 0.8, 0.3, 1.0, worth={"sqrt": 1.0, "log2": 0.7, "none": 0.8, "auto": 0.8}),
)  # fmt: skip

HIST_GBM = (
    Entry((*_TREES, "max_iter"), f"{_SKL}, HistGradientBoosting: 100", "enough trees for the step size", "medium", 200, 100, 1000, log=True, reach=BUDGET),
    Entry(("min_samples_leaf", "min_data_in_leaf"), f"{_SKL}, HistGradientBoosting: 20", "the default leaf size", "high", 20, 5, 100, log=True),
    Entry(_L2, f"{_SKL}, HistGradientBoosting: 0", "no penalty at first", "medium", 0.0, 0.0, 10.0),
)  # fmt: skip

FOREST = (
    Entry(("n_estimators", "num_trees", "n_trees", "trees", "ntree"), "Probst and Boulesteix 2018: more is better, the gain fades; scikit-learn: 100", "more trees never hurt", "high", 300, 100, 1000, log=True, reach=BUDGET),
    Entry(("max_depth", "depth", "tree_depth"), f"{_SKL}, RandomForest: unlimited", "forests grow deep trees", "medium", 20, 12, 50, log=True, worth={"none": 1.0}),
    Entry(("max_features", "mtry", "max_features_fraction"), "Hastie et al. 2009, section 15.3: a third", "a third of the columns, for regression", "medium",
          0.33, 0.2, 1.0, worth={"none": 1.0, "sqrt": 0.7, "log2": 0.6}, given={"goal": ("regression",)}),
    Entry(("max_features", "mtry", "max_features_fraction"), "Hastie et al. 2009, section 15.3: the root; Probst et al. 2019 (arXiv 1804.03515)", "the root of the columns",
          "medium", 0.3, 0.1, 0.7, worth={"sqrt": 1.0, "auto": 0.9, "log2": 0.8, "none": 0.4}, given={"goal": ("classification", UNSAID)}),
    Entry(("min_samples_leaf", "min_node_size", "nodesize"), "Hastie et al. 2009, section 15.3: 1, for regression 5", "small leaves", "high", 1, 1, 5, log=True),
    Entry(("min_samples_split",), f"{_SKL}, RandomForest: 2", "grow the trees fully", "high", 2, 2, 10, log=True),
    Entry(("max_samples", "sample_fraction"), "Probst et al. 2019 (arXiv 1804.03515), section 2.2", "most of the rows", "low", 0.8, 0.5, 1.0),
    Entry(("criterion",), f"{_SKL}, RandomForest", "the default", "medium", worth={"gini": 1.0, "entropy": 1.0, "logloss": 1.0, "squarederror": 1.0, "friedmanmse": 1.0, "absoluteerror": 0.5, "poisson": 0.5}),
    Entry(("ccp_alpha",), f"{_SKL}, RandomForest: 0", "no pruning", "high", 0.0, 0.0, 0.01),
    on("bootstrap", source=f"{_SKL}, RandomForest", why="the default", confidence="high", off=0.5),
)  # fmt: skip

INTERACTIONS = (
    Interaction(("boosting",), ("learning_rate", "n_estimators"), "more {n_estimators} want a smaller {learning_rate}", "Hastie et al. 2009, section 10.12.1"),
    Interaction(("boosting",), ("num_leaves", "max_depth"), "keep {num_leaves} below 2 to the power of {max_depth}", "LightGBM documentation, parameters tuning"),
    Interaction(("lightgbm",), ("subsample", "bagging_freq"), "{subsample} acts only with {bagging_freq} above 0", "LightGBM documentation, parameters"),
    Interaction(("boosting",), ("learning_rate", "subsample"), "{subsample} below 1 helps with a small {learning_rate}", "Hastie et al. 2009, section 10.12.2"),
)  # fmt: skip
