"""All benchmarks in a row, each in a process of its own: numbers as JSON, and pictures of them.

    python3 run.py bench                        some minutes; writes to benchmarks/results/
    python3 run.py bench --quick --out there    two minutes: whether they work, not what they say; of the steps one case
    python3 run.py bench --only step scaling
    python3 run.py bench --gpu                  instead: what an NVIDIA card does, in under eight minutes
    python3 run.py bench --kill 100             instead: kills runs at random moments and compares the ends

Ratios compare what took turns in one run; only ratios of one run mean something on a busy machine.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from benchmarks.plots import draw  # noqa: E402
from benchmarks.shared import about_machine  # noqa: E402

PARTS = ("step", "scaling", "seeds", "workers", "extraction", "memory")
QUICK = {"step": ["--cases", "ego-1", "--rounds", "2"], "seeds": ["--epochs", "3"]}  # and --quick for the others


def command(part: str, out: Path, quick: bool) -> list[str]:
    """Returns how a part is started."""
    target = out / f"{part}.json" if part in QUICK else out
    return [
        sys.executable,
        str(HERE / f"{part}.py"),
        "--out",
        str(target),
        *(QUICK.get(part, ["--quick"]) if quick else []),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="run.py bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="some of the parts")
    parser.add_argument("--quick", action="store_true", help="few sizes and rounds, of the steps Ego 1 alone")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of the JSON files")
    parser.add_argument("--pictures", type=Path, help="folder of the pictures; that of the JSON files by default")
    parser.add_argument("--kill", type=int, metavar="N", help="N kills instead of everything else")
    parser.add_argument("--gpu", action="store_true", help="an NVIDIA card instead of everything else")
    parser.add_argument("--toy", action="store_true", help="with --gpu: toy size, on the CPU where there is no card")
    options = parser.parse_args()
    if options.gpu:
        target = ["--out", str(options.out.absolute() / "gpu.json"), *(["--toy"] if options.toy else [])]
        return subprocess.run([sys.executable, str(HERE / "gpu.py"), *target]).returncode
    if options.kill:
        return subprocess.run([sys.executable, str(HERE / "kill.py"), "--kills", str(options.kill)]).returncode
    out = options.out.absolute()
    print(", ".join(f"{name} {value}" for name, value in about_machine().items()), flush=True)
    for part in options.only:
        started = time.monotonic()
        print(f"\n== {part}", flush=True)
        status = subprocess.run(command(part, out, options.quick)).returncode
        if status:
            print(f"{part} failed with status {status}", flush=True)
            return 1
        print(f"{part}: {time.monotonic() - started:.0f} s", flush=True)
    draw(out, (options.pictures or out).absolute())
    return 0


if __name__ == "__main__":
    sys.exit(main())
