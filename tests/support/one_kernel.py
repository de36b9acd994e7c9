"""Notebooks that papermill executes one after the other in one kernel: what they import is loaded once."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import papermill
from jupyter_client.manager import AsyncKernelManager

NO_BROWSER = ("BROWSER_PATH", "/nowhere")  # variable of kaleido's: figures without pictures, for a third of the time

Execute = Callable[[Path, Path, Mapping[str, Any]], None]


@contextmanager
def one_kernel(folder: Path) -> Iterator[Execute]:
    """Gives what executes a notebook with parameters and writes the executed one.

    The kernel starts in `folder` with the environment of that moment. After a notebook it forgets variables and cells.
    """
    manager = AsyncKernelManager(kernel_name="python3")
    settings: dict[str, Any] = {"kernel_name": "python3", "progress_bar": False, "cwd": folder, "km": manager}
    cell = nbformat.v4.new_code_cell("get_ipython().reset()")
    language = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    forget = nbformat.v4.new_notebook(cells=[cell], metadata=language)

    def execute(notebook: Path, target: Path, parameters: Mapping[str, Any]) -> None:
        papermill.execute_notebook(str(notebook), str(target), dict(parameters), **settings)
        papermill.execute_notebook(forget, None, **settings)

    try:
        yield execute
    finally:
        if manager.has_kernel:
            asyncio.run(manager.shutdown_kernel(now=True))
