"""`avsum`: an image and a recording drawn independently; the label is the sum of their digits modulo 10.

The same real data as `avmnist`, undegraded, in a task where fusion is the problem. The label of a pair is independent
of either input, so each modality alone is at chance (10 %). So is the sum of the backbones' log-probabilities. The
backbones are trained on their own digit; the fusion has to learn the addition.
"""

from pathlib import Path

from bmnas.config import EvalConfig, SearchConfig
from bmnas.registry import TASKS
from bmnas.tasks.base import Options, RawData, Task
from bmnas.tasks.spoken_mnist import pairs as shared
from bmnas.training.progress import Progress

SAMPLES = 10000


def open_avsum(options: Options, root: Path, progress: Progress | None) -> RawData:
    """Returns pairs of any two digits; see `open_pairs`."""
    notes = "label = (image digit + spoken digit) modulo 10, MNIST and FSDD, drawn independently"
    return shared.open_pairs(options, root, progress, same=False, notes=notes)


TASK = TASKS.register(
    Task(
        name="avsum",
        title="AV-Sum from MNIST and FSDD",
        kind="multiclass",
        classes=tuple("0123456789"),
        modalities=(shared.image_modality(epochs=4), shared.audio_modality(epochs=6)),
        source="real",
        search_config=SearchConfig(C=16, L=4, N=1, M=1, epochs=20, batch_size=128, arch_lr=3e-3, max_lr=3e-3),
        eval_config=EvalConfig(epochs=15, seeds=3, max_lr=3e-3),
        options={
            "seed": 0,
            "L": 4,
            "samples": SAMPLES,
            "source": "real",
            "pca_components": None,
            "snr_db": None,
            "separate": True,
        },
        grouped_by="recording",
        open_raw=open_avsum,
    )
)
