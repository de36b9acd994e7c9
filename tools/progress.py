"""Lines about a notebook at work: which cell it is in, and what that cell printed last."""

import logging
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

TICK = 10.0  # seconds between two lines
BAR = re.compile(r"\|[ #\u2580-\u259f]*\|")  # the drawn part of a tqdm bar


def say(text: str) -> None:
    """Prints at once, so that a log shows what is going on; a whole line, whoever else prints."""
    print(f"{text}\n", end="", flush=True)


class Progress(logging.Handler):
    """Where a notebook is, read from what papermill logs: the cell, and the last line that the cell printed.

    It hears the thread that made it; another notebook may be at work in another one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.thread = threading.get_ident()
        self.addFilter(lambda record: record.thread == self.thread)
        self.cell = 0
        self.line = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if begun := re.match(r"Executing Cell (\d+)-", text):
            self.cell = int(begun[1])
            self.line = ""
        elif not re.match(r"Ending Cell|Executing notebook|Input Notebook|Output Notebook|\[figure", text):
            printed = [line.strip() for line in re.split(r"[\r\n]+", BAR.sub(" ", text)) if re.search(r"\w", line)]
            self.line = printed[-1] if printed else self.line


@contextmanager
def telling(label: str, cells: int) -> Iterator[Progress]:
    """Prints a line every TICK seconds about the notebook at work in this thread."""
    progress = Progress()
    stop = threading.Event()
    started = time.monotonic()
    logger = logging.getLogger("papermill")
    logger.setLevel(logging.INFO)
    logger.propagate = False  # what it logs is told here, and nowhere else
    logger.addHandler(progress)

    def tell() -> None:
        while not stop.wait(TICK):
            passed = f"{time.monotonic() - started:4.0f} s"
            say(f"  {label}  {passed}  cell {progress.cell} of {cells}  {progress.line[:90]}".rstrip())

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield progress
    finally:
        stop.set()
        teller.join()
        logger.removeHandler(progress)
