"""`ntu`: NTU RGB+D, 60 actions from videos and skeletons (section 4.2).

The ROSE Lab gives out the data on request. Where it lies under the data root, Inflated ResNet-50 and HCN make the
features; elsewhere stand-ins of their names and shapes do, with the class planted in Video_3 and Skeleton_4, the pair
that the paper's NTU Config 1 combines.
"""

from bmnas.config import PAPER_CONFIGS, EvalConfig
from bmnas.features.backbones import hcn, inflated_resnet
from bmnas.registry import TASKS
from bmnas.tasks.base import Modality, RealData, Task
from bmnas.tasks.ntu.channels import NTU_CHANNELS
from bmnas.tasks.ntu.samples import CLASSES, NtuSamples
from bmnas.tasks.ntu.splits import NTU_PRINTED
from bmnas.tasks.real_data.extraction import REAL_OPTIONS, stand_in_maker
from bmnas.tasks.stand_in import SMALL, StandIn

REAL = RealData(
    title="NTU RGB+D",
    folder="ntu",
    request="https://rose1.ntu.edu.sg/dataset/actionRecognition/",
    layout=(
        "nturgbd_rgb/avi_256x256_30/SsssCcccPpppRrrrAaaa_rgb.avi (or nturgb+d_rgb_256x256_30/, or nturgb+d_rgb/ as "
        "distributed) and nturgbd_skeletons/SsssCcccPpppRrrrAaaa.skeleton (or nturgb+d_skeletons/)"
    ),
    open=lambda root, options: NtuSamples(
        root, options["split"], options["missing"], options["bgr"], options["reference_frames"]
    ),
)
STAND_IN = StandIn(
    task="ntu",
    title=REAL.title,
    modalities={
        modality: {name: C_in for name, C_in in NTU_CHANNELS.items() if name.startswith(modality)}
        for modality in ("Video", "Skeleton")
    },
    vectors=("Video_4", "Skeleton_3", "Skeleton_4"),  # globally pooled or fully connected layers
    pair=("Video_3", "Skeleton_4"),
    classes=CLASSES,
    kind="multiclass",
    columns=6,
    full=NTU_PRINTED,
    epochs=30,
    request=REAL.request,
)


TASK = TASKS.register(
    Task(
        name="ntu",
        title=REAL.title,
        kind="multiclass",
        classes=CLASSES,
        modalities=(
            Modality(
                "Video",
                tuple(inflated_resnet.TAPS),
                inflated_resnet.InflatedResNet50,
                inflated_resnet.TAPS,
                {"batch_size": 8, "max_lr": 1e-3},
                imagenet=inflated_resnet.inflate,
                fresh=("classifier.",),
            ),
            Modality("Skeleton", tuple(hcn.TAPS), hcn.HCN, hcn.TAPS, {"batch_size": 64, "max_lr": 1e-3}),
        ),
        source="stand-in",
        search_config=PAPER_CONFIGS["ntu-1"].change(epochs=10, selection="shortlist"),
        eval_config=EvalConfig(epochs=5, seeds=3),
        options={
            "seed": 0,
            "L": 8,
            "samples": SMALL,
            "source": "stand-in",
            "split": "release",
            "missing": None,
            "bgr": False,
            "reference_frames": False,
            **REAL_OPTIONS,
        },
        make=stand_in_maker(STAND_IN, REAL),
        real=REAL,
        reference={"train_reshape": False},  # its NTU search forgets the reshape layers in the optimizer
        recipe=2,
    )
)
