#!/usr/bin/env python3
"""One command from a fresh checkout: sets up .venv beside this file, then runs the notebooks, the tests or JupyterLab.

    python3 run.py                                  all five notebooks on the embedded data set
    python3 run.py --dataset avmnist -p epochs 5    the same on other data, with notebook parameters
    python3 run.py notebook 02 -p dataset ntu       some of the notebooks
    python3 run.py -p name value -p name value ...  any parameters, as in: -p epochs 20 -p primitives Sum,Attention
    python3 run.py --at-once 1                      03 to 05 one after the other instead of side by side
    python3 run.py lab                              JupyterLab; further arguments go to it
    python3 run.py app                              finished runs and searches in the browser, without code (Voila)
    python3 run.py app 03                           one of the notebooks in the same way; it is executed first
    python3 run.py test                             style, types, all tests; with arguments: pytest alone, with them
    python3 run.py bench                            times and memory; see docs/benchmarks.md, or bench --help
    python3 run.py setup                            only the environment

Only the standard library is used, and only syntax that an old Python reads, so that it can say what it needs.
"""

from __future__ import annotations

import contextlib
import ctypes
import difflib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
APP = ROOT / "tools" / "app"
VENV = ROOT / ".venv"
STAMP = VENV / "bmnas-setup.json"
LOG = "bmnas-setup.log"
OLDEST_PYTHON = (3, 11)
MOST_AT_ONCE = 4  # processes of tests; a few tests take 2 GB
TOLD_PIP_LINES = re.compile(r"\s*((Downloading|Using cached|Processing) \S+).*(\(\d[\d.]* MB\))|(Installing collected)")
STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
PR_SET_PDEATHSIG = 1  # of prctl(2)
FOREIGN_SETTINGS = ("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_PREFIX")


class SetupError(Exception):
    """The environment cannot be made; the message says why and what to do."""


def say(text):
    """Prints at once, so that a log shows what is going on."""
    print(text, flush=True)


def python_problem(version=sys.version_info, executable=sys.executable):
    """What is wrong with this Python, or None."""
    if tuple(version[:2]) >= OLDEST_PYTHON:
        return None
    have, need = (".".join(map(str, v[:2])) for v in (version, OLDEST_PYTHON))
    return (
        f"bmnas needs Python {need} or newer; {executable} is Python {have}. "
        f"Install a newer one and start with it, for example: python{need} run.py"
    )


def venv_python(venv=VENV):
    """The interpreter of a virtual environment."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def environment(**more):
    """This process's variables without what would let foreign packages in."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN_SETTINGS}
    return {**kept, "PYTHONNOUSERSITE": "1", "JUPYTER_PREFER_ENV_PATH": "1", **more}


def stamp(root=ROOT):
    """What a finished set-up was made from; another stamp means another set-up."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((root / name).read_bytes())
    return {"from": digest.hexdigest(), "python": sys.version.split()[0], "root": str(root)}


def pins(root=ROOT):
    """Distribution -> version, from constraints.txt."""
    lines = (line.split("#")[0].strip() for line in (root / "constraints.txt").read_text(encoding="utf-8").split("\n"))
    return dict(line.split("==") for line in lines if line)


HEALTH = """
import importlib.metadata as m, importlib.util as u, json, sys
pins, root = json.loads(sys.argv[1]), sys.argv[2]
def installed(name):
    try: return m.version(name).split("+")[0]
    except m.PackageNotFoundError: return "not installed"
wrong = [f"{name}: {installed(name)}, not {pin}" for name, pin in pins.items() if installed(name) != pin]
spec = u.find_spec("bmnas")
if spec is None or not spec.origin.startswith(root): wrong.append("bmnas: not this checkout")
print("; ".join(wrong) or "well")
"""


def health(venv=VENV, root=ROOT):
    """ "well", or what is wrong with the packages; None where the interpreter itself does not start."""
    command = [str(venv_python(venv)), "-I", "-c", HEALTH, json.dumps(pins(root)), str(root)]
    try:
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def finished_stamp(path=STAMP):
    """The stamp of the last set-up that came to its end, or None."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def what_to_do():
    """(action, reason): "nothing", "install" into the environment there is, or "make" it anew."""
    if not VENV.exists():
        return "make", "first start"
    if not (VENV / "pyvenv.cfg").is_file() and any(VENV.iterdir()):
        raise SetupError(f"{VENV} is not a virtual environment; move it away and start again")
    state, last, now = health(), finished_stamp(), stamp()
    if state is None:
        return "make", "its Python does not start"
    if last is not None and (last.get("python"), last.get("root")) != (now["python"], now["root"]):
        return "make", f"it was made by Python {last.get('python')} in {last.get('root')}"
    if last is None:
        return "install", "the last set-up did not come to its end"
    if last != now:
        return "install", "pyproject.toml or constraints.txt has changed"
    if state != "well":
        return "install", state
    return "nothing", ""


def make_venv():
    """An empty virtual environment in place of whatever was there."""
    if VENV.exists():
        shutil.rmtree(VENV)
    done = subprocess.run([sys.executable, "-m", "venv", str(VENV)], env=environment(), capture_output=True, text=True)
    if done.returncode:
        raise SetupError(
            f"`{sys.executable} -m venv` failed:\n{(done.stdout + done.stderr).strip()}\n"
            "On Debian and Ubuntu the package python3-venv holds what is missing: apt-get install python3-venv"
        )


def pip_install():
    """Installs this checkout with the pinned versions; tells what pip is at, and all of it where it fails."""
    STAMP.unlink(missing_ok=True)
    command = [str(venv_python()), "-m", "pip", "install", "--no-input", "--progress-bar", "off"]
    command += ["-c", "constraints.txt", "-e", ".[lab,test]"]
    lines = []
    pip = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=end_with_parent(),
    )
    with pip, open(VENV / LOG, "w", encoding="utf-8") as log:
        for line in pip.stdout or ():
            log.write(line)
            lines.append(line.rstrip())
            told = TOLD_PIP_LINES.match(line)
            if told:
                say(f"  {told[1] or told[4] + ' packages'} {told[3] or ''}".rstrip())
    if pip.returncode:
        raise SetupError("\n".join(lines[-30:]) + f"\npip failed; all it said is in {VENV / LOG}")
    STAMP.write_text(json.dumps(stamp()), encoding="utf-8")


@contextlib.contextmanager
def alone():
    """Lets one process at a time set up this checkout (where the system has such locks)."""
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
    """Makes, mends or keeps the environment, and says which and why."""
    with alone():
        action, reason = what_to_do()
        if action == "nothing":
            return
        say(f"Setting up {VENV} ({reason}); 2 GB or more, and some minutes the first time")
        hint_at_cpu_torch()
        started = time.monotonic()
        if action == "make":
            make_venv()
        pip_install()
        if health() != "well":
            raise SetupError(f"the environment is still not as it should be: {health()}; see {VENV / LOG}")
        say(f"Set up in {time.monotonic() - started:.0f} s")


def hint_at_cpu_torch():
    """Says how to be spared the CUDA build where no NVIDIA driver is found."""
    if sys.platform == "linux" and not shutil.which("nvidia-smi") and "PIP_EXTRA_INDEX_URL" not in os.environ:
        say("  no NVIDIA driver found: torch's smaller CPU build comes with")
        say("  PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu python3 run.py")


def call(module, *arguments, cwd=None, **variables):
    """Runs a module of the environment in the foreground -> its exit status."""
    return foreground([str(venv_python()), "-m", module, *arguments], cwd, environment(**variables))


def foreground(command, cwd, env):
    """Runs a command until it ends -> its exit status; it ends at the latest when this process does, however that is.

    Ctrl-C in a terminal reaches the command by itself; other signals to this process are passed on.
    """
    child = subprocess.Popen(command, cwd=cwd, env=env, preexec_fn=end_with_parent())
    stopped_by = []

    def pass_on(number, _frame):
        stopped_by.append(number)
        if number != signal.SIGINT or not sys.stdin.isatty():
            child.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in STOPS}
    status = child.wait()
    for number, handler in before.items():
        signal.signal(number, handler)
    if stopped_by:
        return 128 + stopped_by[0]
    return 128 - status if killed(command, status) else status


def killed(command, status):
    """Whether a child's status means that a signal ended it; if so, says which, and what that means."""
    if status >= 0:
        return False
    name, what = signal.Signals(-status).name, command[2] if command[1] == "-m" else Path(command[1]).name
    cause = "most often the system, out of memory" if name == "SIGKILL" else "a crash, or somebody who stopped it"
    say(f"{what} was ended by {name} ({cause}). What was finished is kept; the same command goes on")
    return True


def end_with_parent():
    """What a child does before it starts: on Linux it asks for SIGTERM at the end of its parent."""
    if sys.platform != "linux":
        return None
    libc, parent = ctypes.CDLL(None), os.getpid()

    def ask():
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it has ended already
            os._exit(1)

    return ask


def run_notebooks(arguments):
    """All notebooks, or those named, by the runner that lives beside them."""
    return foreground([str(venv_python()), str(ROOT / "tools/runner.py"), *arguments], None, environment())


def run_lab(arguments):
    """JupyterLab with the notebooks open."""
    places = [f"--ServerApp.root_dir={ROOT}", "--LabApp.default_url=/lab/tree/notebooks"]
    places.append("--ServerApp.jpserver_extensions=tools.saving=True")
    return call("jupyterlab", *places, *arguments, cwd=ROOT)


def run_app(arguments):
    """The notebook of the app, or one of the five by its number, served without its code."""
    notebook, others = app_notebook(arguments)
    options, variables = app_settings(notebook)
    return call("voila", *options, *others, cwd=ROOT, **variables)


def app_notebook(arguments):
    """(what is served, the arguments that are left for Voila): the app, or the notebook whose number comes first."""
    if not arguments or not arguments[0].isdigit():
        return APP / "app.ipynb", arguments
    found = sorted((ROOT / "notebooks").glob(arguments[0].zfill(2) + "_*.ipynb"))
    if not found:
        raise SetupError(f"there is no notebook {arguments[0]}; expected 01 to 05, or none for the app")
    return found[0], arguments[1:]


def app_settings(notebook=APP / "app.ipynb"):
    """Voila's options and variables: BMNAS_LIVE tells the views that somebody watches, our template loads no fonts.

    A closed page ends its kernel; that of a page that was lost ends ten minutes after it has come to rest.
    """
    paths = [str(APP), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    lost = ["--MappingKernelManager.cull_idle_timeout=600", "--MappingKernelManager.cull_interval=60"]
    variables = {"BMNAS_LIVE": "1", "JUPYTER_PATH": os.pathsep.join(paths)}
    return [str(notebook), "--template=bmnas", *lost], variables


def run_tests(arguments):
    """Style, types, then pytest, whose summary is the last line; with arguments, pytest alone.

    All tests are shared out to some processes, file by file: what the tests of a file have in common is made once.
    """
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    failed = []
    if not arguments:
        for name, *options in (
            ("ruff check", "."),
            ("ruff format", "--check", "."),
            ("pyright", "--pythonpath", str(venv_python())),
        ):
            say(f"== {name}")
            if call(*name.split(), *options, cwd=ROOT):
                failed.append(name)
        if failed:
            say(f"== not clean: {', '.join(failed)}; the exit status will say so")
        say("== pytest")
        arguments = ["-n", str(min(MOST_AT_ONCE, os.cpu_count() or 1)), "--dist=loadfile", "--no-loadscope-reorder"]
    return call("pytest", *arguments, cwd=ROOT, **threads) or int(bool(failed))


def run_bench(arguments):
    """All benchmarks, on one thread unless told otherwise."""
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    return foreground([str(venv_python()), str(ROOT / "benchmarks/bench.py"), *arguments], None, environment(**threads))


COMMANDS = {
    "run": run_notebooks,
    "notebook": run_notebooks,
    "lab": run_lab,
    "app": run_app,
    "test": run_tests,
    "bench": run_bench,
    "setup": lambda arguments: say(f"{VENV} is ready"),
}


def main(arguments):
    """Runs a command -> its exit status."""
    if "-h" in arguments[:1] or "--help" in arguments[:1]:
        say(__doc__)
        return 0
    problem = python_problem()
    if problem:
        say(problem)
        return 2
    named = bool(arguments) and not arguments[0].startswith("-")
    command = arguments[0] if named else "run"
    if command not in COMMANDS:
        near = sorted(COMMANDS, key=lambda known: -difflib.SequenceMatcher(None, command, known).ratio())
        say(f"unknown command {command!r}; known (nearest first): {', '.join(near)}. `python3 run.py --help` explains")
        return 2
    try:
        set_up()
        return COMMANDS[command](arguments[1:] if named else arguments) or 0
    except SetupError as error:
        say(f"{error}")
        return 1
    except KeyboardInterrupt:
        say("\nstopped; the same command goes on from here")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
