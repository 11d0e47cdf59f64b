import os
import pickle

import numpy as np

# ---- settings ----
LR = 0.05
EPOCHS = 30
BATCH_SIZE = 32
HIDDEN = 24
L2 = 1e-4
SEED = 0
N_SAMPLES = 400
OUT_DIR = "out"

rng = np.random.default_rng(SEED)


def make_moons(n):
    t = np.pi * rng.random(n)
    label = rng.integers(0, 2, n)
    x = np.stack([np.cos(t) + label * 1.0, np.sin(t) * (1 - 2 * label) + label * 0.4], axis=1)
    return x + 0.2 * rng.normal(size=x.shape), label


X, Y = make_moons(N_SAMPLES)
X_val, Y_val = make_moons(200)

w1 = rng.normal(size=(2, HIDDEN)) * 0.5
b1 = np.zeros(HIDDEN)
w2 = rng.normal(size=HIDDEN) * 0.5
b2 = 0.0


def forward(x):
    h = np.tanh(x @ w1 + b1)
    return h, 1 / (1 + np.exp(-(h @ w2 + b2)))


best = 0
for epoch in range(EPOCHS):
    order = rng.permutation(len(X))
    for i in range(0, len(X), BATCH_SIZE):
        idx = order[i : i + BATCH_SIZE]
        h, p = forward(X[idx])
        g = (p - Y[idx]) / len(idx)
        gh = np.outer(g, w2) * (1 - h**2)
        w2 -= LR * (h.T @ g + L2 * w2)
        b2 -= LR * g.sum()
        w1 -= LR * (X[idx].T @ gh + L2 * w1)
        b1 -= LR * gh.sum(0)
    p = forward(X_val)[1]
    val_loss = -np.mean(Y_val * np.log(p + 1e-9) + (1 - Y_val) * np.log(1 - p + 1e-9))
    acc = np.mean((p > 0.5) == Y_val)
    best = max(best, acc)
    print("epoch", epoch, "val_loss", round(val_loss, 4), "val_acc", acc)

print("best val acc:", best)
os.makedirs(OUT_DIR, exist_ok=True)
with open(os.path.join(OUT_DIR, "weights.pkl"), "wb") as f:
    pickle.dump((w1, b1, w2, b2), f)
