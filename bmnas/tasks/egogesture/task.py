"""`egogesture`: EgoGesture, 83 gestures from colour and depth clips (section 4.3).

Its authors give out the data on request. Where it lies under the data root, two ResNeXt-101 make the features;
elsewhere stand-ins of their names and shapes do, with the class planted in RGB_2 and Depth_2, a pair of the paper's
Ego Config 1.
"""

from functools import partial

from bmnas.config import PAPER_CONFIGS, EvalConfig
from bmnas.features.backbones import resnext3d
from bmnas.registry import TASKS
from bmnas.tasks.base import Modality, RealData, Task
from bmnas.tasks.egogesture.annotations import EGO_COUNTS
from bmnas.tasks.egogesture.channels import EGO_CHANNELS
from bmnas.tasks.egogesture.samples import ANNOTATION, GESTURES, EgoSamples
from bmnas.tasks.real_data.extraction import REAL_OPTIONS, stand_in_maker
from bmnas.tasks.stand_in import SMALL, StandIn

MODALITIES = ("RGB", "Depth")
CLASSES = tuple(str(gesture) for gesture in range(1, GESTURES + 1))


REAL = RealData(
    title="EgoGesture",
    folder="egogesture",
    request="http://www.nlpr.ia.ac.cn/iva/yfzhang/datasets/egogesture.html",
    layout=(
        f"SubjectNN/SceneN/Color/rgbK/000001.jpg, SubjectNN/SceneN/Depth/depthK/000001.jpg, and {ANNOTATION} (or "
        "trainlistall_but_None.txt, vallistall_but_None.txt, testlistall_but_None.txt and classIndAll.txt)"
    ),
    open=lambda root, options: EgoSamples(root),
)
STAND_IN = StandIn(
    task="egogesture",
    title=REAL.title,
    modalities={
        modality: {name: C_in for name, C_in in EGO_CHANNELS.items() if name.startswith(modality)}
        for modality in MODALITIES
    },
    vectors=("RGB_4", "Depth_4"),  # globally pooled layers
    pair=("RGB_2", "Depth_2"),
    classes=CLASSES,
    kind="multiclass",
    columns=7,
    full=EGO_COUNTS,
    epochs=7,
    request=REAL.request,
)
TASK = TASKS.register(
    Task(
        name="egogesture",
        title=REAL.title,
        kind="multiclass",
        classes=CLASSES,
        modalities=tuple(
            Modality(
                modality,
                tuple(resnext3d.TAPS[modality]),
                partial(resnext3d.ResNeXt101, modality),
                resnext3d.TAPS[modality],
                {"batch_size": 16, "max_lr": 1e-3},
            )
            for modality in MODALITIES
        ),
        source="stand-in",
        search_config=PAPER_CONFIGS["ego-1"].change(selection="shortlist"),
        eval_config=EvalConfig(epochs=5, seeds=3),
        options={"seed": 0, "L": 8, "samples": SMALL, "source": "stand-in", **REAL_OPTIONS},
        make=stand_in_maker(STAND_IN, REAL),
        real=REAL,
    )
)
