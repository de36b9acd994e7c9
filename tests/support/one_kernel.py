"""Notebooks that papermill executes one after the other in one kernel: what they import is loaded once."""

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import papermill
from jupyter_client.manager import AsyncKernelManager

NO_BROWSER = {"BROWSER_PATH": "/nowhere"}  # variable of kaleido's: figures without pictures, for a third of the time

Execute = Callable[[Path, Path, Mapping[str, Any]], None]

# Another folder, other settings of ours, and neither variables nor cells of the notebook before.
BEGIN = """\
import json, os
os.chdir({folder!r})
for name in [name for name in os.environ if name.startswith("BMNAS_")]:
    del os.environ[name]
os.environ.update(json.loads({environment!r}))
get_ipython().reset()
"""


class OneKernelManager(AsyncKernelManager):
    """Remembers the clients of its kernel: papermill leaves those of a kernel that is not its own open."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.clients: list[Any] = []

    def client(self, **settings: Any) -> Any:
        self.clients.append(super().client(**settings))
        return self.clients[-1]

    def close_clients(self) -> None:
        while self.clients:
            self.clients.pop().stop_channels()


@contextmanager
def one_kernel(variables: Mapping[str, str] | None = None) -> Iterator[Execute]:
    """Gives what executes a notebook with parameters and writes the executed one.

    A notebook works in the folder of its executed one, in the environment of the moment at which it is executed.

    Args:
        variables: of the environment, beside those of this process.
    """
    manager = OneKernelManager(kernel_name="python3")
    settings: dict[str, Any] = {"kernel_name": "python3", "progress_bar": False, "km": manager}

    def execute(notebook: Path, target: Path, parameters: Mapping[str, Any]) -> None:
        try:
            papermill.execute_notebook(beginning(target.parent, {**os.environ, **(variables or {})}), None, **settings)
            papermill.execute_notebook(str(notebook), str(target), dict(parameters), **settings)
        finally:
            manager.close_clients()

    try:
        yield execute
    finally:
        if manager.has_kernel:
            asyncio.run(manager.shutdown_kernel(now=True))


def beginning(folder: Path, environment: Mapping[str, str]) -> nbformat.NotebookNode:
    """What a kernel executes before a notebook."""
    source = BEGIN.format(folder=str(folder), environment=json.dumps(environment))
    language = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)], metadata=language)
