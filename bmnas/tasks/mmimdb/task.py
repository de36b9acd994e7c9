"""`mmimdb`: MM-IMDB, 23 genres, several a movie, from posters and plots (section 4.1).

The data set is public, but too large, and too much other people's work, to pass on. Where it lies under the data root,
VGG-19 and a Maxout MLP make the features; elsewhere stand-ins of their names and shapes do. Their labels are planted in
Image_3 and Text_1, the pair of the paper's MM-IMDB Config 1 (which counts from 0: Image_2, Text_0).
"""

from bmnas.config import PAPER_CONFIGS, EvalConfig
from bmnas.features.backbones import maxout_mlp, vgg
from bmnas.registry import TASKS
from bmnas.tasks.base import Modality, RealData, Task
from bmnas.tasks.mmimdb.channels import MMIMDB_CHANNELS
from bmnas.tasks.mmimdb.forms import HDF5
from bmnas.tasks.mmimdb.samples import MmimdbSamples
from bmnas.tasks.mmimdb.split import GENRES, MMIMDB_COUNTS
from bmnas.tasks.real_data.extraction import REAL_OPTIONS, stand_in_maker
from bmnas.tasks.stand_in import SMALL, StandIn

REAL = RealData(
    title="MM-IMDB",
    folder="mmimdb",
    request="https://github.com/johnarevalo/gmu-mmimdb",
    layout=(
        f"split.json and {HDF5} (or train/, dev/ and test/ with image_%06d.npy, text_%06d.npy and label_%06d.npy; or "
        "dataset/<id>.json and dataset/<id>.jpeg, and GoogleNews-vectors-negative300.bin)"
    ),
    open=lambda root, options: MmimdbSamples(root),
)
STAND_IN = StandIn(
    task="mmimdb",
    title=REAL.title,
    modalities={
        modality: {name: C_in for name, C_in in MMIMDB_CHANNELS.items() if name.startswith(modality)}
        for modality in ("Image", "Text")
    },
    vectors=("Text_1", "Text_2"),
    pair=("Image_3", "Text_1"),
    classes=GENRES,
    kind="multilabel",
    columns=0,
    full=MMIMDB_COUNTS,
    epochs=12,
    request=REAL.request,
)
TASK = TASKS.register(
    Task(
        name="mmimdb",
        title=REAL.title,
        kind="multilabel",
        classes=GENRES,
        modalities=(
            Modality(
                "Image",
                tuple(vgg.TAPS),
                vgg.VGG19,
                vgg.TAPS,
                {"batch_size": 16, "max_lr": 1e-4},
                imagenet=vgg.imagenet_features,
                fresh=("bn4.", "classifier."),
            ),
            Modality(
                "Text",
                tuple(maxout_mlp.TAPS),
                maxout_mlp.MaxoutMLP,
                maxout_mlp.TAPS,
                {"batch_size": 128, "max_lr": 1e-2},
            ),
        ),
        source="stand-in",
        search_config=PAPER_CONFIGS["mmimdb-1"],  # Algorithm 1: ranking 14,700 genotypes takes far longer
        eval_config=EvalConfig(epochs=5, seeds=3),
        options={"seed": 0, "L": 16, "samples": SMALL, "source": "stand-in", **REAL_OPTIONS},
        make=stand_in_maker(STAND_IN, REAL),
        real=REAL,
        reference={"ties": "earlier"},  # it keeps the later of equal epochs on the other two data sets only
    )
)
