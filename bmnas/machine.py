"""The machine: places, devices, threads, memory, and versions."""

import os
import platform
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from bmnas.errors import ConfigError

CPUINFO = Path("/proc/cpuinfo")
MEMINFO, OWN_GROUPS, GROUPS = Path("/proc/meminfo"), Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
LARGEST = 2**25 - 2**16  # bytes; just below what glibc always gives back
VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
VERSION_2 = ("memory.max", "memory.current", "inactive_file")


def repo_root() -> Path:
    """Returns the folder that holds `pyproject.toml` (the parent of the package)."""
    return Path(__file__).resolve().parent.parent


def runs_root() -> Path:
    """Returns the folder of all runs: `BMNAS_RUNS`, else `runs` in the project."""
    folder = os.environ.get("BMNAS_RUNS")
    return _absolute(folder) if folder else repo_root() / "runs"


def data_root() -> Path:
    """Returns the folder of all raw data: `BMNAS_DATA`, else `data` in the project."""
    folder = os.environ.get("BMNAS_DATA")
    return _absolute(folder) if folder else repo_root() / "data"


@cache
def _absolute(folder: str) -> Path:
    """Once for each folder: the working directory may change."""
    return Path(folder).expanduser().absolute()


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Returns the device of a name; "auto" is CUDA where there is one, else the CPU.

    Raises:
        ConfigError: torch does not know the name, or the machine has no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"device is {device!r}; expected 'auto', 'cpu', 'cuda' or 'cuda:<number>'") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device is {device!r}, but torch finds no CUDA device here; use 'auto' or 'cpu'")
    if place.type != "cpu":
        _check_device(place)
    return place


@cache
def _check_device(place: torch.device) -> None:
    """Computes one number on a device, which one that this machine or this torch lacks cannot."""
    try:
        torch.ones(1, device=place).sum().item()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition(". ")[0]
        raise ConfigError(f"device is '{place}', which does not work here ({reason}); use 'auto' or 'cpu'") from error


_chosen: ContextVar[int | None] = ContextVar("threads", default=None)


def check_threads(threads: object) -> None:
    """Makes sure that this can be a number of CPU threads; None leaves it open.

    Raises:
        ConfigError: it is no whole number of at least 1.
    """
    if threads is not None and (type(threads) is not int or threads < 1):
        raise ConfigError(f"threads is {threads!r}; expected a whole number of at least 1")


@contextmanager
def use_threads(threads: int | None = None) -> Iterator[None]:
    """Computes with this many CPU threads of torch inside; afterwards there are as many as before.

    Networks of this size are fastest on one thread, whatever the machine has: with more, threads mostly wait for each
    other. OpenMP keeps the number for each thread of the program, so it is set wherever heavy work starts, not once.

    Args:
        threads: how many; None takes those of the `use_threads` around this one, and one where there is none.
    """
    check_threads(threads)
    before = torch.get_num_threads()
    number = threads or _chosen.get() or 1
    token = _chosen.set(number)
    torch.set_num_threads(number)
    try:
        yield
    finally:
        _chosen.reset(token)
        torch.set_num_threads(before)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Computes with one thread of the BLAS of numpy and of scipy inside, which `use_threads` does not reach.

    Problems of a few numbers only wait for more, and their last bits depend on how many there are. It finds the
    libraries that are loaded, so import scipy before.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        yield


def keep_pages() -> None:
    """Makes glibc keep up to 64 MB of freed memory for the next step, instead of returning and clearing it each time.

    glibc learns from the largest block that was freed (mallopt(3), M_MMAP_THRESHOLD), and a search frees none that is
    large enough. Elsewhere, or where MALLOC_ variables are set, this does nothing.
    """
    torch.empty(LARGEST, dtype=torch.uint8)


def peak_memory_mb(device: torch.device) -> float:
    """Returns the largest memory so far in MB (1e6 bytes): allocated on CUDA, else the process's resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def free_memory(device: torch.device) -> int:
    """Bytes that may still be taken on a device.

    On a CUDA device what the driver and torch's own pool have left. Else what the system calls available (Linux; all
    of the machine's memory elsewhere), or what a limit of this process's control groups leaves, if that is less.
    """
    if device.type == "cuda":
        pooled = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + pooled
    return min([_available(), *_left_by_groups()])


def _available() -> int:
    try:
        lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _left_by_groups() -> Iterator[int]:
    """Yields what each control group with a limit leaves, from this process's own up to the root that it sees."""
    try:
        lines = OWN_GROUPS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top, names = (GROUPS / "memory", VERSION_1) if controllers else (GROUPS, VERSION_2)
        own = top / path.lstrip("/")
        for folder in (own, *own.parents):
            if folder.is_relative_to(top):
                yield from _left(folder, *names)


def _left(folder: Path, limit: str, used: str, files: str) -> Iterator[int]:
    """Yields what one group leaves: its limit without what it uses, but for files in memory that can be dropped."""
    try:
        most = (folder / limit).read_text().strip()
        used_bytes = int((folder / used).read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return
    if most != "max":
        yield max(0, int(most) - used_bytes + int(stat.get(files, 0)))


def processor() -> str:
    """The processor and the instructions that torch uses on it; equal runs on two kinds differ by rounding."""
    try:
        lines = dict(line.split(":", 1) for line in CPUINFO.read_text().splitlines() if ":" in line)
        fields = {name.strip(): value.strip() for name, value in lines.items()}
        named = [fields["model name"], *(f"{name} {fields[name]}" for name in ("cpu family", "model"))]
    except (OSError, KeyError):
        named = [platform.processor() or platform.machine()]
    return ", ".join([*named, torch.backends.cpu.get_cpu_capability()])


def optional_package(package: str, extra: str, purpose: str) -> Any:
    """Imports a package of an optional extra, which run.py does not install.

    Args:
        purpose: what needs it, for the message.

    Raises:
        ConfigError: it is not installed; gives the command.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise ConfigError(
            f"{purpose} needs the package {package.split('.')[0]!r}, which is not installed ({error}). "
            f"Install it with: pip install 'bmnas[{extra}]'"
        ) from error


def environment(threads: int) -> dict[str, Any]:
    """Versions, machine and CPU threads of torch, to be kept beside every result."""
    packages = ("bmnas", "torch", "numpy", "scikit-learn", "pandas", "networkx", "safetensors")
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processor": processor(),
        "cpus": os.cpu_count(),
        "threads": threads,
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "packages": {name: _version(name) for name in packages},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # used from a folder, not installed
        return None
