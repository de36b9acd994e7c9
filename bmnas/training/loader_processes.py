"""Processes that read samples for torch's DataLoader: how they start, and that they end."""

import multiprocessing
import os
import threading
from typing import Any


def loader_processes(workers: int) -> dict[str, Any]:
    """Returns the arguments of a DataLoader for so many processes; 0 reads in this one.

    They start in Python's own way, and end with the process that started them, also where that is killed.
    """
    if not workers:
        return {}
    return {"num_workers": workers, "multiprocessing_context": _start_method(), "worker_init_fn": _end_with_parent}


def _start_method() -> str:
    """How processes are started: Python's own default, also within joblib's processes, which have another one."""
    methods = multiprocessing.get_all_start_methods()  # the default comes first
    current = multiprocessing.get_start_method()
    return current if current in methods and current != "loky" else methods[0]


def _end_with_parent(_worker: int) -> None:
    """Ends this process when the one that started it is gone.

    torch's own watch looks for a new parent. A fork server stays the parent of its processes, and stays for them.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
