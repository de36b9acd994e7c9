"""Writes tiny files of the real formats: NTU RGB+D, EgoGesture, MM-IMDB."""

import json
from pathlib import Path

import av
import h5py
import numpy as np
from PIL import Image

from bmnas.tasks.mmimdb.split import GENRES

IDENTITY = 72057594037931101  # 17 digits, more than a float holds


# NTU RGB+D


def skeleton_text(frames, crlf=True):
    """Frames of bodies (id, joints (25, 12)) as a .skeleton file."""
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for identity, joints in bodies:
            lines += [f"{identity} 0 1 2 0 3 0 0.125 -0.25 2", "25"]
            lines += [" ".join([*(f"{v:.7g}" for v in joint[:11]), str(int(joint[11]))]) for joint in joints]
    end = "\r\n" if crlf else "\n"
    return end.join(lines) + end


def some_joints(rng):
    return np.column_stack([rng.normal(size=(25, 11)).astype(np.float32), rng.integers(0, 3, 25)]).astype(float)


def some_frames(rng, counts):
    """A frame for each number of bodies."""
    return [[(IDENTITY + 2 * i, some_joints(rng)) for i in range(count)] for count in counts]


def write_avi(path, frames, size=(64, 64), codec="mpeg4", noisy=False):
    """A video whose frame k is grey of the value 10 + 5 k, or noise, which takes room."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        for k in range(frames):
            grey = np.full((*size, 3), min(10 + 5 * k, 250), np.uint8)
            picture = rng.integers(0, 256, grey.shape, dtype=np.uint8) if noisy else grey
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def ntu_name(performer, action, camera=1, replication=1):
    return f"S001C{camera:03d}P{performer:03d}R{replication:03d}A{action:03d}"


def write_ntu(
    root, names=None, video="nturgbd_rgb/avi_256x256_30", skeleton="nturgbd_skeletons", frames=6, size=(64, 64)
):
    """Two actions of a few performers of every split."""
    names = names or [ntu_name(p, a) for p in (1, 4, 27, 2, 5, 3, 6) for a in (1, 60)]
    for folder in (video, skeleton):
        (root / folder).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for i, name in enumerate(names):
        write_avi(root / video / f"{name}_rgb.avi", frames, size)
        text = skeleton_text(some_frames(rng, [1 + i % 2] * frames))
        (root / skeleton / f"{name}.skeleton").write_bytes(text.encode())
    return names


# EgoGesture

LABELS = [f"gesture {i}" for i in range(1, 84)]
SUBJECTS = {"training": (3, 4), "validation": (1, 7), "testing": (2, 9)}


def ego_database(clips=2, frames=8):
    """Entries as in the JSON: both "7.0" and "7"; a folder that repeats gets a line number."""
    database = {}
    for subset, subjects in SUBJECTS.items():
        for subject in subjects:
            folder = f"Subject{subject:02d}/Scene1/Color/rgb1"
            for i in range(clips):
                key = folder if i == 0 else f"{folder}_{len(database) + 1}"
                last = frames - i  # no clip twice
                start, end = ("1.0", f"{last - 1}.0") if subset == "training" else ("2", str(last))
                label = LABELS[(subject + i) % 83]
                about = {"label": label, "start_frame": start, "end_frame": end}
                database[key] = {"subset": subset, "annotations": about}
    return database


def write_ego(root, clips=2, frames=8, size=(24, 32)):
    root.mkdir(parents=True, exist_ok=True)
    content = {"labels": LABELS, "database": ego_database(clips, frames)}
    (root / "egogestureall_but_None.json").write_text(json.dumps(content))
    rng = np.random.default_rng(0)
    for subjects in SUBJECTS.values():
        for subject in subjects:
            for folder, shape in (("Color/rgb1", (*size, 3)), ("Depth/depth1", size)):
                place = root / f"Subject{subject:02d}/Scene1" / folder
                place.mkdir(parents=True)
                for k in range(1, frames + 1):
                    Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(place / f"{k:06d}.jpg")


def write_ego_lists(root, frames=8, clips=2):
    names = {"training": "train", "validation": "val", "testing": "test"}
    lines = {subset: [] for subset in names}
    for key, entry in ego_database(clips, frames).items():
        about = entry["annotations"]
        number = LABELS.index(about["label"]) + 1
        lines[entry["subset"]].append(f"{key.split('_')[0]} {number} {about['start_frame']} {about['end_frame']}")
    for subset, name in names.items():
        (root / f"{name}listall_but_None.txt").write_text("\n".join(lines[subset]) + "\n")
    classes = [f"{i} {name}" for i, name in enumerate([*LABELS, "None"], start=1)]
    (root / "classIndAll.txt").write_text("\n".join(classes) + "\n")


# MM-IMDB

IDS = [f"{n:07d}" for n in range(106714, 106726)]
SPLIT = {"train": IDS[:6], "dev": IDS[6:8], "test": IDS[8:]}


ORDER = [5, 4, 3, 2, 1, 0, 7, 6, 11, 10, 9, 8]  # of the rows of the HDF5 file, which split.json does not share
VECTORS = {"love": 1.0, "plot": 3.0, "unused": 9.0}


def plot(i):
    """The longest plot of movie i: one word "plot", i + 1 times "love", and words without vectors."""
    return f"A longer Plot of love{' Love' * i}."


def posters(n=12):
    """Pictures of the size that is stored, uint8 (n, 256, 160, 3), red, green, blue."""
    return np.random.default_rng(0).integers(0, 256, (n, 256, 160, 3)).astype(np.uint8)


def movies(n=12):
    """What make_dataset.py stores: blue, green, red less their means as int32, and mean word vectors."""
    genres = (np.random.default_rng(0).random((n, 23)) < 0.3).astype(np.int32)
    genres[:, 0] |= ~genres.any(1)
    images = np.empty((n, 3, 256, 160), np.int32)
    for channel, mean in enumerate((103.939, 116.779, 123.68)):
        images[:, channel] = (posters(n)[..., 2 - channel] - mean).astype(np.int32)
    means = [np.mean([VECTORS["plot"], *[VECTORS["love"]] * (i + 1)]) for i in range(n)]
    features = np.repeat(np.float32(means)[:, None], 300, axis=1)
    return {"features": features, "images": images, "genres": genres}


def write_split(root):
    root.mkdir(parents=True, exist_ok=True)
    (root / "split.json").write_text(json.dumps(SPLIT))


def write_hdf5(root, change=None):
    """multimodal_imdb.hdf5; `change(data, names)` may spoil it."""
    write_split(root)
    data = {**movies(), "imdb_ids": np.array(IDS, "S7"), "vgg_features": np.zeros((12, 4096), np.float32)}
    data = {name: values[ORDER] for name, values in data.items()}
    names = {"target_names": json.dumps(GENRES)}
    if change:
        change(data, names)
    with h5py.File(root / "multimodal_imdb.hdf5", "w") as file:
        for name, values in data.items():
            file.create_dataset(name, data=values)
        if "genres" in data:
            for name, text in names.items():
                file["genres"].attrs[name] = text


def write_npy(root):
    """The folders that the release prepares."""
    write_split(root)
    data, start = movies(), 0
    for part, ids in SPLIT.items():
        (root / part).mkdir()
        for i in range(len(ids)):
            for field, key in (("image", "images"), ("text", "features"), ("label", "genres")):
                np.save(root / part / f"{field}_{i:06d}.npy", data[key][start + i])
        start += len(ids)


def write_raw(root):
    """dataset/<id>.json and .jpeg (without loss, so that the pixels are known), and vectors of a few words."""
    write_split(root)
    (root / "dataset").mkdir()
    genres = movies()["genres"]
    for i, name in enumerate(IDS):
        about = {
            "plot": ["Short.", plot(i)],
            "genres": [*(GENRES[k] for k in np.flatnonzero(genres[i])), "News"],
            "title": "Film",
            "year": 1990,
        }
        (root / "dataset" / f"{name}.json").write_text(json.dumps(about))
        Image.fromarray(posters()[i]).save(root / "dataset" / f"{name}.jpeg", format="png")
    write_vectors(root / "word2vec.bin", VECTORS)


def write_vectors(path: Path, values, length=300):
    with path.open("wb") as file:
        file.write(f"{len(values)} {length}\n".encode())
        for word, value in values.items():
            file.write(f"{word} ".encode() + np.full(length, value, "<f4").tobytes() + b"\n")
