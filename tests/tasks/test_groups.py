"""Which samples were recorded together, task by task: a comparison must not count them as independent."""

from pathlib import Path

import numpy as np
import pytest

from bmnas.registry import TASKS
from bmnas.tasks.egogesture.samples import EgoSamples
from bmnas.tasks.emoji.samples import families, read_emoji
from bmnas.tasks.ntu.samples import NtuSamples
from bmnas.tasks.preparation import key, prepare
from tests.support.raw_files import write_ego, write_ntu


def raw(name):
    task = TASKS[name]
    assert task.open_raw is not None
    return task.open_raw(task.options | ({"samples": 200} if name != "emoji" else {}), Path(), None)


def test_relatives_among_emoji_are_one_group():
    opened = raw("emoji")
    family = families(read_emoji())
    assert opened.groups is not None
    for rows in opened.splits.values():
        same = opened.groups[rows][:, None] == opened.groups[rows]
        assert np.array_equal(same, family[rows][:, None] == family[rows]) and same.sum() > len(rows)


@pytest.mark.parametrize("name", ["twodigits", "ink"])
def test_a_pair_is_of_the_groups_of_both_its_drawings(name):
    opened = raw(name)
    test = opened.splits["test"]
    assert opened.groups is not None
    groups = opened.groups[test].T.reshape(-1)  # those on the left, then those on the right
    drawings = np.concatenate([opened.inputs[side][test].reshape(len(test), -1) for side in ("Left", "Right")])
    numbers = np.unique(drawings, axis=0, return_inverse=True)[1].reshape(-1)
    assert len(np.unique(groups)) == len(np.unique(numbers)) == len(np.unique(np.stack([groups, numbers]), axis=1).T)


def test_one_performer_and_one_subject_are_one_group(tmp_path):
    write_ntu(tmp_path / "ntu")
    ntu = NtuSamples(tmp_path / "ntu")
    performers = [name[name.index("P") : name.index("R")] for name in ntu.names]
    groups = [ntu.group(row) for row in range(len(ntu))]
    assert len(set(zip(performers, groups, strict=True))) == len(set(performers)) == len(set(groups)) > 1
    write_ego(tmp_path / "ego")
    ego = EgoSamples(tmp_path / "ego")
    assert {ego.group(row) for row in range(len(ego))} == {f"subject {clip.subject}" for clip in ego.clips}


def test_groups_reach_the_stored_features_and_have_a_cache_of_their_own(tmp_path):
    features = prepare("twodigits", samples=60, cache=tmp_path)
    assert features.groups is not None and features.recorded_together(features.rows("test")).shape == (30, 2)
    task = TASKS["twodigits"]
    assert key(task, task.options) != key(type(task)(**{**vars(task), "grouped_by": ""}), task.options)
