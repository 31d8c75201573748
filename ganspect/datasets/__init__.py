"""Data sets by name or path, their splits and fingerprints; used by train and by evaluate alike.

dataset = open_dataset("elpv:mono", split_seed=0)
training, held_out = split_held_out(dataset.train, share=0.2, seed=0)
"""

from ganspect.datasets.catalogue import open_dataset
from ganspect.datasets.samples import Dataset, Sample, Skipped, fingerprint, read_samples
from ganspect.datasets.splits import split_calibration, split_held_out

__all__ = [
    "Dataset",
    "Sample",
    "Skipped",
    "fingerprint",
    "open_dataset",
    "read_samples",
    "split_calibration",
    "split_held_out",
]
