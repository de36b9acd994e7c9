"""What people see of an error: one clear sentence in terminals and notebooks, and the traceback when asked."""

import subprocess
import sys

import pytest
from jupyter_client.manager import start_new_kernel

from bmnas.errors import report_briefly

FAILING = "import bmnas; bmnas.TASKS['mfaet']"
INTERRUPTED = """
import threading, time
from widgets.live.cell import live, stop_requested
running = threading.Event()
def work():
    print("at work")
    while not stop_requested():
        time.sleep(0.01)
await live(work)
"""

PLAIN_CELL = """
import time
from widgets import check_parameters
check_parameters(In, globals())
print("at work")
time.sleep(60)
"""


@pytest.fixture(scope="module")
def kernel():
    manager, client = start_new_kernel()
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def executed(kernel, source, when_printed=lambda: None):
    """What a cell shows: the messages of its outputs, in order."""
    shown = []

    def hook(message):
        shown.append(message)
        if message["msg_type"] == "stream":
            when_printed()

    kernel[1].execute_interactive(source, output_hook=hook, timeout=120, store_history=True)
    return shown


def errors(shown):
    return [message["content"] for message in shown if message["msg_type"] == "error"]


def test_a_notebook_shows_the_sentence_and_then_the_traceback_when_asked(kernel):
    (error,) = errors(executed(kernel, FAILING))
    assert error["ename"] == "UnknownNameError" and "mfeat" in error["evalue"]
    assert len(error["traceback"]) == 2 and "mfeat" in error["traceback"][0]
    assert "Traceback" not in "".join(error["traceback"])
    (again,) = errors(executed(kernel, "%tb"))
    assert "Traceback" in "".join(again["traceback"]) and "registry.py" in "".join(again["traceback"])


def test_errors_that_are_not_ours_look_as_ever(kernel):
    (error,) = errors(executed(kernel, "1 / 0"))
    assert len(error["traceback"]) > 2 and "ZeroDivisionError" in error["traceback"][-1]


@pytest.mark.parametrize("source", [INTERRUPTED, PLAIN_CELL])
def test_an_interrupt_shows_one_line(kernel, source):
    (error,) = errors(executed(kernel, source, when_printed=kernel[0].interrupt_kernel))
    assert len(error["traceback"]) == 1 and "resume" in error["traceback"][0]
    assert "asyncio" not in error["traceback"][0]


def test_what_pictures_lack_is_said_at_the_head_of_a_notebook(kernel):
    first = executed(kernel, "from widgets.static import display as d; d.prepare_images()")
    twice = "d.say_what_is_missing(); d.say_what_is_missing()"
    later = executed(kernel, f"d.IMAGES.problem = 'there is no browser'; {twice}")
    (place,) = [message["content"]["transient"]["display_id"] for message in first if "display" in message["msg_type"]]
    (update,) = [message for message in later if message["msg_type"] != "status"][-1:]
    assert update["msg_type"] == "update_display_data"
    assert update["content"]["transient"]["display_id"] == place
    shown = update["content"]["data"]
    assert "there is no browser" in shown["text/plain"] and "there is no browser" in shown["text/html"]
    assert "<style>" in shown["text/html"]  # what fits pictures and printed lines to the page stays
    assert not [message for message in later if message["msg_type"] == "stream"]


def test_a_terminal_shows_the_sentence_alone():
    done = subprocess.run([sys.executable, "-c", FAILING], capture_output=True, text=True)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 2
    assert done.stderr.startswith("UnknownNameError: ")
    assert "mfeat" in done.stderr and "BMNAS_TRACEBACK" in done.stderr


@pytest.mark.parametrize(("source", "asked"), [(FAILING, "1"), ("1 / 0", "")])
def test_a_terminal_shows_tracebacks_when_asked_and_of_other_errors(source, asked, capsys, monkeypatch):
    monkeypatch.setenv("BMNAS_TRACEBACK", asked)
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    report_briefly()  # which `import bmnas` calls
    try:
        exec(source, {})
    except Exception:
        sys.excepthook(*sys.exc_info())
    assert "Traceback" in capsys.readouterr().err
