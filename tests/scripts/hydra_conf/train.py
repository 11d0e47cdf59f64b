import logging

import hydra
import numpy as np
from omegaconf import DictConfig, OmegaConf
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

log = logging.getLogger(__name__)


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg: DictConfig) -> float:
    print(OmegaConf.to_yaml(cfg))
    x, y = load_breast_cancer(return_X_y=True)
    x_train, x_val, y_train, y_val = train_test_split(x, y, test_size=cfg.data.val_size, random_state=0)
    scaler = StandardScaler().fit(x_train)
    x_train, x_val = scaler.transform(x_train), scaler.transform(x_val)
    model = SGDClassifier(
        loss="log_loss",
        alpha=cfg.model.alpha,
        l1_ratio=cfg.model.l1_ratio,
        penalty="elasticnet",
        learning_rate="constant",
        eta0=cfg.optim.lr,
        random_state=cfg.seed,
    )
    auc = 0.0
    for epoch in range(cfg.optim.epochs):
        model.partial_fit(x_train, y_train, classes=np.unique(y))
        p = model.predict_proba(x_val)[:, 1]
        auc = roc_auc_score(y_val, p)
        print(f"[{epoch + 1}/{cfg.optim.epochs}] val/logloss={log_loss(y_val, p):.4f} val/auc={auc:.4f}")
    return auc


if __name__ == "__main__":
    main()
