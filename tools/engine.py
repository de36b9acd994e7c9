"""papermill's engine, which logs outputs that are replaced too: otherwise a progress bar is recorded as it started.

Tables, figures and listings are not logged: beside what is shown, their plain text says nothing.
"""

from typing import Any

from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.log import logger

NAME = "bmnas"


class _Client(PapermillNotebookClient):
    def process_message(self, msg: dict[str, Any], *rest: Any, **named: Any) -> Any:
        output = super().process_message(msg, *rest, **named)
        if msg["msg_type"] == "update_display_data" and self.log_output:
            self.log.info(msg["content"]["data"].get("text/plain", ""))
        return output

    def log_output_message(self, output: Any) -> None:
        if output.get("data", {}).keys() <= {"text/plain"}:
            super().log_output_message(output)


class Engine(NBClientEngine):
    """The same as papermill's own but for the client."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        start_timeout: float = 60,
        execution_timeout: float | None = None,
        **options: Any,
    ) -> Any:
        """Executes a notebook for `papermill.execute_notebook`; `options` are the client's, where they are given."""
        settings = {name: value for name, value in options.items() if value is not None and name != "input_path"}
        times = {"startup_timeout": start_timeout, "timeout": execution_timeout}
        return _Client(nb_man, kernel_name=kernel_name, log=logger, **times, **settings).execute()


papermill_engines.register(NAME, Engine)
