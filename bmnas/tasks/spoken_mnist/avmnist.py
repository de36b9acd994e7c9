"""`avmnist`: an image and a recording of the same digit, both degraded until neither suffices alone.

Our own construction from MNIST and FSDD in the spirit of AV-MNIST, whose data was never published with its generator:
images keep 5 principal components (33 % of the variance), recordings get white noise at -9 dB. The pairs are drawn
independently given the digit, so the sum of the backbones' log-probabilities is hard to beat: the task shows that
fusion beats one modality, not that one fusion beats another. Only 1,200 different recordings stand behind all
training pairs.
"""

from pathlib import Path

from bmnas.config import EvalConfig, SearchConfig
from bmnas.registry import TASKS
from bmnas.tasks.base import Options, RawData, Task
from bmnas.tasks.spoken_mnist import pairs as shared
from bmnas.training.progress import Progress

SAMPLES = 20000


def open_avmnist(options: Options, root: Path, progress: Progress | None) -> RawData:
    """Returns pairs of one digit; see `open_pairs`."""
    components, snr = options["pca_components"], options["snr_db"]
    images = "MNIST" if components is None else f"MNIST with {components} principal components"
    sounds = "FSDD" if snr is None else f"FSDD with noise at {snr} dB"
    return shared.open_pairs(options, root, progress, same=True, notes=f"{images}, {sounds}, paired by digit")


TASK = TASKS.register(
    Task(
        name="avmnist",
        title="AV-MNIST from MNIST and FSDD",
        kind="multiclass",
        classes=tuple("0123456789"),
        modalities=(shared.image_modality(epochs=8), shared.audio_modality(epochs=8)),
        source="real",
        search_config=SearchConfig(C=16, L=4, N=1, M=1, epochs=10, batch_size=128, arch_lr=3e-3, max_lr=3e-3),
        eval_config=EvalConfig(epochs=10, seeds=3, max_lr=3e-3),
        options={
            "seed": 0,
            "L": 4,
            "samples": SAMPLES,
            "source": "real",
            "pca_components": 5,
            "snr_db": -9.0,
            "separate": True,
        },
        grouped_by="recording",
        open_raw=open_avmnist,
    )
)
