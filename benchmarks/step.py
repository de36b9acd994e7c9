"""Times a search step of the Hypernet beside a plain transcription of the equations, at shapes of Table 8.

    python benchmarks/step.py                     all cases, 15 rounds
    python benchmarks/step.py --cases ntu-1 --rounds 31

All variants take turns in one process on one CPU thread, so that a busy machine slows them alike; a turn is a few steps
of one kind in a row, as a search takes them. Before a case is timed, transcription and Hypernet are compared in
float64; times of networks that disagree are not printed.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import adaptive_max_pool1d, binary_cross_entropy_with_logits, cross_entropy  # noqa: E402

from benchmarks.shared import about_machine  # noqa: E402
from bmnas.features.token_store import TokenStore  # noqa: E402
from bmnas.machine import keep_pages  # noqa: E402
from bmnas.paper.published import EGO_CHANNELS, MMIMDB_CHANNELS, NTU_CHANNELS  # noqa: E402
from bmnas.searching.seed_state import ARCH_BETAS  # noqa: E402
from bmnas.space.algebra import Algebra  # noqa: E402
from bmnas.space.hypernet import Hypernet  # noqa: E402
from bmnas.training.loop import NetworkLearner, take_step  # noqa: E402
from tests.support.transcription import Transcription  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "step.json"
TOLERANCE = 1e-10  # of float64 logits and gradients
STEPS = ("weight", "arch")
MODES = ["reference", "paper"]
IN_A_ROW = 3  # steps a turn


@dataclass(frozen=True)
class Case:
    """A row of Table 8, with the positions that each backbone's output really has (1: a vector)."""

    channels: dict[str, int]
    positions: tuple[int, ...]
    classes: int
    B: int
    C: int
    L: int
    N: int
    M: int
    r: int
    dropout: float
    grid: bool = False

    @property
    def vectors(self) -> list[str]:
        return [name for name, n in zip(self.channels, self.positions, strict=True) if n == 1]


CASES = {
    "ntu-1": Case(NTU_CHANNELS, (8, 8, 8, 1, 4, 2, 1, 1), 60, 96, 128, 8, 2, 2, 2, 0.2),
    "ego-1": Case(EGO_CHANNELS, (8, 4, 2, 1, 8, 4, 2, 1), 83, 72, 128, 8, 2, 3, 3, 0.0),
    "mmimdb-1": Case(MMIMDB_CHANNELS, (16, 16, 16, 16, 1, 1), 23, 96, 192, 16, 2, 1, 2, 0.1, grid=True),
}


def maps(case: Case, dtype: torch.dtype) -> list[Tensor]:
    """Draws outputs of backbones at their own positions: (B, C_in), (B, C_in, d) or (B, C_in, 4, 4)."""
    side = int(case.L**0.5)
    sizes = [() if n == 1 else (side, side) if case.grid else (n,) for n in case.positions]
    return [
        torch.randn(case.B, C_in, *size, dtype=dtype).relu()
        for C_in, size in zip(case.channels.values(), sizes, strict=True)
    ]


def stored(case: Case, outputs: list[Tensor]) -> dict[str, Tensor]:
    """Returns the same as a FeatureSet stores them: (B, C_in, L), or (B, C_in, 1) without extent."""
    batch = {}
    for name, x in zip(case.channels, outputs, strict=True):
        line = x.flatten(2) if x.dim() > 2 else x.unsqueeze(2)
        batch[name] = line if line.shape[2] in (1, case.L) else adaptive_max_pool1d(line, case.L)
    return batch


def tokens(case: Case, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns the same as a search reads it."""
    return {name: TokenStore(feature).batch(torch.arange(case.B)) for name, feature in batch.items()}


def transcription(case: Case, net: Hypernet, pooling: bool = True, dropout: float | None = None) -> Transcription:
    sizes = (case.classes, case.C, case.L, case.N, case.M, case.r)
    plain = Transcription(case.channels, *sizes, case.dropout if dropout is None else dropout, case.grid, pooling)
    plain.to(next(net.parameters()).dtype).copy_from(net)
    return plain


def hypernet(case: Case, mode: str, dropout: float | None = None) -> Hypernet:
    torch.manual_seed(0)
    sizes = (case.classes, case.C, case.L, case.N, case.M, case.r)
    p = case.dropout if dropout is None else dropout
    return Hypernet(case.channels, *sizes, dropout=p, mode=mode, vectors=case.vectors)


def disagreement(case: Case) -> float:
    """Returns the largest difference of float64 logits and architecture gradients, without dropout, in train mode."""
    torch.set_default_dtype(torch.float64)
    net = hypernet(case, "reference", dropout=0.0)
    for part in net.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    plain = transcription(case, net, dropout=0.0)
    outputs = maps(case, torch.float64)
    theirs = plain(outputs)
    ours = Algebra(net)(stored(case, outputs))
    worst = (theirs - ours).abs().max().item()
    weights = torch.cos(torch.arange(ours.numel(), dtype=torch.float64)).view_as(ours) / ours.numel()
    gradients = torch.autograd.grad((theirs * weights).sum(), [plain.alphas, plain.gammas[0]])
    cells = list(net.named_cells().values())
    alphas = torch.autograd.grad((ours * weights).sum(), [c.alpha for c in cells], retain_graph=True)
    gammas = torch.autograd.grad((ours * weights).sum(), [s.gamma for s in cells[0].named_steps().values()])
    torch.set_default_dtype(torch.float32)
    for a, b in ((gradients[0], torch.cat(alphas)), (gradients[1], torch.stack(gammas))):
        worst = max(worst, (a - b).abs().max().item())
    return worst


def loss(case: Case, logits: Tensor, targets: Tensor) -> Tensor:
    return (binary_cross_entropy_with_logits if case.grid else cross_entropy)(logits, targets)


def release_steps(case: Case, plain: Transcription, features: list[Tensor], targets: Tensor) -> dict[str, Callable]:
    """Returns both steps as the release takes them: backward through everything, architecture or weights."""
    choices = plain.architecture()
    optimizers = {
        "weight": torch.optim.Adam(plain.parameters(), 1e-3, weight_decay=1e-4),
        "arch": torch.optim.Adam(choices, 3e-4, betas=ARCH_BETAS, weight_decay=1e-3),
    }

    def step(kind: str) -> None:
        optimizers[kind].zero_grad()
        loss(case, plain(features), targets).backward()
        optimizers[kind].step()

    return {kind: lambda kind=kind: step(kind) for kind in STEPS}


def our_steps(
    case: Case, net: Hypernet, computed: Callable[[Hypernet], nn.Module], batch: dict[str, Tensor], targets: Tensor
) -> dict[str, Callable]:
    """Returns both steps as `bmnas.search` takes them, of a hypernet computed by its formula or its algebra."""
    network = computed(net)
    weights, choices = net.weight_parameters(), net.architecture_parameters()
    kind = "multilabel" if case.grid else "multiclass"
    weight_optimizer = torch.optim.Adam(weights, 1e-3, weight_decay=1e-4, fused=True)
    arch_optimizer = torch.optim.Adam(choices, 3e-4, betas=ARCH_BETAS, weight_decay=1e-3, fused=True)
    learners = {
        "weight": NetworkLearner(network, kind, weight_optimizer, weights),
        "arch": NetworkLearner(network, kind, arch_optimizer, choices),
    }
    return {name: partial(take_step, learner, (batch, targets)) for name, learner in learners.items()}


def variants(case: Case, modes: Sequence[str]) -> dict[str, dict[str, Callable]]:
    outputs = maps(case, torch.float32)
    batch = stored(case, outputs)
    lines = [batch[name].expand(-1, -1, case.L).contiguous() for name in case.channels]
    targets = torch.randint(case.classes, (case.B,))
    if case.grid:
        targets = (torch.rand(case.B, case.classes) < 0.1).float()
    net = hypernet(case, "reference")
    made = {
        "transcription": release_steps(case, transcription(case, net), outputs, targets),
        "transcription, no pooling": release_steps(case, transcription(case, net, False), lines, targets),
    }
    if case.dropout == 0:  # the release's in-place residual forbids 0: people run it with almost 0
        almost = transcription(case, net, dropout=1e-9)
        made["transcription, dropout 1e-9"] = release_steps(case, almost, outputs, targets)
    for mode in modes:
        made[f"{mode}, formula"] = our_steps(case, hypernet(case, mode), lambda net: net, batch, targets)
        made[f"{mode}, algebra"] = our_steps(case, hypernet(case, mode), Algebra, tokens(case, batch), targets)
    return made


def measure(case: Case, rounds: int, modes: Sequence[str]) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Measures variant -> step -> {"wall", "cpu"} -> seconds, one a round; the variants take turns."""
    made = variants(case, modes)
    times = {name: {kind: {"wall": [], "cpu": []} for kind in STEPS} for name in made}
    for round_ in range(-2, rounds):  # two rounds to warm up
        for kind in STEPS:
            for name, steps in made.items():
                wall, cpu = time.perf_counter(), time.process_time()
                for _ in range(IN_A_ROW):
                    steps[kind]()
                if round_ >= 0:
                    times[name][kind]["cpu"].append((time.process_time() - cpu) / IN_A_ROW)
                    times[name][kind]["wall"].append((time.perf_counter() - wall) / IN_A_ROW)
    return times


def summary(times: dict, clock: str) -> dict[str, dict[str, dict]]:
    """Medians and quartiles in milliseconds, and the medians of the rounds' ratios to transcription and formula."""
    rows: dict[str, dict[str, dict]] = {}
    for name, steps in times.items():
        rows[name] = {}
        for kind, clocks in steps.items():
            seconds = clocks[clock]
            ratios = [a / b for a, b in zip(times["transcription"][kind][clock], seconds, strict=True)]
            formula = [a / b for a, b in zip(times["reference, formula"][kind][clock], seconds, strict=True)]
            low, _, high = statistics.quantiles(seconds, n=4)
            worst, _, best = statistics.quantiles(ratios, n=4)
            rows[name][kind] = {
                "median_ms": round(1e3 * statistics.median(seconds), 2),
                "quartiles_ms": [round(1e3 * low, 2), round(1e3 * high, 2)],
                "ratio": round(statistics.median(ratios), 2),
                "ratio_quartiles": [round(worst, 2), round(best, 2)],
                "formula_ratio": round(statistics.median(formula), 2),
            }
    return rows


def print_table(name: str, rows: dict, differs: float) -> None:
    print(f"\n{name} (float64 difference {differs:.0e}): CPU ms, median [quartiles]; transcription / it; formula / it")
    for variant, steps in rows.items():
        cells = []
        for kind in STEPS:
            s = steps[kind]
            low, high = s["quartiles_ms"]
            ratios = f"{s['ratio']:5.2f}x {s['formula_ratio']:5.2f}x"
            cells.append(f"{kind} {s['median_ms']:7.1f} [{low:6.1f} {high:6.1f}] {ratios}")
        print(f"  {variant:28s} " + "   ".join(cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), help="rows of Table 8")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES, help="the ratios' own mode is always there")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each variant")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the JSON file, written over")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_pages()  # as a search does; the transcription takes no page faults either way
    record: dict = {**about_machine(), "rounds": options.rounds}
    record["cases"] = {}
    for name in options.cases:
        case = CASES[name]
        differs = disagreement(case)
        if not differs <= TOLERANCE:
            raise SystemExit(f"{name}: transcription and Hypernet differ by {differs:.1e}; nothing was timed")
        times = measure(case, options.rounds, list(dict.fromkeys(["reference", *options.modes])))
        rows = {clock: summary(times, clock) for clock in ("cpu", "wall")}
        print_table(name, rows["cpu"], differs)
        record["cases"][name] = {"float64_difference": differs, **rows}
        options.out.parent.mkdir(parents=True, exist_ok=True)  # after each case, as an interrupted run has results, too
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"\n{options.out}")


if __name__ == "__main__":
    main()
