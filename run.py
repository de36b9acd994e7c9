#!/usr/bin/env python3
"""One command from a fresh checkout: makes .venv beside this file, then passes the command on to it.

    python3 run.py                                  all notebooks on the default data set
    python3 run.py --dataset avmnist -p epochs 5    the same on other data, with notebook parameters
    python3 run.py notebook 02 -p dataset ntu       some of the notebooks
    python3 run.py -p name value -p name value ...  any parameters, as in: -p epochs 20 -p primitives Sum,Attention
    python3 run.py --at-once 1                      the notebooks after the search one by one, not side by side
    python3 run.py lab                              copies of the notebooks in JupyterLab; further arguments go to it
    python3 run.py app                              finished runs and searches in the browser, without code (Voila)
    python3 run.py app 03                           one of the notebooks in the same way; it is executed first
    python3 run.py docs                             the documentation as pages in site/; --serve shows it
    python3 run.py test                             style, types, documentation, all tests; with arguments: pytest alone
    python3 run.py bench                            times and memory; see docs/benchmarks.md, or bench --help
    python3 run.py truth mfeat                      trains all networks of a small space, for bmnas.truth
    python3 run.py sweep mfeat --seeds 0-9          a grid of searches, many at once; see docs/many_runs.md
    python3 run.py setup                            only the environment

Only the standard library is used, here and in tools/children.py, and only syntax that an old Python reads, so that it
can say what it needs.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tools.children import end_with_parent, foreground

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "bmnas-setup.json"
LOG = VENV / "bmnas-setup.log"
OLDEST_PYTHON = (3, 11)
COMMANDS = {
    "run": "tools/runner.py",
    "notebook": "tools/runner.py",
    "lab": "tools/lab.py",
    "app": "tools/app_server.py",
    "docs": "tools/docs_site.py",
    "test": "tools/checks.py",
    "bench": "benchmarks/bench.py",
    "truth": "tools/truth.py",
    "sweep": "tools/sweep.py",
    "setup": None,
}
"""Command -> the file that the environment's Python runs, with the remaining arguments."""
ONE_THREAD = ("test", "bench", "truth", "sweep")  # commands for which THREADS are 1 unless they are set
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # of torch; of numpy and scipy, which the first does not reach
FOREIGN_SETTINGS = ("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_PREFIX")
PIP_FILE = re.compile(r"\s*((Downloading|Using cached|Processing) \S+).*(\(\d[\d.]* MB\))")


class SetupError(Exception):
    """The environment cannot be made; the message says why and what to do."""


def say(text):
    """Prints at once, so that a log shows what is going on."""
    print(text, flush=True)


def python_problem(version=sys.version_info, executable=sys.executable):
    """Returns what is wrong with this Python, or None."""
    if tuple(version[:2]) >= OLDEST_PYTHON:
        return None
    have, need = (".".join(map(str, v[:2])) for v in (version, OLDEST_PYTHON))
    return (
        f"bmnas needs Python {need} or newer; {executable} is Python {have}. "
        f"Install a newer one and start with it, for example: python{need} run.py"
    )


def venv_python():
    """Returns the interpreter of the environment."""
    return str(VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def environment(**defaults):
    """Returns this process's variables over some defaults, without what would let foreign packages in."""
    own = {name: value for name, value in os.environ.items() if name not in FOREIGN_SETTINGS}
    return {**defaults, **own, "PYTHONNOUSERSITE": "1", "JUPYTER_PREFER_ENV_PATH": "1"}


def stamp():
    """Returns what a finished set-up was made from; another stamp means another set-up."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    return {"from": digest.hexdigest(), "python": sys.version.split()[0], "root": str(ROOT)}


def finished_stamp():
    """Reads the stamp of the last finished set-up, or None."""
    try:
        return json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def health():
    """Returns "well", or what is wrong with the packages; None if the interpreter does not start."""
    command = [venv_python(), "-I", str(ROOT / "tools/health.py"), str(ROOT)]
    try:
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def what_to_do():
    """Decides on (action, reason): "nothing", "install" into the existing environment, or "make" a new one."""
    if not VENV.exists():
        return "make", "first start"
    if not (VENV / "pyvenv.cfg").is_file() and any(VENV.iterdir()):
        raise SetupError(f"{VENV} is not a virtual environment; move it away and start again")
    state = health()
    last = finished_stamp()
    now = stamp()
    if state is None:
        return "make", "its Python does not start"
    if last is not None and (last.get("python"), last.get("root")) != (now["python"], now["root"]):
        return "make", f"it was made by Python {last.get('python')} in {last.get('root')}"
    if last is None:
        return "install", "the last set-up did not come to its end"
    if last != now:
        return "install", "pyproject.toml or constraints.txt has changed"
    return ("nothing", "") if state == "well" else ("install", state)


def make_venv():
    """Makes an empty virtual environment in place of an existing one."""
    if VENV.exists():
        shutil.rmtree(VENV)
    done = subprocess.run([sys.executable, "-m", "venv", str(VENV)], env=environment(), capture_output=True, text=True)
    if done.returncode:
        raise SetupError(
            f"`{sys.executable} -m venv` failed:\n{(done.stdout + done.stderr).strip()}\n"
            "On Debian and Ubuntu the package python3-venv holds what is missing: apt-get install python3-venv"
        )


def pip_news(line):
    """Returns what a line of pip's output tells a reader; "" where that is nothing."""
    if line.startswith("Installing collected"):
        return "Installing the packages (some minutes)"
    if line.startswith("WARNING: Retrying"):
        return "A package index does not answer; pip tries again"
    file = PIP_FILE.match(line)
    return file[1] + " " + file[3] if file else ""


def pip_install():
    """Installs this checkout with the pinned versions, and reports what pip is doing."""
    STAMP.unlink(missing_ok=True)
    command = [venv_python(), "-m", "pip", "install", "--no-input", "--progress-bar", "off"]
    command += ["-c", "constraints.txt", "-e", ".[lab,test]"]
    pip = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=end_with_parent(),
    )
    lines = []
    last = ""
    with pip, open(LOG, "w", encoding="utf-8") as log:
        for line in pip.stdout or ():
            log.write(line)
            lines.append(line.rstrip())
            news = pip_news(line)
            if news and news != last:
                say("  " + news)
                last = news
    if pip.returncode:
        raise SetupError("\n".join(lines[-30:]) + f"\npip failed; its whole output is in {LOG}")
    STAMP.write_text(json.dumps(stamp()), encoding="utf-8")


@contextlib.contextmanager
def alone():
    """Lets one process at a time set up this checkout, on systems that have such locks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def set_up():
    """Makes, repairs or leaves the environment, and says which and why."""
    with alone():
        action, reason = what_to_do()
        if action == "nothing":
            return
        say(f"Setting up {VENV} ({reason}); 2 GB or more, and some minutes the first time")
        if sys.platform == "linux" and not shutil.which("nvidia-smi") and "PIP_EXTRA_INDEX_URL" not in os.environ:
            say("  no NVIDIA driver found: torch's smaller CPU build comes with")
            say("  PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu python3 run.py")
        started = time.monotonic()
        if action == "make":
            make_venv()
        pip_install()
        if health() != "well":
            raise SetupError(f"the environment is still not as it should be: {health()}; see {LOG}")
        say(f"Set up in {time.monotonic() - started:.0f} s")


def main(arguments):
    """Runs a command -> its exit status."""
    if "-h" in arguments[:1] or "--help" in arguments[:1]:
        say(__doc__)
        return 0
    problem = python_problem()
    if problem:
        say(problem)
        return 2
    command = "run"
    others = arguments
    if arguments and not arguments[0].startswith("-"):
        command = arguments[0]
        others = arguments[1:]
    if command not in COMMANDS:
        near = sorted(COMMANDS, key=lambda known: -difflib.SequenceMatcher(None, command, known).ratio())
        say(f"unknown command {command!r}; known (nearest first): {', '.join(near)}. `python3 run.py --help` explains")
        return 2
    try:
        set_up()
        if COMMANDS[command] is None:
            say(f"{VENV} is ready")
            return 0
        env = environment(**dict.fromkeys(THREADS, "1")) if command in ONE_THREAD else environment()
        return foreground([venv_python(), str(ROOT / COMMANDS[command]), *others], env)
    except SetupError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("\nstopped; the same command resumes")
        return 130


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BrokenPipeError:  # the reader has had enough, as in `run.py --help | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)  # as of a command that SIGPIPE ends
