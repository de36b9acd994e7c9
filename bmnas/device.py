"""Which device computes, and with how many threads."""

import torch

from bmnas.errors import ConfigError


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """The device of a name; "auto" is CUDA where there is one, else the CPU.

    Raises:
        ConfigError: torch does not know the name, or the machine has no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"device is {device!r}; expected 'auto', 'cpu', 'cuda' or 'cuda:<number>'") from error
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device is {device!r}, but torch finds no CUDA device here; use 'auto' or 'cpu'")
    return found


def use_threads(threads: int | None) -> None:
    """Sets torch's CPU threads for the calling thread; None leaves them.

    OpenMP keeps this number for each thread of the program, so it is set wherever heavy work begins, not once.
    """
    if threads is not None:
        torch.set_num_threads(threads)
