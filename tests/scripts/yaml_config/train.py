import argparse
import csv

import torch
import yaml
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--config", type=str, default="config.yaml", help="path to the config file")
args = parser.parse_args()

with open(args.config) as f:
    config = yaml.safe_load(f)

torch.manual_seed(config["seed"])
torch.set_num_threads(1)

# noisy sine
x = torch.linspace(-3, 3, 240).unsqueeze(1)
y = torch.sin(2 * x) + 0.1 * torch.randn_like(x)
val = torch.arange(len(x)) % 4 == 0
x_train, y_train, x_val, y_val = x[~val], y[~val], x[val], y[val]

layers = []
width = 1
for _ in range(config["model"]["num_layers"]):
    layers += [nn.Linear(width, config["model"]["hidden_size"]), nn.Tanh()]
    width = config["model"]["hidden_size"]
model = nn.Sequential(*layers, nn.Linear(width, 1))
optimizer = torch.optim.AdamW(
    model.parameters(),
    lr=float(config["optimizer"]["lr"]),
    weight_decay=config["optimizer"]["weight_decay"],
)

log = open(config["log_file"], "w", newline="")
writer = csv.writer(log)
writer.writerow(["epoch", "train_loss", "val_loss"])

for epoch in range(config["training"]["epochs"]):
    order = torch.randperm(len(x_train))
    total = 0.0
    for batch in order.split(config["training"]["batch_size"]):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x_train[batch]), y_train[batch])
        loss.backward()
        optimizer.step()
        total += loss.item() * len(batch)
    with torch.no_grad():
        val_loss = nn.functional.mse_loss(model(x_val), y_val).item()
    writer.writerow([epoch, total / len(x_train), val_loss])
    print(
        "Epoch {:>3d}: train loss = {:8.5f}, validation loss = {:8.5f}".format(
            epoch, total / len(x_train), val_loss
        )
    )
log.close()
