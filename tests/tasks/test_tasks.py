"""The data sets: what each promises about its features, its pairs and its answer."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bmnas.config import EvalConfig, SearchConfig
from bmnas.machine import data_root
from bmnas.registry import TASKS
from bmnas.searching.algorithm1 import search
from bmnas.tasks.digits.formants import DIGITS, SOUNDS, spoken_digits
from bmnas.tasks.planted import planted_features, planted_genotype
from bmnas.tasks.preparation import prepare
from bmnas.tasks.sound import add_noise, log_mel, mel_weights
from bmnas.tasks.spoken_mnist import pairs as shared

RAW = pytest.mark.skipif(
    not (data_root() / "mnist").is_dir() or not (data_root() / "fsdd").is_dir(),
    reason=f"no MNIST and FSDD under {data_root()}: set BMNAS_DATA to try the real data",
)


def accuracy(logits, features, split):
    rows = features.rows(split)
    return (logits.argmax(1) == features.targets)[rows].mean()


def log_probabilities(logits):
    return torch.from_numpy(np.array(logits)).log_softmax(1).numpy()


def nearest_mean(features, names, labels=None):
    """The validation accuracy of a classifier by class means, on some features: an oracle that knows no network."""
    labels = features.targets if labels is None else labels
    flat = np.concatenate([features.arrays[name].reshape(len(features), -1) for name in names], 1).astype(np.float32)
    train, val = features.rows("train"), features.rows("val")
    means = np.stack([flat[train][labels[train] == k].mean(0) for k in range(labels.max() + 1)])
    distance = np.square(means).sum(1) - 2 * flat[val] @ means.T  # but for a term that all classes share
    return (distance.argmin(1) == labels[val]).mean()


# all


@pytest.mark.parametrize("name", TASKS)
def test_presets_fit_their_task(name):
    task = TASKS[name]
    assert task.name == name and (task.open_raw is None) != (task.make is None)
    assert isinstance(task.search_config, SearchConfig) and isinstance(task.eval_config, EvalConfig)
    assert {"seed", "L", "samples", "source"} <= set(task.options)
    assert task.options["L"] == task.search_config.L and task.source == task.options["source"]
    assert len(set(task.features)) == len(task.features) >= 2
    assert task.metric == ("weighted F1" if name in ("mmimdb", "emojitags") else "accuracy") and task.title
    for modality in task.modalities:
        assert task.make or tuple(modality.taps) == modality.features


def test_what_the_release_does_on_one_data_set_alone():
    settings = {name: TASKS[name].reference for name in TASKS if TASKS[name].reference}
    assert settings == {"ntu": {"train_reshape": False}, "mmimdb": {"ties": "earlier"}}
    config = TASKS["mmimdb"].search_config.change(mode="reference", **settings["mmimdb"])
    assert config.switch("ties") == "earlier"


# planted


@pytest.mark.parametrize(("K", "modalities"), [(2, 1), (2, 2), (8, 2), (7, 3), (12, 5)])
def test_planted_features_of_any_number_of_modalities(K, modalities):
    features = planted_features(K, modalities, samples=40)
    assert len(features.names) == K and len(features.modalities) == modalities
    sizes = [len(names) for names in features.modalities.values()]
    assert max(sizes) - min(sizes) <= 1
    answer = planted_genotype(features)
    answer.check(features.channels)
    assert modalities == 1 or len({name[0] for name in answer.features}) == 2
    assert features.source == "synthetic" and all(name in features.notes for name in answer.features)


def test_only_the_planted_pair_tells_what_can_be_told():
    """Class means see the two bits that each planted feature shows alone: 50 %; the third takes an interaction."""
    for seed in range(3):
        features = planted_features(seed=seed)
        pair = planted_genotype(features).features
        others = [name for name in features.names if name not in pair]
        alone = [nearest_mean(features, [name]) for name in pair]
        assert all(0.2 < score < 0.32 for score in alone)
        assert 0.42 < nearest_mean(features, pair) < 0.6
        assert all(nearest_mean(features, [name]) < min(alone) for name in others)


def test_other_seeds_plant_other_pairs():
    assert len({planted_genotype(planted_features(seed=seed, samples=20)).features for seed in range(10)}) > 4


@pytest.mark.slow
def test_the_published_search_finds_the_planted_pair():
    found = 0
    for seed in range(5):
        features = planted_features(seed=seed)
        config = TASKS["planted"].search_config.change(seed=seed, epochs=6, device="cpu", threads=1)
        best = [event for event in search(features, config) if event.is_best][-1]
        found += set(best.genotype.features) == set(planted_genotype(features).features)
    assert found >= 4


# digits


@pytest.fixture(scope="module")
def digits(prepared):
    return prepared("digits")


def test_digits_need_both_modalities(digits):
    assert digits.names == TASKS["digits"].features and digits.source == "synthetic"
    assert digits.vectors == {"Image_3"}
    both = sum(log_probabilities(logits) for logits in digits.logits.values())
    for split in ("val", "test"):
        alone = [accuracy(logits, digits, split) for logits in digits.logits.values()]
        assert all(0.68 <= score <= 0.82 for score in alone)
        assert accuracy(both, digits, split) > 0.85


def test_digits_backbones_do_not_know_the_searchs_rows_by_heart(digits):
    for report in digits.manifest["backbones"].values():
        assert abs(report["scores"]["train"] - report["scores"]["val"]) < 0.08 < report["scores"]["fit"]


def test_digits_images_are_real_and_each_is_used_once():
    from sklearn.datasets import load_digits

    raw = TASKS["digits"].open_raw(TASKS["digits"].resolve({"image_noise": 0.0, "copies": 0}), data_root(), None)
    pictures = raw.inputs["Image"].reshape(len(raw.labels), 64)
    scale = np.ptp(pictures) / 16
    back = np.rint((pictures - pictures.min()) / scale).astype(int)
    real, labels = load_digits(return_X_y=True)
    order = {(tuple(image), label) for image, label in zip(real.astype(int), labels, strict=True)}
    assert {(tuple(image), label) for image, label in zip(back, raw.labels, strict=True)} == order
    assert len(raw.labels) == 1797


def test_every_digit_sounds_different_and_every_sample_too():
    assert len(set(DIGITS)) == 10 and {sound for text in DIGITS for sound in text.split()} <= set(SOUNDS)
    sounds = spoken_digits(np.repeat(np.arange(10), 30), np.random.default_rng(0))
    assert sounds.shape == (300, 3200) and np.isfinite(sounds).all() and (sounds.std(1) > 0.01).all()
    mel = log_mel(sounds, 16, 16, 200).reshape(10, 30, -1)
    means = mel[:, :15].mean(1)
    predicted = np.square(mel[:, 15:, None] - means).sum(3).argmin(2)
    assert (predicted == np.arange(10)[:, None]).mean() > 0.3  # chance is 0.1
    assert np.ptp(sounds[:30], axis=0).max() > 0


# sound


def test_noise_has_the_ratio_that_was_asked_for():
    rng = np.random.default_rng(0)
    for snr in (-9.0, 0.0, 12.0):
        clean = np.full((3, 100_000), 0.5, np.float32)
        noise = add_noise(clean.copy(), snr, np.square(clean).mean(1), rng) - clean
        assert 10 * np.log10(0.25 / np.square(noise).mean(1)) == pytest.approx([snr] * 3, abs=0.1)


def test_a_tone_lights_up_its_band():
    time = np.arange(8000) / 8000
    weights = mel_weights(32, 60, 4000)
    for hertz in (200, 1000, 3000):
        mel = log_mel(np.sin(2 * np.pi * hertz * time, dtype=np.float32)[None], 32, 32, 250)
        assert mel.shape == (1, 1, 32, 32)
        band = int(mel[0, 0, :, 16].argmax())
        assert band == int(weights[:, round(hertz / (4000 / 128))].argmax())
        assert mel.mean() == pytest.approx(0, abs=1e-3) and mel.std() == pytest.approx(1, abs=1e-2)


# avmnist and avsum


@settings(max_examples=20, deadline=None)
@given(count=st.one_of(st.integers(80, 27500), st.just("full")), separate=st.booleans())
def test_no_image_is_in_two_splits(count, separate):
    parts = shared.choose_images(count, separate, np.random.default_rng(0))
    everything = np.concatenate(list(parts.values()))
    assert len(np.unique(everything)) == len(everything) and ("fit" in parts) == separate
    for split, (start, stop) in shared.IMAGES.items():
        assert (parts[split] >= start).all() and (parts[split] < stop).all()
    full = 27500 if separate else 55000
    assert len(parts["train"]) == (full if count == "full" else count)
    assert (len(parts["val"]), len(parts["test"])) == (
        (5000, 10000) if count == "full" else (min(5000, count // 8), min(10000, count // 4))
    )


def test_the_recommended_sizes():
    parts = shared.choose_images(20000, True, np.random.default_rng(0))
    assert [len(parts[name]) for name in ("train", "val", "test", "fit")] == [20000, 2500, 5000, 20000]
    assert (np.diff(parts["val"]) == 2).all() and (np.diff(parts["test"]) == 2).all()  # every second


def test_no_recording_is_in_two_splits():
    numbers = [number for split in shared.RECORDINGS.values() for number in split]
    assert sorted(numbers) == list(range(50))
    assert list(shared.RECORDINGS["test"]) == list(range(5))  # FSDD's official test part


def recordings():
    """Four sounds of each digit and number, of different lengths."""
    digits = np.tile(np.arange(10), 100)
    numbers = np.repeat(np.arange(50), 20)
    sounds = [np.full(100 + i, 0.1, np.float32) for i in range(1000)]
    return shared.Recordings(sounds, digits, numbers)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.sampled_from(list(shared.RECORDINGS.values())))
def test_pairs_by_digit_use_all_recordings_alike(digits, numbers):
    given, heard = np.array(digits), recordings()
    chosen = shared.same_digit(given, heard, numbers, np.random.default_rng(0))
    assert (heard.digits[chosen] == given).all() and set(heard.numbers[chosen]) <= set(numbers)
    for digit in range(10):
        used = np.unique(chosen[given == digit], return_counts=True)[1]
        assert len(used) == min((given == digit).sum(), 2 * len(numbers)) and np.ptp(used if len(used) else [0]) <= 1


def test_pairs_at_random_know_nothing_of_the_image():
    given, heard = np.repeat(np.arange(10), 400), recordings()
    chosen = shared.any_digit(given, heard, range(5, 10), np.random.default_rng(0))
    assert set(heard.numbers[chosen]) == set(range(5, 10))
    table = np.zeros((10, 10))
    np.add.at(table, (given, heard.digits[chosen]), 1)
    assert (table.sum(0) == 400).all() and np.abs(table - 40).max() < 30


def test_a_long_recording_is_cut_and_a_short_one_moves():
    short, long = np.ones(800, np.float32), np.ones(18000, np.float32)
    heard = shared.Recordings([short, long], np.array([0, 1]), np.array([0, 0]))
    mel = shared.spectrograms(heard, np.array([0] * 20 + [1]), None, np.random.default_rng(0))
    assert mel.shape == (21, 1, 32, 32) and np.isfinite(mel).all()
    starts = mel[:20, 0].max(1).argmax(1)
    assert len(set(starts.tolist())) > 5


def test_pca_keeps_as_many_directions_as_asked():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (300, 28, 28)).astype(np.uint8)
    train = np.arange(200)
    whole = shared.pictures(images, np.arange(300), train, None)
    assert whole[train].mean() == pytest.approx(0, abs=1e-4) and whole[train].std() == pytest.approx(1, abs=1e-4)
    kept = shared.pictures(images, np.arange(300), train, 3).reshape(300, 784)
    values = np.linalg.svd(kept[train] - kept[train].mean(0), compute_uv=False)
    assert values[2] > 1 and values[3] < 1e-2
    other = images.copy()
    other[200:] = 0
    assert (shared.pictures(other, train, train, 3).reshape(200, 784) == kept[train]).all()  # no look at other splits


@RAW
def test_avmnist_on_a_few_real_pairs(tmp_path):
    features = prepare("avmnist", samples=400, cache=tmp_path, device="cpu")
    assert features.names == TASKS["avmnist"].features and features.source == "real"
    assert features.vectors == {"Audio_5"} and features.L == 4
    assert [len(features.rows(split)) for split in ("train", "val", "test")] == [400, 50, 100]
    assert features.manifest["backbones"]["Image"]["rows"] == 400
    assert accuracy(features.logits["Image"], features, "test") > 0.3  # chance is 0.1


@RAW
def test_avsum_is_at_chance_for_one_modality(tmp_path):
    task = TASKS["avsum"]
    raw = task.open_raw(task.resolve({"samples": 800}), data_root(), None)
    own = raw.own_labels
    assert ((own["Image"] + own["Audio"]) % 10 == raw.labels).all()
    train = raw.splits["train"]
    for digits in own.values():
        table = np.zeros((10, 10))
        np.add.at(table, (digits[train], raw.labels[train]), 1)
        assert table.max(1).sum() / len(train) < 0.2  # the best guess from one digit alone
    assert set(raw.backbone_rows).isdisjoint(np.concatenate(list(raw.splits.values())))
