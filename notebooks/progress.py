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
    """Prints at once, so that a log shows what is going on."""
    print(text, flush=True)


class Progress(logging.Handler):
    """Where a notebook is, read from what papermill logs: the cell, and the last line that the cell printed."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = 0
        self.line = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if begun := re.match(r"Executing Cell (\d+)-", text):
            self.cell, self.line = int(begun[1]), ""
        elif not re.match(r"Ending Cell|Executing notebook|Input Notebook|Output Notebook|\[figure", text):
            printed = [line.strip() for line in re.split(r"[\r\n]+", BAR.sub(" ", text)) if line.strip()]
            self.line = printed[-1] if printed else self.line


@contextmanager
def telling(label: str, cells: int) -> Iterator[Progress]:
    """Prints a line every TICK seconds about the notebook at work."""
    progress, stop, started = Progress(), threading.Event(), time.monotonic()
    logger = logging.getLogger("papermill")
    before = (logger.level, logger.propagate)
    logger.setLevel(logging.INFO)
    logger.propagate = False
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
        logger.setLevel(before[0])
        logger.propagate = before[1]
