"""Shows a figure so that it lasts: interactive in JupyterLab, a picture elsewhere, files in the run folder.

The pictures come from a headless browser in a thread of ours, not from kaleido's own server (`start_sync_server`): that
one's thread ends where no Chromium is found or where it does not open, and the next call then waits for ever.
"""

import asyncio
import atexit
import json
import re
import threading
from collections.abc import Coroutine
from contextlib import suppress
from html import escape, unescape
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import plotly.graph_objects as go
from IPython import get_ipython
from IPython.display import DisplayHandle, display

from bmnas.storage.whole_files import whole
from widgets import style

START_SECONDS = 60.0
IMAGE_SECONDS = 60.0
STOP_SECONDS = 10.0
TRIES = 3  # browsers, before the pictures are left out
PNG_SCALE = 2
TAG = re.compile(r"<[^>]+>")  # of plotly's titles
# What is wider than a page of JupyterLab shrinks to it, and printed lines break between words. Plotly reads a figure's
# height from the page when its width changes; with a border box it counts a passing scrollbar in, and grows each time.
FITTING = """<style>
.jp-OutputArea-output.jp-RenderedPlotly { box-sizing: content-box }
.jp-OutputArea-output.jp-RenderedSVG img { max-width: 100%; height: auto }
.jp-OutputArea-output.jp-RenderedText pre { word-break: normal; overflow-wrap: anywhere }
</style>"""
LEFT_OUT = "SVG and PNG were left out: {why}. The figures are still interactive in JupyterLab and in our HTML export."


@runtime_checkable
class HasFolder(Protocol):
    """A run: what has a folder."""

    folder: Path


class _Browser:
    """Runs one headless browser in a thread of its own, which opens it at once.

    Attributes:
        missing: there is no kaleido or no Chromium; another try would end the same.
    """

    def __init__(self) -> None:
        self.missing = False
        self._error: Exception | None = None
        self._kaleido: Any = None
        self._opened = threading.Event()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._serve, daemon=True, name="images").start()

    def render(self, fig: go.Figure, options: dict[str, Any]) -> bytes:
        """Makes the picture.

        Raises:
            Exception: of whatever kind the browser ended with; TimeoutError where it did not answer.
        """
        if not self._opened.wait(START_SECONDS):
            raise TimeoutError(f"it did not start within {START_SECONDS:.0f} s")
        if self._error is not None:
            raise self._error
        return self._run(self._kaleido.calc_fig(fig.to_dict(), opts=options), IMAGE_SECONDS)

    def stop(self) -> None:
        """Ends the browser, also one that does not answer."""
        if self._loop.is_closed():
            return
        if self._kaleido is not None:
            with suppress(Exception):  # the kernel is ending; a browser that is gone already is fine
                self._run(self._kaleido.close(), STOP_SECONDS)
        with suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.create_task(self._open())
        self._loop.run_forever()
        self._loop.close()

    async def _open(self) -> None:
        try:
            import kaleido

            self._kaleido = kaleido.Kaleido(mathjax=False)  # no formula in our figures, and no request to a CDN
        except Exception as error:  # kaleido's own for a Chromium that is not found, or no kaleido
            self.missing = True
            self._error = error
        else:
            try:
                await self._kaleido.open()
            except Exception as error:  # the next render raises it
                self._error = error
        self._opened.set()

    def _run(self, work: Coroutine[Any, Any, Any], seconds: float) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=seconds)


class Images:
    """The browser for all pictures of a kernel; starts on first use, and again where it fails.

    A Chromium that starts while the machine is busy may fail once and work a moment later.

    Attributes:
        problem: why there are no pictures, "" as long as there are.
    """

    def __init__(self) -> None:
        self.problem = ""
        self._lock = threading.Lock()
        self._browser: _Browser | None = None
        atexit.register(self.stop)

    def start(self) -> _Browser | None:
        """Starts the browser in the background and returns at once; None where there can be none."""
        with self._lock:
            if self._browser is None and not self.problem:
                self._browser = _Browser()
            return self._browser

    def render(self, fig: go.Figure, kind: str) -> bytes | None:
        """Makes the figure as "svg" or "png"; None, and a reason in `problem`, where there is no browser."""
        options = {"format": kind, "scale": PNG_SCALE if kind == "png" else 1, "width": fig.layout.width or style.WIDTH}
        for left in reversed(range(TRIES)):
            browser = self.start()
            if browser is None:
                break
            try:
                return browser.render(fig, options)
            except Exception as error:  # a browser that died must not cost the figure itself
                if browser.missing:
                    self.problem = f"no Chromium or Chrome was found ({type(error).__name__})"
                elif not left:
                    self.problem = f"the browser failed ({type(error).__name__}: {error})"
                self._discard(browser)
        return None

    def stop(self) -> None:
        """Ends the browser."""
        if self._browser is not None:
            self._discard(self._browser)

    def _discard(self, browser: _Browser) -> None:
        with self._lock:
            if self._browser is browser:
                self._browser = None
        browser.stop()


IMAGES = Images()
_said: set[str] = set()
_places: list[DisplayHandle] = []  # the last is where a notebook says why there are no pictures


def prepare_images() -> None:
    """Starts the browser that makes the pictures, in the background; call it early to save its two seconds.

    Where there is none, the reason appears here, at the head of a notebook, and not among its results. In JupyterLab,
    pictures and printed lines fit the page from here on.
    """
    IMAGES.start()
    if get_ipython() is not None:
        _places.append(DisplayHandle())
        _places[-1].display({"text/html": FITTING, "text/plain": ""}, raw=True)


def bundle(fig: go.Figure, text: str = "[figure]") -> dict[str, Any]:
    """Makes the figure for the saved file: plotly JSON, SVG where there is a browser, and a line of text."""
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
            with whole(folder / f"{name}.{kind}") as partial:
                partial.write_bytes(content)
            written.append(folder / f"{name}.{kind}")
    return written


def static(fig: go.Figure, name: str, run: HasFolder | None = None, text: str = "") -> dict[str, Any]:
    """Makes the bundle of a figure, which is also written into the run folder."""
    title = fig.to_dict()["layout"].get("title", {}).get("text", name)
    data = bundle(fig, text or f"[figure {name}: {unescape(TAG.sub(' ', title))}]")
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
    """Says, once a notebook, why there are no pictures: where `prepare_images` was called, or here."""
    if IMAGES.problem and IMAGES.problem not in _said:
        _said.add(IMAGES.problem)
        words = LEFT_OUT.format(why=IMAGES.problem)
        if _places:
            _places[-1].update({"text/html": FITTING + escape(words), "text/plain": words}, raw=True)
        else:
            print(words)
