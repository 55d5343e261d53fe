"""The commands ``bertmobile-export`` and ``bertmobile-parity``."""

import os

# Texts run side by side, a core for each; numpy's matrix products would each take all cores. Read by
# numpy when it is imported, which commands do late.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
