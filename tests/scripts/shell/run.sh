#!/usr/bin/env bash
# Trains the forest on the wine data.
set -euo pipefail
cd "$(dirname "$0")"

PYTHON=${PYTHON:-python3}
N_ESTIMATORS=${N_ESTIMATORS:-50}
MAX_DEPTH=${MAX_DEPTH:-6}
MIN_SAMPLES_LEAF=${MIN_SAMPLES_LEAF:-1}
SEED=${SEED:-0}
OUT=${OUT:-$(mktemp -d)}

echo "writing to $OUT"
"$PYTHON" fit.py \
    --trees "$N_ESTIMATORS" \
    --depth "$MAX_DEPTH" \
    --leaf "$MIN_SAMPLES_LEAF" \
    --seed "$SEED" \
    --out "$OUT/forest.json"
