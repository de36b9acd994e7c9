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


class use_threads:  # noqa: N801 (used as a function is)
    """Sets torch's CPU threads for the calling thread; None leaves them. As a context it sets them back at its end.

    OpenMP keeps this number for each thread of the program, so it is set wherever heavy work begins, not once.
    """

    def __init__(self, threads: int | None) -> None:
        self.before = torch.get_num_threads()
        if threads is not None:
            torch.set_num_threads(threads)

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_error: object) -> None:
        torch.set_num_threads(self.before)
