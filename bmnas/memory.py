"""Peak memory of this process or of its GPU."""

import resource
import sys

import torch


def peak_memory_mb(device: torch.device) -> float:
    """Largest memory so far in MB (1e6 bytes): allocated on a CUDA device, else the resident set of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
