"""NTU RGB+D: a video and a skeleton a sample, paired by name."""

from pathlib import Path

import numpy as np

from bmnas.errors import ConfigError, DataError
from bmnas.features.samples import Samples
from bmnas.registry import unknown
from bmnas.tasks.ntu.files import MISSING_FILES, ntu_files
from bmnas.tasks.ntu.skeleton import read_skeleton, skeleton_array
from bmnas.tasks.ntu.splits import NTU_SPLITS, ntu_rows
from bmnas.tasks.ntu.video import read_video

CLASSES = tuple(f"A{action:03d}" for action in range(1, 61))
FRAMES, THROUGH, SIZE = 8, 24, (256, 256)  # the release takes 24 frames, then 8 of them
MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # of ImageNet, RGB
STD = np.array([0.229, 0.224, 0.225], np.float32)


class NtuSamples(Samples):
    """Video (8, 256, 256, 3) and Skeleton (3, 32, 25, 2), float32; the label is the action, from 0.

    Pixels are divided by 255 and standardised with ImageNet's values, as in the release. Its frames come from OpenCV,
    so its checkpoints expect blue, green, red: `bgr` gives that order, and subtracts the same three numbers as it does.

    Args:
        root: the folder that holds those of videos and skeletons.
        split: a name in NTU_SPLITS.
        missing: "keep" or "drop" the samples of the list of missing skeletons; as those who use the split when None.
        bgr: channels as the release has them.
        reference_frames: frame numbers as the release has them, the last frame black.

    Raises:
        UnknownNameError: no such split.
        ConfigError: another value of `missing`.
        DataError: folders or files are missing, or a split is empty.
    """

    def __init__(
        self,
        root: Path,
        split: str = "release",
        missing: str | None = None,
        bgr: bool = False,
        reference_frames: bool = False,
    ) -> None:
        if split not in NTU_SPLITS:
            raise unknown("NTU split", split, NTU_SPLITS)
        if missing not in (None, "keep", "drop"):
            raise ConfigError(f"missing is {missing!r}; expected 'keep', 'drop' or None")
        self.clips = ntu_files(root)
        self.bgr = bgr
        self.reference_frames = reference_frames
        drop = NTU_SPLITS[split].drop_listed if missing is None else missing == "drop"
        if drop and not self.clips.listed:
            raise DataError(
                f"{root}: samples of incomplete skeletons are to be dropped, but their list, {MISSING_FILES[0]}, is "
                "absent (it is in github.com/shahroudy/NTURGB-D, folder Matlab); put it there, or pass missing='keep'"
            )
        splits = ntu_rows(self.clips.names, split)
        if drop:
            listed = np.array([name in self.clips.listed for name in self.clips.names])
            splits = {part: rows[~listed[rows]] for part, rows in splits.items()}
        counts = {part: len(rows) for part, rows in splits.items()}
        expected = NTU_SPLITS[split].counts_without if drop else NTU_SPLITS[split].counts
        super().__init__(
            [str(name) for name in self.clips.names],
            CLASSES,
            "multiclass",
            splits,
            {
                **self.clips.counts,
                "folders": self.clips.folders,
                "split": split,
                "train_subjects": list(NTU_SPLITS[split].train),
                "split_source": NTU_SPLITS[split].source,
                "listed_missing_skeletons": "dropped" if drop else "kept",
                "counts": counts,
                "expected_counts": list(expected) if expected else None,
            },
        )

    def read(self, row: int, only: str | None = None) -> tuple[dict[str, np.ndarray], int]:
        """Reads a sample, see `Samples.read`."""
        inputs = {}
        if only != "Skeleton":
            frames = read_video(self.clips.videos[row], FRAMES, SIZE, THROUGH, self.reference_frames)
            inputs["Video"] = standardised(frames, self.bgr)
        if only != "Video":
            inputs["Skeleton"] = self._skeleton(self.clips.skeletons[row])
        return inputs, self.clips.names[row].label

    def files(self, row: int) -> tuple[Path, ...]:
        """Lists a sample's files, see `Samples.files`."""
        return self.clips.videos[row], self.clips.skeletons[row]

    def group(self, row: int) -> str:
        """See `Samples.group`: the performer."""
        return f"performer {self.clips.names[row].performer}"

    def _skeleton(self, path: Path) -> np.ndarray:
        frames = read_skeleton(path)
        with np.errstate(over="ignore", invalid="ignore"):
            array = skeleton_array(frames)
        if not np.isfinite(array).all():
            raise DataError(f"{path}: x, y or z of a joint is too large for float32; expected metres")
        return array

    def pictures(self, row: int) -> dict[str, np.ndarray]:
        """Returns the middle frame and the height of the first person's joints (25, frames), see `Samples.pictures`."""
        inputs, _ = self.read(row)
        video, skeleton = inputs["Video"], inputs["Skeleton"]
        return {"Video": video[len(video) // 2].mean(-1)[::4, ::4], "Skeleton": skeleton[1, :, :, 0].T}


def standardised(frames: np.ndarray, bgr: bool = False) -> np.ndarray:
    """Standardises pixels: (pixels / 255 - mean) / std, float32 (T, H, W, 3)."""
    ordered = frames[..., ::-1] if bgr else frames
    return (ordered.astype(np.float32) / 255 - MEAN) / STD
