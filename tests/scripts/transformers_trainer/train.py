"""Fine-tune a tiny BERT to tell two kinds of sentences apart."""

import random

import numpy as np
import torch
from sklearn.metrics import accuracy_score, f1_score
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments, set_seed

GOOD = ["good", "great", "fine", "lovely", "superb"]
BAD = ["bad", "awful", "poor", "dull", "weak"]
FILL = ["the", "film", "was", "a", "very", "plot", "and", "cast", "quite"]
VOCAB = {w: i + 2 for i, w in enumerate(GOOD + BAD + FILL)}


class Sentences(torch.utils.data.Dataset):
    def __init__(self, n, seed):
        rng = random.Random(seed)
        self.rows = []
        for _ in range(n):
            label = rng.randint(0, 1)
            words = [rng.choice(FILL) for _ in range(6)] + [
                rng.choice(GOOD if label else BAD) for _ in range(2)
            ]
            if rng.random() < 0.1:
                label = 1 - label
            rng.shuffle(words)
            self.rows.append((torch.tensor([1] + [VOCAB[w] for w in words]), label))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        ids, label = self.rows[i]
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": label}


def compute_metrics(eval_pred):
    logits, labels = eval_pred
    predictions = np.argmax(logits, axis=-1)
    return {
        "accuracy": accuracy_score(labels, predictions),
        "f1": f1_score(labels, predictions),
    }


def main():
    torch.set_num_threads(1)
    set_seed(0)
    config = BertConfig(
        vocab_size=len(VOCAB) + 2,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
    )
    model = BertForSequenceClassification(config)

    training_args = TrainingArguments(
        output_dir="tiny-bert",
        eval_strategy="epoch",
        save_strategy="no",
        learning_rate=2e-3,
        per_device_train_batch_size=16,
        per_device_eval_batch_size=64,
        num_train_epochs=3,
        weight_decay=0.01,
        logging_steps=10,
        report_to="none",
        use_cpu=True,
    )

    trainer = Trainer(
        model=model,
        args=training_args,
        train_dataset=Sentences(240, seed=1),
        eval_dataset=Sentences(80, seed=2),
        compute_metrics=compute_metrics,
    )

    trainer.train()


if __name__ == "__main__":
    main()
