"""NTU RGB+D's files: what is written is read, and every damage is one error that names the place."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmnas.errors import DataError
from bmnas.tasks.ntu.files import missing_skeletons, ntu_files
from bmnas.tasks.ntu.names import NtuName
from bmnas.tasks.ntu.skeleton import BODY_FIELDS, JOINT_FIELDS, read_skeleton, skeleton_array
from bmnas.tasks.ntu.video import frame_numbers, read_video
from tests.support import raw_files

RNG = np.random.default_rng(0)


def write(path, text):
    path.write_bytes(text.encode())
    return path


# names


@given(st.integers(1, 32), st.integers(1, 3), st.integers(1, 106), st.integers(1, 2), st.integers(1, 120))
def test_names_survive(setup, camera, performer, replication, action):
    name = NtuName(setup, camera, performer, replication, action)
    assert NtuName.parse(str(name)) == NtuName.parse(f"{name}_rgb") == name and len(str(name)) == 20
    assert name.label == action - 1
    assert name.in_ntu_60 == (setup <= 17 and performer <= 40 and action <= 60)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("S001C001P001R001A1", "'S001C001P001R001A1'"),
        ("s001C001P001R001A001", "three digits"),
        ("S001C004P001R001A001", "camera is 4"),
        ("S033C001P001R001A001", "setup is 33"),
        ("S001C001P000R001A001", "performer is 0"),
        ("S001C001P001R003A001", "replication is 3"),
        ("S001C001P001R001A121", "action is 121"),
        ("S001C001P001R001A001.skeleton", "expected Ssss"),
    ],
)
def test_bad_names(text, message):
    with pytest.raises(DataError, match=message):
        NtuName.parse(text)


# skeletons


NUMBER = st.floats(-1e4, 1e4, width=32) | st.just(math.nan)
BODY = st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**31))


@settings(max_examples=25, deadline=None)
@given(frames=st.lists(st.lists(BODY, max_size=3), min_size=1, max_size=4), value=NUMBER, crlf=st.booleans())
def test_skeletons_survive(tmp_path_factory, frames, value, crlf):
    given_frames = [[(i, raw_files.some_joints(np.random.default_rng(s))) for i, s in bodies] for bodies in frames]
    for bodies in given_frames:
        for _, joints in bodies:
            joints[3, 1] = value
    path = write(tmp_path_factory.mktemp("s") / "a.skeleton", raw_files.skeleton_text(given_frames, crlf))
    read = read_skeleton(path)
    assert [[body.id for body in bodies] for bodies in read] == [[i for i, _ in bodies] for bodies in given_frames]
    for bodies, originals in zip(read, given_frames, strict=True):
        for body, (_, joints) in zip(bodies, originals, strict=True):
            np.testing.assert_allclose(body.joints, joints, rtol=1e-6)
            assert (body.flags, body.lean, body.state) == ((0, 1, 2, 0, 3, 0), (0.125, -0.25), 2)


def test_a_body_id_is_never_a_float(tmp_path):
    path = write(tmp_path / "a.skeleton", raw_files.skeleton_text([[(72057594037931101, raw_files.some_joints(RNG))]]))
    (body,) = read_skeleton(path)[0]
    assert body.id == 72057594037931101 != int(float(body.id)) and isinstance(body.id, int)


def array_of(tmp_path, frames):
    return skeleton_array(read_skeleton(write(tmp_path / "a.skeleton", raw_files.skeleton_text(frames))))


def test_array_by_hand(tmp_path):
    """Linear interpolation at (t + 1/2) T / 32 - 1/2, clamped; then joint 1 of person 0 is the origin."""
    frames = raw_files.some_frames(np.random.default_rng(1), [2, 1, 0, 3, 2])
    frames[1][0][1][4, 0] = math.nan
    raw = np.zeros((3, 5, 25, 2))
    for t, bodies in enumerate(frames):
        for p, (_, joints) in enumerate(bodies[:2]):
            raw[:, t, :, p] = np.nan_to_num(np.float32(joints[:, :3])).T
    times = np.clip((np.arange(32) + 0.5) * 5 / 32 - 0.5, 0, 4)
    expected = np.apply_along_axis(lambda line: np.interp(times, np.arange(5), line), 1, raw)
    expected -= expected[:, :, 1:2, :1].copy()
    array = array_of(tmp_path, frames)
    assert array.shape == (3, 32, 25, 2) and array.dtype == np.float32
    np.testing.assert_allclose(array, expected, atol=1e-5)


def test_bodies_that_vanish_switch_and_are_too_many(tmp_path):
    first, second, third = (raw_files.some_joints(RNG) for _ in range(3))
    full = array_of(tmp_path, [[(1, first), (2, second)]] * 2)
    assert np.array_equal(array_of(tmp_path, [[(9, first), (8, second), (7, third)]] * 2), full)
    assert not np.array_equal(array_of(tmp_path, [[(2, second), (1, first)]] * 2), full)
    assert not array_of(tmp_path, [[], []]).any()
    alone = array_of(tmp_path, [[(1, first)]])
    assert np.allclose(alone[:, 0, :, 1], -np.float32(first[1, :3])[:, None], atol=1e-6)  # the absent person: -origin


def spoil(line, field=None, value=None, text=None):
    """Changes one field, or the whole, of a line counted from 1."""

    def change(lines):
        if text is not None:
            lines[line - 1] = text
        else:
            parts = lines[line - 1].split(" ")
            parts[field] = value
            lines[line - 1] = " ".join(parts)

    return change


BODY_PLACES = {name: i for i, name in enumerate(BODY_FIELDS)}
JOINT_PLACES = {name: i for i, name in enumerate(JOINT_FIELDS)}
BROKEN = [
    (spoil(1, text="two"), 1, "frame count"),
    (spoil(1, text="-2"), 1, "frame count"),
    (spoil(1, text="0"), 1, "frame count"),
    (spoil(1, text="2.0"), 1, "frame count"),
    (spoil(1, text=""), 1, "frame count"),
    (spoil(1, text="3"), 58, "body count.*cut short"),
    (spoil(1, text="1"), 30, "behind the last frame"),
    (spoil(2, text="one"), 2, "body count"),
    (spoil(2, text="2"), 30, "number of fields of a body is 1"),
    (spoil(2, text="0"), 3, "body count is '72057"),
    (spoil(4, text="24"), 4, "joint count is 24"),
    (spoil(4, text="x"), 4, "joint count"),
    (spoil(5, text="1 2 3"), 5, "number of fields of a joint is 3"),
    (spoil(3, text="1 2 3"), 3, "number of fields of a body is 3"),
    *[(spoil(3, i, "?"), 3, name) for name, i in BODY_PLACES.items()],
    *[(spoil(17, i, "?"), 17, name) for name, i in JOINT_PLACES.items()],
    (spoil(3, 0, "72057594037931101.0"), 3, "bodyID"),
    (spoil(3, 0, str(2**63)), 3, "bodyID"),
    (spoil(29, 2, "inf"), 29, "z is 'inf'"),
    (spoil(29, 2, "1_0"), 29, "z is '1_0'"),
    (spoil(29, 11, "3"), 29, "trackingState is '3'"),
    (spoil(29, 11, "1.0"), 29, "trackingState"),
    (lambda lines: lines.append("0"), 58, "behind the last frame is '0'"),
    (lambda lines: lines.pop(), 57, "joint is 'missing'"),
    (lambda lines: lines.__delitem__(slice(40, None)), 41, "joint is 'missing'"),
    (lambda lines: lines.__delitem__(slice(0, None)), 1, "frame count is 'missing'"),
    (lambda lines: lines.__setitem__(-1, lines[-1].rsplit(" ", 1)[0]), 57, "number of fields of a joint is 11"),
]


@pytest.mark.parametrize(("change", "line", "field"), BROKEN)
def test_broken_skeletons(tmp_path, change, line, field):
    lines = raw_files.skeleton_text(raw_files.some_frames(np.random.default_rng(0), [1, 1])).split("\r\n")[:-1]
    assert len(lines) == 57
    change(lines)
    path = write(tmp_path / "a.skeleton", "".join(f"{text}\r\n" for text in lines))
    with pytest.raises(DataError, match=rf"a\.skeleton, line {line}: .*{field}"):
        read_skeleton(path)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_file_cut_anywhere_inside_is_refused(tmp_path_factory, data):
    text = raw_files.skeleton_text(raw_files.some_frames(np.random.default_rng(0), [1, 2]))
    cut = text[: data.draw(st.integers(0, len(text) - 3))]  # without "\r\n" and the last digit
    path = write(tmp_path_factory.mktemp("s") / "a.skeleton", cut)
    with pytest.raises(DataError, match=r"a\.skeleton, line \d+"):
        read_skeleton(path)


def test_binary_and_missing_skeletons(tmp_path):
    (tmp_path / "b.skeleton").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="b.skeleton"):
        read_skeleton(tmp_path / "b.skeleton")
    with pytest.raises(DataError, match="c.skeleton is missing"):
        read_skeleton(tmp_path / "c.skeleton")


# videos


@given(frames=st.integers(1, 300), wanted=st.integers(1, 32))
def test_frame_numbers_exist_and_are_spread(frames, wanted):
    numbers = frame_numbers(frames, wanted)
    assert len(numbers) == wanted and (np.diff(numbers) >= 0).all()
    assert numbers[0] == 0 and (wanted == 1 or numbers[-1] == frames - 1)
    assert wanted == 1 or frame_numbers(frames, wanted, reference=True)[-1] == frames  # the frame that never exists


def test_eight_frames_through_twenty_four():
    assert frame_numbers(24, 8, through=24).tolist() == [0, 3, 6, 9, 13, 16, 19, 23]


def test_videos_are_decoded_in_order_and_scaled(tmp_path):
    raw_files.write_avi(tmp_path / "a.avi", 20)
    video = read_video(tmp_path / "a.avi", 4, (32, 48))
    assert video.shape == (4, 32, 48, 3) and video.dtype == np.uint8
    assert np.abs(video.mean((1, 2, 3)) - (10 + 5 * np.array([0, 6, 12, 19]))).max() < 4
    assert not read_video(tmp_path / "a.avi", 4, (32, 48), reference=True)[-1].any()


def cut_video(tmp_path, part):
    raw_files.write_avi(tmp_path / "whole.avi", 20)
    content = (tmp_path / "whole.avi").read_bytes()
    (tmp_path / "a.avi").write_bytes(content[: int(len(content) * part)])


def spoil_video(tmp_path, part):
    """H.264 as in NTU RGB+D, a part of its bytes zero."""
    raw_files.write_avi(tmp_path / "a.avi", 60, codec="libx264", noisy=True)
    content = bytearray((tmp_path / "a.avi").read_bytes())
    start, stop = (int(len(content) * share) for share in (part.start, part.stop))
    content[start:stop] = bytes(stop - start)
    (tmp_path / "a.avi").write_bytes(content)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_whole_videos_are_not_taken_for_damaged(tmp_path, codec):
    raw_files.write_avi(tmp_path / "a.avi", 60, (256, 256), codec, noisy=True)
    with (tmp_path / "a.avi").open("ab") as file:
        file.write(b"more than the header promises")
    assert read_video(tmp_path / "a.avi", 8, (256, 256), 24).std() > 10


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: None, "is missing"),
        (lambda p: (p / "a.avi").write_bytes(b""), "cannot be decoded"),
        (lambda p: (p / "a.avi").write_bytes(b"RIFF" + b"\0" * 500), "cannot be decoded|no video|no frame|no codec"),
        (lambda p: (p / "a.avi").write_text("not a video"), "cannot be decoded"),
        (lambda p: cut_video(p, 0.05), "cut short: [0-9,]+ bytes follow its header; expected [0-9,]+"),
        (lambda p: cut_video(p, 0.5), "cut short"),
        (lambda p: cut_video(p, 0.99), "cut short"),
        (lambda p: spoil_video(p, slice(0.3, 0.5)), "frame [0-9]+ is damaged|cannot be decoded"),
        (lambda p: spoil_video(p, slice(0.6, 0.61)), "frame [0-9]+ is damaged|cannot be decoded"),
        (lambda p: (p / "a.avi").mkdir(), "cannot be read"),
    ],
)
def test_broken_videos(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(DataError, match=rf"a\.avi.*({message})"):
        read_video(tmp_path / "a.avi", 8, (64, 64))


# pairs


@pytest.mark.parametrize("video", ["nturgbd_rgb/avi_256x256_30", "nturgb+d_rgb_256x256_30", "nturgb+d_rgb"])
@pytest.mark.parametrize("skeleton", ["nturgbd_skeletons", "nturgb+d_skeletons"])
def test_all_folder_names_in_use(tmp_path, video, skeleton):
    for folder, suffix in ((video, "_rgb.avi"), (skeleton, ".skeleton")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / f"S001C001P001R001A001{suffix}").touch()
    assert [str(name) for name in ntu_files(tmp_path).names] == ["S001C001P001R001A001"]


def touch(root, videos, skeletons):
    for folder, names, suffix in (
        ("nturgbd_rgb/avi_256x256_30", videos, "_rgb.avi"),
        ("nturgbd_skeletons", skeletons, ".skeleton"),
    ):
        (root / folder).mkdir(parents=True)
        for name in names:
            (root / folder / f"{name}{suffix}").touch()


def test_one_missing_file_shifts_no_pair(tmp_path):
    names = [raw_files.ntu_name(1, action) for action in range(1, 7)]
    touch(tmp_path, [*names[:1], *names[2:], "S018C001P041R001A061"], names[:4] + names[5:])
    files = ntu_files(tmp_path)
    assert [str(n) for n in files.names] == [names[0], names[2], names[3], names[5]]
    for name, video, skeleton in zip(files.names, files.videos, files.skeletons, strict=True):
        assert video.name == f"{name}_rgb.avi" and skeleton.name == f"{name}.skeleton"
    assert [str(n) for n in files.only_skeleton] == [names[1]] and [str(n) for n in files.only_video] == [names[4]]
    assert files.counts == {
        "pairs": 4,
        "only_video": 1,
        "only_skeleton": 1,
        "ntu_120": 1,
        "listed_missing": 0,
        "listed_and_paired": 0,
    }


@pytest.mark.parametrize("file", ["NTU_RGBD_samples_with_missing_skeletons.txt", "bad_skel.txt"])
def test_the_list_of_missing_skeletons(tmp_path, file):
    names = [raw_files.ntu_name(1, action) for action in range(1, 4)]
    touch(tmp_path, names, names)
    prose = "The samples that follow\nlack skeletons.\n\n"
    (tmp_path / file).write_text(prose + names[1] + "\n" + raw_files.ntu_name(40, 9) + ".skeleton\r\n")
    counts = ntu_files(tmp_path).counts
    assert (counts["listed_missing"], counts["listed_and_paired"]) == (2, 1)


@pytest.mark.parametrize(
    ("spoil_root", "message"),
    [
        (lambda r: None, "none of the folders nturgbd_rgb"),
        (lambda r: (r / "nturgb+d_rgb").mkdir(), "none of the folders nturgbd_skeletons"),
        (lambda r: touch(r, [], []), "0 videos and 0 skeletons"),
        (lambda r: touch(r, [raw_files.ntu_name(1, 1)], [raw_files.ntu_name(1, 2)]), "no name has both"),
        (lambda r: touch(r, ["S1C1P1R1A1"], []), "S1C1P1R1A1_rgb.avi: NTU name"),
        (lambda r: touch(r, [], ["S001C001P001R001A999"]), "A999.skeleton: NTU name: action is 999"),
    ],
)
def test_broken_folders(tmp_path, spoil_root, message):
    spoil_root(tmp_path)
    with pytest.raises(DataError, match=message):
        ntu_files(tmp_path)


def test_a_list_without_names_is_refused(tmp_path):
    touch(tmp_path, [raw_files.ntu_name(1, 1)], [raw_files.ntu_name(1, 1)])
    (tmp_path / "bad_skel.txt").write_text("nothing here\n")
    with pytest.raises(DataError, match="bad_skel.txt"):
        ntu_files(tmp_path)


@pytest.mark.parametrize("scaled", [3, 0])
def test_folders_of_one_kind_are_merged_by_name(tmp_path, scaled):
    """Some videos are scaled already: they are used, and none of the others is lost."""
    names = [raw_files.ntu_name(p, 1) for p in (1, 8, 2, 3, 5, 6, 7, 9, 10)]
    for folder, some in (("nturgb+d_rgb", names), ("nturgbd_rgb/avi_256x256_30", names[:scaled])):
        (tmp_path / folder).mkdir(parents=True)
        for name in some:
            (tmp_path / folder / f"{name}_rgb.avi").touch()
    for folder, some in (("nturgbd_skeletons", names[::2]), ("nturgb+d_skeletons", names[1::2])):
        (tmp_path / folder).mkdir()
        for name in some:
            (tmp_path / folder / f"{name}.skeleton").touch()
    files = ntu_files(tmp_path)
    assert sorted(map(str, files.names)) == sorted(names)
    small = {path.name.removesuffix("_rgb.avi") for path in files.videos if path.parent.name == "avi_256x256_30"}
    assert small == set(names[:scaled])
    assert sum(files.folders.values()) == 18 and files.folders.get("nturgbd_rgb/avi_256x256_30", 0) == scaled


def test_most_samples_without_their_half_are_a_warning(tmp_path):
    names = [raw_files.ntu_name(p, 1) for p in (1, 8, 2, 3, 5)]
    touch(tmp_path, names[:2], names)
    with pytest.warns(UserWarning, match="2 of 5.*0.*skeleton, 3.*video"):
        ntu_files(tmp_path)


def test_both_lists_of_missing_skeletons_count(tmp_path):
    one, other = raw_files.ntu_name(1, 1), raw_files.ntu_name(2, 2)
    (tmp_path / "bad_skel.txt").write_text(f"{one}\n")
    (tmp_path / "NTU_RGBD_samples_with_missing_skeletons.txt").write_text(f"prose\n{other}\n")
    assert set(map(str, missing_skeletons(tmp_path))) == {one, other}
