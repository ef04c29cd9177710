"""Arrays by what they hold; docstrings give their shapes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]
Uint8Array = NDArray[np.uint8]
BoolArray = NDArray[np.bool_]
