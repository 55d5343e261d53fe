"""Turns a BERT checkpoint into bundles for phones, and says whether they are still the same model."""

import os

# PyTorch's products round differently from run to run unless MKL is told not to, and two exports of one
# checkpoint shall be the same file. It reads this when it is first used.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
