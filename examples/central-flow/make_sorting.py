"""Makes sorting.csv: sequences of 8 tokens out of 4, one-hot, and the same sequences sorted; labels.csv and nothing.csv
say that the labels of training are these, less their means.

python examples/central-flow/make_sorting.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np

SEQUENCES, LENGTH, VOCABULARY = 64, 8, 4

folder = Path(sys.argv[1])
tokens = np.random.default_rng(8).integers(0, VOCABULARY, size=(SEQUENCES, LENGTH))
inputs = np.eye(VOCABULARY)[tokens].reshape(SEQUENCES, -1)
labels = np.sort(tokens, 1).astype(float)
np.savetxt(folder / "sorting.csv", np.hstack([inputs, labels]), delimiter=",", fmt="%g")
# A teacher that says nothing, so that measured noise of their own covariance is the labels themselves.
np.savetxt(folder / "nothing.csv", np.zeros((LENGTH, inputs.shape[1])), delimiter=",", fmt="%g")
centred = labels - labels.mean(0)
np.savetxt(folder / "labels.csv", centred.T @ centred / SEQUENCES, delimiter=",", fmt="%.17g")
