"""MM-IMDB's three forms: what is written is read, every damage is one error that names the place."""

import json

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bmnas.errors import DataError
from bmnas.tasks.mmimdb.hdf5 import MmimdbFile
from bmnas.tasks.mmimdb.npy import read_npy
from bmnas.tasks.mmimdb.posters import less_mean, mean_is_subtracted, network_input, read_poster
from bmnas.tasks.mmimdb.raw import genre_targets, read_movie
from bmnas.tasks.mmimdb.samples import MmimdbSamples
from bmnas.tasks.mmimdb.split import DROPPED, GENRES, read_split, split_rows
from bmnas.tasks.mmimdb.word2vec import mean_vector, read_vectors, words
from tests.support import raw_files


def test_the_genres_are_the_papers():
    """Table 9's counts, in descending order."""
    assert len(GENRES) == 23 and not set(GENRES) & set(DROPPED) and len(DROPPED) == 4
    assert GENRES[:3] == ("Drama", "Comedy", "Romance") and GENRES[16] == "Music" and GENRES[-1] == "Film-Noir"


# split.json


@given(st.lists(st.integers(0, 9_999_999), min_size=3, max_size=40, unique=True), st.data())
def test_splits_survive(tmp_path_factory, numbers, data):
    ids = [f"{n:07d}" for n in numbers]
    a = data.draw(st.integers(1, len(ids) - 2))
    b = data.draw(st.integers(a + 1, len(ids) - 1))
    path = tmp_path_factory.mktemp("m") / "split.json"
    path.write_text(json.dumps({"train": ids[:a], "dev": ids[a:b], "test": ids[b:]}))
    found = read_split(path)
    assert [*found["train"], *found["val"], *found["test"]] == ids
    assert np.concatenate(list(split_rows(found).values())).tolist() == list(range(len(ids)))


GOOD = {"train": ["0000001"], "dev": ["0000002"], "test": ["0000003"]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{", "line 1: not JSON"),
        ("[]", "outermost value is 'list'"),
        ({k: GOOD[k] for k in ("train", "test")}, "dev is None"),
        ({**GOOD, "test": []}, r"test is \[\]"),
        ({**GOOD, "dev": "0000002"}, "dev is '0000002'"),
        ({**GOOD, "dev": [2]}, r"dev\[0\] is 2; expected an id of 7 digits"),
        ({**GOOD, "dev": ["2"]}, r"dev\[0\] is '2'"),
        ({**GOOD, "dev": ["tt00002"]}, r"dev\[0\] is 'tt00002'"),
        (
            {**GOOD, "test": ["0000003", "0000001"]},
            r"test\[1\] is '0000001'; expected an id that is not yet in train\[0\]",
        ),
    ],
)
def test_broken_splits(tmp_path, data, message):
    (tmp_path / "split.json").write_text(data if isinstance(data, str) else json.dumps(data))
    with pytest.raises(DataError, match=rf"split\.json.*{message}"):
        read_split(tmp_path / "split.json")


# multimodal_imdb.hdf5


def test_the_hdf5_file_survives(tmp_path):
    raw_files.write_hdf5(tmp_path)
    movies = raw_files.movies()
    with MmimdbFile(tmp_path / "multimodal_imdb.hdf5") as file:
        assert file.genres == GENRES and set(file.rows) == set(raw_files.IDS) and len(file) == 12
        for i in (0, 7, 11):
            row = file.rows[raw_files.IDS[i]]
            assert row == raw_files.ORDER.index(i)
            assert np.array_equal(file.text(row), movies["features"][i]) and file.text(row).dtype == np.float32
            assert np.array_equal(file.image(row), movies["images"][i]) and file.image(row).dtype == np.float32
            assert np.array_equal(file.target(row), movies["genres"][i]) and file.target(row).dtype == np.float32


def drop(name):
    return lambda data, names: data.pop(name)


def swap(name, make):
    return lambda data, names: data.__setitem__(name, make(data[name]))


def names(text):
    return lambda data, attributes: attributes.__setitem__("target_names", text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *[(drop(name), f"data set {name} is 'missing'") for name in ("features", "images", "genres", "imdb_ids")],
        (swap("features", lambda x: x[:, :100]), "the shape of features"),
        (swap("features", lambda x: x[:3]), "the shape of images"),
        (swap("features", lambda x: x[:, None]), "the shape of features"),
        (swap("features", lambda x: x.astype(int)), "the type of features is 'int64'"),
        (swap("images", lambda x: x.transpose(0, 2, 3, 1)), "the shape of images"),
        (swap("images", lambda x: x[:, :, :128].astype(float)), "the shape of images"),
        (swap("images", lambda x: x.astype(np.float32)), "the type of images is 'float32'"),
        (swap("genres", lambda x: x[:, 0]), "the shape of genres"),
        (swap("imdb_ids", lambda x: np.arange(12)), "the type of imdb_ids"),
        (names("Drama, Comedy"), "target_names.*expected a JSON list of names"),
        (names("[1]"), "target_names.*JSON list"),
        (names(json.dumps(GENRES[:-1])), "target_names.*23 different names"),
        (names(json.dumps((*GENRES[:-1], "Drama"))), "target_names.*23 different names"),
        (lambda data, attributes: attributes.clear(), "target_names'\\] is None"),
    ],
)
def test_broken_hdf5(tmp_path, change, message):
    raw_files.write_hdf5(tmp_path, change)
    with pytest.raises(DataError, match=rf"multimodal_imdb\.hdf5: .*{message}"):
        MmimdbFile(tmp_path / "multimodal_imdb.hdf5")


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5])
def test_an_hdf5_file_cut_short(tmp_path, part):
    raw_files.write_hdf5(tmp_path)
    path = tmp_path / "multimodal_imdb.hdf5"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(DataError, match=r"multimodal_imdb\.hdf5"):
        MmimdbFile(path)
    path.unlink()
    with pytest.raises(DataError, match=r"multimodal_imdb\.hdf5"):
        MmimdbFile(path)


def set_at(name, value):
    def change(data, attributes):
        data[name][5, 0] = value

    return change


@pytest.mark.parametrize(
    ("change", "read", "message"),
    [
        (set_at("images", 256), MmimdbFile.image, r"images\[5\] is '-123 to 256'"),
        (set_at("images", -200), MmimdbFile.image, r"images\[5\] is '-200"),
        (set_at("features", np.nan), MmimdbFile.text, r"features\[5\] is 'NaN"),
        (set_at("genres", 2), MmimdbFile.target, r"genres\[5\].*0 or 1 a genre"),
    ],
)
def test_right_form_and_wrong_content(tmp_path, change, read, message):
    raw_files.write_hdf5(tmp_path, change)
    with MmimdbFile(tmp_path / "multimodal_imdb.hdf5") as file, pytest.raises(DataError, match=message):
        read(file, 5)


# the prepared .npy folders


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("image", np.zeros((256, 160, 3)), "the shape of image"),
        ("image", np.full((3, 256, 160), np.nan), "image is 'NaN or infinite'"),
        ("text", np.full(300, -1e39), "text is '-1e.39 to -1e.39'; expected numbers that float32 holds"),
        ("text", np.zeros((7, 300)), "the shape of text"),
        ("text", np.full(300, np.inf), "text is 'NaN or infinite'"),
        ("text", np.zeros(300), "text is '0 throughout'"),
        ("text", np.full(300, -999), "text is '-999 throughout'"),
        ("label", np.zeros(27), "the shape of label"),
        ("label", np.full(23, 0.5), "0 or 1 a genre"),
        ("label", np.array(["a"] * 23), "the shape of label"),
        ("text", b"no npy", "cannot be read as a .npy"),
        ("text", b"", "cannot be read as a .npy"),
        ("text", None, "is missing"),
    ],
)
def test_broken_npy(tmp_path, field, value, message):
    (tmp_path / "dev").mkdir()
    path = tmp_path / "dev" / f"{field}_000003.npy"
    if isinstance(value, bytes):
        path.write_bytes(value)
    elif value is not None:
        np.save(path, value)
    with pytest.raises(DataError, match=rf"{field}_000003\.npy.*{message}"):
        read_npy(tmp_path, "dev", field, 3)


# the raw form


@given(
    st.lists(st.text(max_size=20), min_size=1), st.lists(st.sampled_from((*GENRES, *DROPPED)), min_size=1, unique=True)
)
def test_movies_survive(tmp_path_factory, plots, genres):
    path = tmp_path_factory.mktemp("m") / "0000001.json"
    path.write_text(json.dumps({"plot": plots, "genres": genres, "title": 3}))
    movie = read_movie(path)
    assert len(movie.plot) == max(map(len, plots)) and movie.plot in plots
    assert {GENRES[i] for i in np.flatnonzero(genre_targets(movie.genres))} == set(genres) - set(DROPPED)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{", "line 1: not JSON"),
        ("[]", "outermost value"),
        ({"genres": ["Drama"]}, "plot is None"),
        ({"plot": "text", "genres": ["Drama"]}, "plot is 'text'"),
        ({"plot": [], "genres": ["Drama"]}, r"plot is \[\]"),
        ({"plot": ["a", 1], "genres": ["Drama"]}, "plot is"),
        ({"plot": ["a"]}, "genres is None"),
        ({"plot": ["a"], "genres": ["drama"]}, "genres is 'drama'; expected one of Drama"),
    ],
)
def test_broken_movies(tmp_path, data, message):
    (tmp_path / "1.json").write_text(data if isinstance(data, str) else json.dumps(data))
    with pytest.raises(DataError, match=rf"1\.json.*{message}"):
        read_movie(tmp_path / "1.json")


# posters


def test_a_poster_of_the_stored_size_is_blue_green_red_less_the_mean(tmp_path):
    raw_files.write_raw(tmp_path)
    poster = read_poster(tmp_path / "dataset" / f"{raw_files.IDS[3]}.jpeg")
    assert poster.dtype == np.float32 and np.array_equal(poster, raw_files.movies()["images"][3])


@pytest.mark.parametrize(
    ("size", "seen"),
    [((160, 256), (0, 1, 2)), ((160, 768), (1,)), ((480, 256), (1,)), ((1600, 7680), (1,)), ((4800, 2560), (1,))],
)
def test_posters_are_cropped_in_the_middle_and_not_squeezed(tmp_path, size, seen):
    """Three stripes along the longer side, of which the middle one has the wanted shape."""
    width, height = size
    picture = np.zeros((height, width, 3), np.uint8)
    line = picture if height > width else picture.transpose(1, 0, 2)
    for k, part in enumerate(np.array_split(line, 3)):
        part[...] = 50 + 50 * k
    Image.fromarray(picture).save(tmp_path / "poster.jpeg", format="png")
    greys = np.unique((read_poster(tmp_path / "poster.jpeg")[2] + 123.68).round())
    assert {round(float(grey) / 50) - 1 for grey in greys} == set(seen)


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_the_mean_is_subtracted_as_int32_does(red, green, blue):
    pixels = np.array([red, green, blue], np.uint8)[:, None, None]
    stored = [int(np.float32(value) - np.float32(mean)) for value, mean in zip(
        (blue, green, red), (103.939, 116.779, 123.68), strict=True)]  # fmt: skip
    assert less_mean(pixels).ravel().tolist() == stored


@pytest.mark.parametrize(
    ("lowest", "highest", "subtracted"),
    [(-123, 151, True), (-1, 3, True), (0, 255, False), (10, 153, False), (0, 152, True), (0, 0, True)],
)
def test_stored_images_tell_what_they_are(lowest, highest, subtracted):
    image = np.zeros((3, 256, 160), np.int32)
    image[0, 0, :2] = lowest, highest
    assert mean_is_subtracted([np.zeros_like(image), image]) is subtracted


@pytest.mark.parametrize("vector", [np.zeros(300), np.full(300, -999.0), np.full(300, 1e300), np.full(300, np.nan)])
def test_a_stored_mean_that_is_none_makes_its_movie_unreadable(tmp_path, vector):
    def change(data, names):
        features = data["features"].astype(np.float64)
        features[3] = vector
        data["features"] = features

    raw_files.write_hdf5(tmp_path, change)
    samples = MmimdbSamples(tmp_path)
    row = next(row for row, name in enumerate(samples.names) if raw_files.IDS[raw_files.ORDER[3]] == name)
    with pytest.raises(DataError, match=r"features\[3\]"):
        samples.read(row)
    samples.read(row - 1)


def test_pixels_become_what_the_network_takes(tmp_path):
    """Files of plain pixels, red, green, blue, give the same numbers as published ones."""
    raw_files.write_hdf5(tmp_path / "signed")
    pixels = raw_files.posters()[raw_files.ORDER].transpose(0, 3, 1, 2)
    raw_files.write_hdf5(tmp_path / "pixels", lambda data, names: data.update(images=pixels))
    one, other = MmimdbSamples(tmp_path / "signed"), MmimdbSamples(tmp_path / "pixels")
    assert all(np.array_equal(one.read(row)[0]["Image"], other.read(row)[0]["Image"]) for row in range(12))


@pytest.mark.parametrize(
    ("value", "subtracted", "message"),
    [
        (300, False, "image is '300 to 300'; expected pixels, 0 to 255"),
        (-1, False, "image is '-1 to -1'"),
        (0.5, False, "image is '0.5 to 0.5, with fractions'; expected whole pixels"),
        (153, True, "image is '153 to 153'; expected blue, green and red less their mean"),
        (-125, True, "image is '-125 to -125'"),
        (np.nan, True, "image is 'nan to nan'"),
        (np.linspace(0, 1, 160), True, "image is '0 to 1, with fractions'.*scaled"),
        (np.linspace(-2.1, 2.6, 160), True, "image is '-2.1 to 2.6, with fractions'.*scaled"),
    ],
)
def test_images_outside_their_range(tmp_path, value, subtracted, message):
    with pytest.raises(DataError, match=message):
        network_input(tmp_path, "image", np.full((3, 256, 160), value), subtracted)


# word vectors


@settings(deadline=None)
@given(st.dictionaries(st.from_regex(r"\A[A-Za-z']{1,9}\Z"), st.floats(-9, 9, width=32), min_size=1, max_size=8))
def test_vectors_survive(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("v") / "v.bin"
    raw_files.write_vectors(path, values)
    wanted = set(list(values)[::2])
    found = read_vectors(path, wanted)
    assert found.keys() == wanted and all((vector == values[word]).all() for word, vector in found.items())
    mean = mean_vector([*wanted, "unknown word"], found, "here")
    assert mean.dtype == np.float32 and mean == pytest.approx(np.mean([values[w] for w in wanted]), abs=1e-5)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The Ship sank in 1912. A café.", "the ship sank in N . a café ."),
        ("Don't go, Rosa-Maria 2!", "don ' t go , rosa - maria N !"),
        ("Zoë und Москва", "zoë und москва"),
        ("One<br />two <BR /> three", "one two three"),
        ("3rd of 1,000: a_b (c)", "N rd of N , N : a b ( c )"),
        ("~*+^`_#[]|", ""),
        ("tab\tand\nline\u00a0end", "tab and line end"),
        ("http://a.b/c?d rest\nof it", "L of it"),
        ("see http://a.b", "see http : / / a . b"),
        ('He said: "No"; then…', 'he said : " no " ; then…'),
        ("", ""),
    ],
)
def test_tokens_are_those_of_the_data_sets_own_script(text, tokens):
    """By hand from the rules of normalizeText in make_dataset.py."""
    assert words(text) == tokens.split()


@given(st.text())
def test_tokens_are_small_without_blanks_and_lose_no_letter(text):
    tokens = words(text)
    assert all(token == "".join(token.split()) != "" for token in tokens)
    assert not {c for token in tokens for c in token if c in "~*+^`_#[]|0123456789"}
    if "http" not in text.lower() and "<br" not in text.lower():
        letters = [c for c in text.lower() if c.isalpha()]
        assert [c for token in tokens if token != "N" for c in token if c.isalpha()] == letters


def test_a_mean_counts_repeated_words():
    vectors = {"the": np.full(300, 1.0, np.float32), "ship": np.full(300, 4.0, np.float32)}
    assert (mean_vector(words("The ship. The THE!"), vectors, "here") == 1.75).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1: the first line"),
        (b"three 300\n", "line 1: the first line"),
        (b"3 200\n", "line 1: length of a vector is 200"),
        (b"2 300\na " + bytes(1200), "word 1 is b''"),
        (b"1 300\na " + bytes(100), "the vector of word 0 is '100 bytes'"),
        (b"1 300\n" + b"x" * 5000, "word 0"),
        (b"1 300\na " + bytes(1200) + b"\nb " + bytes(1200), "number of words is 1; expected as many as there are"),
    ],
)
def test_broken_vectors(tmp_path, content, message):
    (tmp_path / "v.bin").write_bytes(content)
    with pytest.raises(DataError, match=rf"v\.bin.*{message}"):
        read_vectors(tmp_path / "v.bin", {"a"})


def test_a_plot_without_known_words_is_an_error():
    with pytest.raises(DataError, match="1.json.*plot"):
        mean_vector(["unknown"], {}, "1.json")


# the data set


@pytest.mark.parametrize("form", ["hdf5", "npy", "raw"])
def test_all_forms_give_the_same_samples(tmp_path, form):
    {"hdf5": raw_files.write_hdf5, "npy": raw_files.write_npy, "raw": raw_files.write_raw}[form](tmp_path)
    samples, movies = MmimdbSamples(tmp_path), raw_files.movies()
    assert (len(samples), samples.kind, samples.classes, samples.facts["form"]) == (12, "multilabel", GENRES, form)
    assert {part: len(rows) for part, rows in samples.splits.items()} == {"train": 6, "val": 2, "test": 4}
    for row in (0, 6, 11):
        inputs, label, name = samples[row]
        assert name == raw_files.IDS[row] and label.shape == (23,)
        assert inputs["Image"].shape == (3, 256, 160) and inputs["Text"].shape == (300,)
        assert np.array_equal(inputs["Image"], movies["images"][row])
        assert np.array_equal(label, movies["genres"][row])
        assert np.allclose(inputs["Text"], movies["features"][row], rtol=1e-6)


def test_genres_of_another_order_are_read_from_the_file(tmp_path):
    other = (GENRES[1], GENRES[0], *GENRES[2:])
    raw_files.write_hdf5(tmp_path, names(json.dumps(other)))
    assert MmimdbSamples(tmp_path).classes == other


def fuel_split(root, **changes):
    """Gives the HDF5 file Fuel's table of splits, of which one entry is another."""
    kinds = [("split", "S5"), ("source", "S12"), ("start", "i8"), ("stop", "i8"), ("available", "?")]
    bounds = {b"train": (0, 6), b"dev": (6, 8), b"test": (8, 12)}
    table = np.array([(s, f, *bounds[s], True) for f in (b"features", b"images") for s in bounds], kinds)
    for name, value in changes.items():
        table[3 if changes.get("source") else 0][name] = value
    with h5py.File(root / "multimodal_imdb.hdf5", "r+") as file:
        file.attrs["split"] = table


def test_the_files_own_table_of_splits_may_agree(tmp_path):
    raw_files.write_hdf5(tmp_path)
    fuel_split(tmp_path)
    assert [len(rows) for rows in MmimdbSamples(tmp_path).splits.values()] == [6, 2, 4]


@pytest.mark.parametrize("field", ["image", "text", "label"])
def test_prepared_folders_hold_the_movies_of_the_split_only(tmp_path, field):
    raw_files.write_npy(tmp_path)
    (tmp_path / f"dev/{field}_000002.npy").write_bytes(b"")
    with pytest.raises(DataError, match=rf"dev/{field}_000002.npy: one movie more than split.json has in dev, 2"):
        MmimdbSamples(tmp_path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda r: (r / "multimodal_imdb.hdf5").unlink(), "none of multimodal_imdb.hdf5, the folders train"),
        (lambda r: (r / "split.json").unlink(), "split.json is missing"),
        (
            lambda r: fuel_split(r, stop=5),
            r"split, train of features, is \(0, 5\); expected rows as split.json has them, but for 0106714",
        ),
        (lambda r: fuel_split(r, source=b"images", start=1), r"attribute split, train of images, is \(1, 6\)"),
        (lambda r: raw_files.write_hdf5(r, names(json.dumps((*GENRES[:-1], "News")))), "target_names.*the 23"),
        (
            lambda r: raw_files.write_hdf5(r, swap("imdb_ids", lambda ids: np.array(["9999999", *ids[1:]], "S7"))),
            "1 are missing, first '0106719' and 1 are not in split.json, first '9999999'",
        ),
        (
            lambda r: raw_files.write_hdf5(r, swap("imdb_ids", lambda ids: np.array([ids[1], *ids[1:]], "S7"))),
            r"imdb_ids\[1\] is '0106718'; expected an id that is not in row 0 yet",
        ),
    ],
)
def test_contradictions_are_refused(tmp_path, spoil, message):
    raw_files.write_hdf5(tmp_path)
    spoil(tmp_path)
    with pytest.raises(DataError, match=message):
        MmimdbSamples(tmp_path)


def test_the_raw_form_asks_for_word_vectors(tmp_path):
    raw_files.write_raw(tmp_path)
    (tmp_path / "word2vec.bin").unlink()
    with pytest.raises(DataError, match="needs word vectors"):
        MmimdbSamples(tmp_path)
    (tmp_path / "GoogleNews-vectors-negative300.bin.gz").touch()
    with pytest.raises(DataError, match=r"GoogleNews-vectors-negative300\.bin\.gz"):
        MmimdbSamples(tmp_path)


def test_movies_are_paired_by_id_in_any_order(tmp_path):
    """Rows exchanged within a split and across splits, ids with them."""
    order = np.random.default_rng(1).permutation(12)
    raw_files.write_hdf5(tmp_path, lambda data, names: data.update({k: v[order] for k, v in data.items()}))
    samples, movies = MmimdbSamples(tmp_path), raw_files.movies()
    for row in range(12):
        inputs, label = samples.read(row)
        assert np.array_equal(inputs["Text"], movies["features"][row])
        assert np.array_equal(label, movies["genres"][row])


@pytest.mark.parametrize(
    "kind", [h5py.string_dtype("utf-8"), h5py.string_dtype("ascii"), h5py.string_dtype("utf-8", 7)]
)
def test_ids_may_be_texts_of_any_kind(tmp_path, kind):
    """A file that a current h5py has rewritten has ids of variable length."""
    raw_files.write_hdf5(tmp_path)
    with h5py.File(tmp_path / "multimodal_imdb.hdf5", "r+") as file:
        ids = [value.decode() for value in np.asarray(file["imdb_ids"])]
        del file["imdb_ids"]
        file.create_dataset("imdb_ids", data=np.array(ids, kind if kind.kind == "S" else object), dtype=kind)
    assert np.array_equal(MmimdbSamples(tmp_path).read(4)[0]["Text"], raw_files.movies()["features"][4])


@pytest.mark.parametrize("form", ["hdf5", "npy"])
def test_the_fuller_form_is_used_and_said(tmp_path, form):
    """A form that was begun does not hide one that is complete."""
    raw_files.write_raw(tmp_path)
    if form == "npy":
        raw_files.write_npy(tmp_path)
        (tmp_path / "train/text_000001.npy").unlink()
    else:
        raw_files.write_hdf5(tmp_path)
        content = (tmp_path / "multimodal_imdb.hdf5").read_bytes()
        (tmp_path / "multimodal_imdb.hdf5").write_bytes(content[: len(content) // 2])
    with pytest.warns(UserWarning, match=rf"forms hold {form} {11 if form == 'npy' else 0}, raw 12; raw is used"):
        samples = MmimdbSamples(tmp_path)
    assert samples.facts["form"] == "raw" and samples.facts["forms"]["raw"] == 12


def test_of_complete_forms_the_first_is_used(tmp_path):
    for write in (raw_files.write_raw, raw_files.write_npy, raw_files.write_hdf5):
        write(tmp_path)
    samples = MmimdbSamples(tmp_path)
    assert samples.facts["form"] == "hdf5" and samples.facts["forms"] == {"hdf5": 12, "npy": 12, "raw": 12}
