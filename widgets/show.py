"""Shows a figure so that it lasts: interactive in JupyterLab, a picture elsewhere, files in the run folder."""

import asyncio
import atexit
import json
import threading
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import plotly.graph_objects as go
from IPython.display import display

from widgets import style

START_SECONDS = 60.0
IMAGE_SECONDS = 60.0
PNG_SCALE = 2
LEFT_OUT = "SVG and PNG were left out: {why}. The figures are still interactive in JupyterLab and in our HTML export."


class HasFolder(Protocol):
    """A run: what has a folder."""

    folder: Path


class Images:
    """One headless browser for all pictures of a kernel, in a thread of its own; starts on first use.

    Attributes:
        problem: why there are no pictures, "" as long as there are.
    """

    def __init__(self) -> None:
        self.problem = ""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._browser: Any = None
        self._ready = threading.Event()

    def start(self) -> None:
        """Starts the browser in the background and returns at once."""
        with self._lock:
            if self._loop is None and not self.problem:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._serve, args=(self._loop,), daemon=True, name="images").start()
                atexit.register(self.stop)

    def render(self, fig: go.Figure, kind: str) -> bytes | None:
        """The figure as "svg" or "png"; None, and a reason in `problem`, where there is no browser."""
        self.start()
        if not self.problem and not self._ready.wait(START_SECONDS):
            self.problem = f"the browser did not start within {START_SECONDS:.0f} s"
        if self.problem:
            return None
        options = {"format": kind, "scale": PNG_SCALE if kind == "png" else 1}
        try:
            return self._run(self._browser.calc_fig(fig.to_dict(), opts=options), IMAGE_SECONDS)
        except Exception as error:  # a browser that died must not cost the figure itself
            self.problem = f"the browser failed ({type(error).__name__}: {error})"
            return None

    def stop(self) -> None:
        """Ends the browser."""
        with self._lock:
            loop, self._loop = self._loop, None
            if loop is None:
                return
            if self._browser is not None:
                with suppress(Exception):  # the kernel is ending; a browser that is gone already is fine
                    asyncio.run_coroutine_threadsafe(self._browser.close(), loop).result(timeout=10)
            loop.call_soon_threadsafe(loop.stop)
            self._browser = None
            self._ready.clear()

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            import kaleido

            browser = kaleido.Kaleido(mathjax=False)  # no formula in our figures, and no request to a CDN
            loop.run_until_complete(browser.open())
            self._browser = browser
        except Exception as error:  # no kaleido, no Chromium, or one that does not start
            self.problem = f"no Chromium or Chrome was found or it did not start ({type(error).__name__})"
        self._ready.set()
        if self._browser is not None:
            loop.run_forever()

    def _run(self, work: Coroutine[Any, Any, bytes], seconds: float) -> bytes:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=seconds)


IMAGES = Images()
_said: set[str] = set()


def prepare_images() -> None:
    """Starts the browser that makes the pictures, in the background; call it early to save its two seconds."""
    IMAGES.start()


def bundle(fig: go.Figure, text: str = "[figure]") -> dict[str, Any]:
    """The figure for the saved file: plotly JSON, SVG where there is a browser, and a line of text."""
    content = json.loads(str(fig.to_json())) | {"config": style.CONFIG}
    data: dict[str, Any] = {"application/vnd.plotly.v1+json": content, "text/plain": text}
    svg = IMAGES.render(fig, "svg")
    if svg is not None:  # no image/png: JupyterLab's plotly renderer would show it instead of the figure
        data["image/svg+xml"] = svg.decode()
    return data


def save_figure(fig: go.Figure, name: str, run: HasFolder, svg: str | None = None) -> list[Path]:
    """Writes `figures/<name>.svg` and `.png` into the run folder; none where there is no browser."""
    folder = Path(run.folder) / "figures"
    pictures = {"svg": svg.encode() if svg else IMAGES.render(fig, "svg"), "png": IMAGES.render(fig, "png")}
    written = []
    for kind, content in pictures.items():
        if content is not None:
            folder.mkdir(parents=True, exist_ok=True)
            path, partial = folder / f"{name}.{kind}", folder / f"{name}.{kind}.partial"
            partial.write_bytes(content)
            written.append(partial.replace(path))
    return written


def static(fig: go.Figure, name: str, run: HasFolder | None = None, text: str = "") -> dict[str, Any]:
    """The bundle of a figure, which is also written into the run folder."""
    title = fig.to_dict()["layout"].get("title", {}).get("text", name)
    data = bundle(fig, text or f"[figure {name}: {title}]")
    if run is not None:
        save_figure(fig, name, run, data.get("image/svg+xml"))
    return data


def show(fig: go.Figure, name: str, run: HasFolder | None = None, text: str = "") -> None:
    """Displays a figure that stays: interactive in JupyterLab, a picture in nbconvert, files in the run folder.

    Args:
        fig: the figure.
        name: the file name in `figures/`, without ending.
        run: whose folder gets `figures/<name>.svg` and `.png`; None writes nothing.
        text: what a reader without pictures sees.
    """
    display(static(fig, name, run, text), raw=True)
    say_what_is_missing()


def say_what_is_missing() -> None:
    """Prints, once a notebook, why there are no pictures."""
    if IMAGES.problem and IMAGES.problem not in _said:
        _said.add(IMAGES.problem)
        print(LEFT_OUT.format(why=IMAGES.problem))
