import numpy as np
import xgboost as xgb
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split

X, y = make_classification(n_samples=800, n_features=20, n_informative=8, flip_y=0.1, random_state=7)
X_train, X_val, y_train, y_val = train_test_split(X, y, test_size=0.25, random_state=7)

dtrain = xgb.DMatrix(X_train, label=y_train)
dval = xgb.DMatrix(X_val, label=y_val)

params = {
    "objective": "binary:logistic",
    "eval_metric": "auc",
    "eta": 0.3,
    "max_depth": 6,
    "subsample": 0.8,
    "colsample_bytree": 0.8,
    "lambda": 1.0,
    "nthread": 1,
    "seed": 7,
}

bst = xgb.train(
    params,
    dtrain,
    num_boost_round=40,
    evals=[(dtrain, "train"), (dval, "validation")],
    verbose_eval=10,
)
np.save("importance.npy", np.array(list(bst.get_score().values())))
