"""Learns a painter's style with a variational autoencoder and transfers it to video."""

import os

# NumPy's threads wait for each other in a loop: beside other busy programs two take several times
# as long for an eigenvalue problem as one (`benchmarks/bench_evaluation.py`).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
