import argparse
import json

from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split

p = argparse.ArgumentParser()
p.add_argument("--trees", type=int, required=True)
p.add_argument("--depth", type=int, required=True)
p.add_argument("--leaf", type=int, required=True)
p.add_argument("--seed", type=int, default=0)
p.add_argument("--out")
a = p.parse_args()

x, y = load_wine(return_X_y=True)
x_train, x_val, y_train, y_val = train_test_split(x, y, test_size=0.4, random_state=0)
forest = RandomForestClassifier(
    n_estimators=a.trees, max_depth=a.depth, min_samples_leaf=a.leaf, random_state=a.seed
).fit(x_train, y_train)
proba = forest.predict_proba(x_val)
print(
    json.dumps(
        {"val_accuracy": accuracy_score(y_val, proba.argmax(1)), "val_log_loss": log_loss(y_val, proba)}
    )
)
with open(a.out, "w") as f:
    json.dump(vars(a), f)
