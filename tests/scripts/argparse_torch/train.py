"""Train a small MLP on scikit-learn's digits."""

import argparse
import random

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def get_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4, help="number of epochs")
    parser.add_argument("--batch-size", "-b", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-3, help="learning rate")
    parser.add_argument("--weight-decay", type=float, default=0.0)
    parser.add_argument("--hidden-size", type=int, default=64)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--optimizer", default="adam", choices=["adam", "sgd", "rmsprop"])
    parser.add_argument("--num-workers", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--log-interval", type=int, default=10)
    parser.add_argument("--save", default="model.pt", help="where to put the weights")
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args()


def make_loaders(args):
    x, y = load_digits(return_X_y=True)
    x = (x / 16.0).astype(np.float32)
    x_train, x_val, y_train, y_val = train_test_split(x, y, test_size=0.25, random_state=0, stratify=y)
    train = TensorDataset(torch.from_numpy(x_train), torch.from_numpy(y_train))
    val = TensorDataset(torch.from_numpy(x_val), torch.from_numpy(y_val))
    return (
        DataLoader(train, batch_size=args.batch_size, shuffle=True, num_workers=args.num_workers),
        DataLoader(val, batch_size=256),
    )


def build_optimizer(args, params):
    if args.optimizer == "sgd":
        return torch.optim.SGD(params, lr=args.lr, momentum=0.9, weight_decay=args.weight_decay)
    if args.optimizer == "rmsprop":
        return torch.optim.RMSprop(params, lr=args.lr, weight_decay=args.weight_decay)
    return torch.optim.Adam(params, lr=args.lr, weight_decay=args.weight_decay)


def evaluate(model, loader, device):
    model.eval()
    loss, correct, n = 0.0, 0, 0
    with torch.no_grad():
        for x, y in loader:
            out = model(x.to(device))
            loss += F.cross_entropy(out, y.to(device), reduction="sum").item()
            correct += (out.argmax(1) == y.to(device)).sum().item()
            n += len(y)
    return loss / n, correct / n


def main():
    args = get_args()
    random.seed(args.seed)
    np.random.seed(args.seed)
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    train_loader, val_loader = make_loaders(args)
    model = nn.Sequential(
        nn.Linear(64, args.hidden_size), nn.ReLU(), nn.Dropout(args.dropout), nn.Linear(args.hidden_size, 10)
    ).to(args.device)
    optimizer = build_optimizer(args, model.parameters())
    for epoch in range(1, args.epochs + 1):
        model.train()
        total = 0.0
        for step, (x, y) in enumerate(train_loader):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x.to(args.device)), y.to(args.device))
            loss.backward()
            optimizer.step()
            total += loss.item()
            if step % args.log_interval == 0:
                print(f"epoch {epoch} step {step}: loss {loss.item():.4f}")
        train_loss = total / len(train_loader)
        val_loss, val_acc = evaluate(model, val_loader, args.device)
        print(
            f"Epoch {epoch:3d}/{args.epochs} | train loss {train_loss:.4f} | val loss {val_loss:.4f} | val acc {val_acc:.4f}"
        )
    torch.save(model.state_dict(), args.save)


if __name__ == "__main__":
    main()
