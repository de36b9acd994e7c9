"""The nine genotypes that the paper publishes (Figs. 9-11), by name.

Edges, operand order and r are those of the authors' notebooks (search/darts/visualize.ipynb and structure_vis.ipynb at
ad16360); C, L and the model size printed are Table 8's. The sizes of the notebooks' networks agree with seven of the
nine printed ones; for NTU 1 and NTU 3 the printed 0.98 M cannot be reached with the release.
"""

from dataclasses import dataclass

from bmnas.registry import Registry
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.tasks.egogesture.channels import EGO_CHANNELS
from bmnas.tasks.mmimdb.channels import MMIMDB_CHANNELS
from bmnas.tasks.ntu.channels import NTU_CHANNELS


@dataclass(frozen=True)
class Published:
    """A published genotype and what is needed to build and compare it.

    Args:
        genotype: by name.
        C, L: Table 8.
        channels: feature -> C_in of the task.
        classes: of the task.
        figure: where the paper draws it.
        table8_size: millions of parameters that Table 8 prints.
        table8_search, table8_eval: search and evaluation score that Table 8 prints, in percent.
    """

    genotype: Genotype
    C: int
    L: int
    channels: dict[str, int]
    classes: int
    figure: str
    table8_size: float
    table8_search: float
    table8_eval: float


def _cell(inputs: str, *steps: str) -> CellGenotype:
    """Reads `_cell("Video_3 Skeleton_4", "LinearGLU x y")`: names apart by blanks."""
    x, y = inputs.split()
    parts = [step.split() for step in steps]
    return CellGenotype((x, y), tuple(StepGenotype(primitive, tuple(nodes)) for primitive, *nodes in parts))


NTU_1 = Genotype(
    (
        _cell("Video_3 Skeleton_4", "LinearGLU x y", "LinearGLU Step_1 x"),
        _cell("Video_3 Video_4", "Attention x y", "Attention Step_1 x"),
    ),
    r=2,
)
NTU_2 = Genotype(
    (_cell("Video_3 Video_4", "ConcatFC y x"), _cell("Video_3 Skeleton_4", "ConcatFC x y")),
    r=1,
)
NTU_3 = Genotype(
    (
        _cell("Video_3 Skeleton_4", "LinearGLU y x", "Attention Step_1 y"),
        _cell("Video_4 Skeleton_4", "Attention x y", "Attention Step_1 x"),
    ),
    r=2,
)
NTU_4 = Genotype(
    (
        _cell("Video_3 Video_4", "Sum x y", "Sum y x"),
        _cell("Video_3 Skeleton_4", "ConcatFC y x", "Attention y x"),
        _cell("Video_3 Skeleton_2", "ConcatFC x y", "Attention x y"),
        _cell("Video_3 Cell_1", "Sum y x", "Sum x y"),
    ),
    r=2,
)
EGO_1 = Genotype(
    (
        _cell("RGB_2 Depth_2", "Sum x y", "Sum y x", "Sum Step_2 Step_1"),
        _cell("Depth_1 Depth_2", "Sum x y", "Sum y x", "Sum Step_1 Step_2"),
    ),
    r=3,
)
EGO_2 = Genotype(
    (_cell("RGB_2 Depth_2", "Attention x y"), _cell("Depth_2 Cell_1", "Attention y x")),
    r=1,
)
EGO_3 = Genotype(
    (
        _cell(
            "Depth_1 Depth_2",
            "Attention y x",
            "Attention Step_1 y",
            "Attention Step_2 Step_1",
            "LinearGLU Step_3 Step_2",
        ),
        _cell(
            "Depth_2 Cell_1",
            "Attention y x",
            "ConcatFC Step_1 x",
            "ConcatFC Step_1 x",
            "Attention Step_2 Step_1",
        ),
    ),
    r=4,
)
EGO_4 = Genotype(
    (
        _cell("RGB_2 Depth_1", "Sum x y", "Sum Step_1 y"),
        _cell("RGB_1 Depth_1", "ConcatFC x y", "ConcatFC Step_1 x"),
        _cell("Depth_1 Cell_2", "LinearGLU y x", "ConcatFC Step_1 y"),
    ),
    r=2,
)
MMIMDB_1 = Genotype(
    (_cell("Image_3 Text_1", "ConcatFC y x"), _cell("Text_1 Cell_1", "LinearGLU y x")),
    r=2,
)

PUBLISHED = Registry("published genotype")
PUBLISHED |= {
    "ntu_1": Published(NTU_1, 128, 8, NTU_CHANNELS, 60, "Fig. 9a", 0.98, 94.48, 90.48),
    "ntu_2": Published(NTU_2, 256, 8, NTU_CHANNELS, 60, "Fig. 9b", 1.71, 94.16, 89.19),
    "ntu_3": Published(NTU_3, 128, 8, NTU_CHANNELS, 60, "Fig. 9c", 0.98, 93.01, 88.78),
    "ntu_4": Published(NTU_4, 256, 8, NTU_CHANNELS, 60, "Fig. 9d", 2.57, 92.22, 88.30),
    "ego_1": Published(EGO_1, 128, 8, EGO_CHANNELS, 83, "Fig. 10a", 0.61, 98.87, 94.96),
    "ego_2": Published(EGO_2, 128, 8, EGO_CHANNELS, 83, "Fig. 10b", 0.45, 98.58, 94.45),
    "ego_3": Published(EGO_3, 192, 8, EGO_CHANNELS, 83, "Fig. 10c", 1.17, 98.56, 93.25),
    "ego_4": Published(EGO_4, 192, 12, EGO_CHANNELS, 83, "Fig. 10d", 1.59, 98.60, 94.33),
    "mmimdb_1": Published(MMIMDB_1, 192, 16, MMIMDB_CHANNELS, 23, "Fig. 11", 0.65, 53.44, 62.92),
}
"""Name -> published genotype; `PUBLISHED["ntu_1"].genotype`."""
