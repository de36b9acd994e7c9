"""Memory that is freed stays with the process, for the next step."""

import torch

LARGEST = 2**25 - 2**16  # bytes; just below what glibc always gives back


def keep_pages() -> None:
    """Makes glibc keep up to 64 MB of freed memory, instead of returning it after each step and clearing it again.

    glibc learns from the largest block that was freed (mallopt(3), M_MMAP_THRESHOLD), and a search frees none that is
    large enough. Elsewhere, or where MALLOC_ variables are set, this does nothing.
    """
    torch.empty(LARGEST, dtype=torch.uint8)
