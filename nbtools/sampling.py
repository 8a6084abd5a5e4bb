"""What this process and its machine do at the moment, as numbers by name.

Read from the operating system: a sample costs a tenth of a millisecond. Of the GPU what
torch knows, if it is in use.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

MB = 1 << 20


def sample() -> dict[str, float]:
    """CPU seconds of this process, its memory in MB, the machine's load and free memory,
    and the memory that torch holds on each GPU.
    """
    times = os.times()
    found = {"cpu_seconds": times.user + times.system}
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        found["memory_mb"] = pages * os.sysconf("SC_PAGE_SIZE") / MB
    with suppress(OSError, AttributeError):
        found["load"] = os.getloadavg()[0]
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(line for line in lines if line.startswith("MemAvailable:"))
        found["free_memory_mb"] = int(free.split()[1]) / 1024
    return {**found, **_gpus()}


def _gpus() -> dict[str, float]:
    torch: Any = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    if cuda is None or not cuda.is_initialized():
        return {}
    found = {}
    for number in range(cuda.device_count()):
        found[f"gpu{number}_memory_mb"] = cuda.memory_allocated(number) / MB
        with suppress(Exception):  # needs pynvml, and a driver that answers
            found[f"gpu{number}_percent"] = float(cuda.utilization(number))
    return found
