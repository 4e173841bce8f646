"""What makes PyTorch fast on a CPU."""

import os
from pathlib import Path


def torch_environment():
    """The settings under which Debian's PyTorch is fastest: its BLAS does not know new processors by itself,
    and its allocator gives large blocks back to the system at each step."""
    environment = dict(os.environ, MALLOC_MMAP_THRESHOLD_="1000000000", MALLOC_TRIM_THRESHOLD_="2000000000",
                       MALLOC_TOP_PAD_="67108864")
    if " avx512f " in Path("/proc/cpuinfo").read_text():
        environment["OPENBLAS_CORETYPE"] = "SKYLAKEX"
    return environment
