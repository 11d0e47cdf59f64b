import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split


class LitClassifier(L.LightningModule):
    def __init__(self, hidden_dim=32, lr=1e-3, dropout=0.1):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(
            nn.Linear(20, hidden_dim), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden_dim, 3)
        )

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        logits = self.net(x)
        self.log("val_loss", F.cross_entropy(logits, y), prog_bar=True)
        self.log("val_acc", (logits.argmax(1) == y).float().mean(), prog_bar=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


def make_data(n=600):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, 20, generator=g)
    centers = torch.randn(20, 3, generator=g)
    y = (x @ centers + torch.randn(n, 3, generator=g)).argmax(1)
    return random_split(TensorDataset(x, y), [450, 150], generator=g)


if __name__ == "__main__":
    L.seed_everything(42)
    torch.set_num_threads(1)
    train_set, val_set = make_data()
    trainer = L.Trainer(
        max_epochs=4,
        accelerator="cpu",
        logger=CSVLogger("logs", name="digits"),
        log_every_n_steps=5,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(
        LitClassifier(),
        DataLoader(train_set, batch_size=32, shuffle=True),
        DataLoader(val_set, batch_size=32),
    )
