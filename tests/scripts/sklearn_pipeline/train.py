import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

X, y = load_digits(return_X_y=True)
X, y = X[:600], y[:600]
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=42, stratify=y)

pipe = Pipeline(
    [
        ("scale", StandardScaler()),
        ("clf", SVC(C=1.0, gamma=0.01, kernel="rbf", random_state=42)),
    ]
)

cv = StratifiedKFold(n_splits=5, shuffle=True, random_state=42)
scores = cross_val_score(pipe, X_train, y_train, cv=cv, scoring="accuracy")
print("CV accuracy: %.4f (+/- %.4f)" % (scores.mean(), scores.std()))

pipe.fit(X_train, y_train)
print(f"Test F1: {f1_score(y_test, pipe.predict(X_test), average='macro'):.4f}")
np.savetxt("cv_scores.txt", scores)
