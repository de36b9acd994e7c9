"""ImageNet's weights as the start of a backbone's training: an option of the tasks whose networks have them."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from bmnas.errors import ConfigError, DataError
from bmnas.features.backbones import vgg
from bmnas.registry import TASKS
from bmnas.tasks.preparation import prepare
from tests.features.test_backbones import resnet_2d
from tests.support.raw_files import write_ego, write_hdf5, write_ntu
from tests.tasks.test_real_tasks import CHEAP, TOYS

REAL_TRAINING = "bmnas.tasks.real_data.backbones.train_unimodal_from"


class Stop(Exception):
    pass


def at_the_start(name, root, monkeypatch, **options):
    """The first backbone's weights when its training begins."""
    begun = {}

    def spy(model, *_args, **_more):
        begun.update({key: weight.clone() for key, weight in model.state_dict().items()})
        raise Stop

    monkeypatch.setattr(REAL_TRAINING, spy)
    with pytest.raises(Stop):
        prepare(name, root=root, cache=root / "cache", backbone_epochs=1, **CHEAP, **options)
    return begun


def test_the_video_network_begins_as_an_inflated_resnet_50(tmp_path, monkeypatch):
    write_ntu(tmp_path / "ntu")
    images = {**resnet_2d(), "fc.weight": torch.ones(1000, 2048), "fc.bias": torch.ones(1000)}
    torch.save(images, tmp_path / "resnet50.pth")
    own = at_the_start("ntu", tmp_path, monkeypatch)
    found = at_the_start("ntu", tmp_path, monkeypatch, imagenet={"Video": str(tmp_path / "resnet50.pth")})
    kernels = [key for key in images if key.startswith("layer") and images[key].ndim == 4]
    assert len(kernels) == 52
    for key in kernels:
        torch.testing.assert_close(found[f"cnn.{key}"].sum(2), images[key].float())
        assert not torch.equal(found[f"cnn.{key}"], own[f"cnn.{key}"])
    assert torch.equal(found["cnn.conv1.weight"], images["conv1.weight"].float())
    assert torch.equal(found["cnn.bn1.running_var"], images["bn1.running_var"].float())
    assert torch.equal(found["classifier.weight"], own["classifier.weight"])  # 60 actions, not 1,000 things


def test_the_poster_network_begins_as_vgg_19(tmp_path, monkeypatch):
    write_hdf5(tmp_path / "mmimdb")
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {f"features.{key}": w.shape for key, w in nn.Sequential(*vgg._layers()).state_dict().items()}
    images = {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}
    torch.save({**images, "classifier.0.weight": torch.ones(7, 7)}, tmp_path / "vgg19.pth")
    own = at_the_start("mmimdb", tmp_path, monkeypatch)
    found = at_the_start("mmimdb", tmp_path, monkeypatch, imagenet={"Image": str(tmp_path / "vgg19.pth")})
    assert len(images) == 32
    for key, weight in images.items():
        assert torch.equal(found[key.replace("features.", "vgg.")], weight)
    assert torch.equal(found["classifier.weight"], own["classifier.weight"])


# through to the features, with a network that a test can afford


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Small MM-IMDB, whose image network takes weights under other names, and a checkpoint of it."""
    write_hdf5(tmp_path / "mmimdb")
    image, text = TOYS["mmimdb"]

    def renamed(state):
        return {key.replace("features.", "map."): weight for key, weight in state.items()}

    modalities = (replace(image, imagenet=renamed, fresh=("classifier.",)), text)
    monkeypatch.setitem(TASKS, "mmimdb", replace(TASKS["mmimdb"], modalities=modalities))
    save(tmp_path / "start.pth", 0.1)
    return tmp_path


def save(path, value):
    torch.save({"features.weight": torch.full((6, 3, 1), value), "features.bias": torch.zeros(6)}, path)


def prepared(root, imagenet, **options):
    return prepare(
        "mmimdb", root=root, cache=root / "cache", imagenet=imagenet, **{"backbone_epochs": 1, **CHEAP, **options}
    )


def test_other_weights_give_other_features_and_the_manifest_names_them(root):
    start = {"Image": str(root / "start.pth")}
    without, features = prepared(root, None), prepared(root, start)
    assert features.fingerprint != without.fingerprint
    assert features.manifest["backbones"]["Image"]["imagenet"] == "start.pth"
    assert "imagenet" not in features.manifest["backbones"]["Text"]
    assert prepared(root, start).folder == features.folder
    save(root / "start.pth", 0.2)
    assert prepared(root, start).fingerprint != features.fingerprint


def test_features_that_began_there_are_found_when_the_raw_data_is_gone(root):
    start = {"Image": str(root / "start.pth")}
    features = prepared(root, start)
    for path in (root / "mmimdb").iterdir():
        path.unlink()
    with pytest.warns(UserWarning, match="mmimdb"):
        assert prepared(root, start).fingerprint == features.fingerprint
    save(root / "start.pth", 0.2)
    with pytest.raises(DataError, match="imagenet ="):
        prepared(root, start)


def test_what_cannot_be_is_refused(root):
    with pytest.raises(ConfigError, match="imagenet.*Text.*Image.*'mmimdb'"):
        prepared(root, {"Text": "x.pth"})
    with pytest.raises(DataError, match="absent.pth"):
        prepared(root, {"Image": str(root / "absent.pth")})
    torch.save({"features.weight": torch.ones(1)}, root / "other.pth")
    with pytest.raises(DataError, match="other.pth: the weight 'map.bias' is missing"):
        prepared(root, {"Image": str(root / "other.pth")})
    torch.save({"features.weight": nn.Linear(1, 1)}, root / "code.pth")
    with pytest.raises(DataError, match="code.pth"):
        prepared(root, {"Image": str(root / "code.pth")})
    (root / "mmimdb/weights").mkdir()
    torch.save({}, root / "mmimdb/weights/Image.pth")
    with pytest.raises(ConfigError, match="imagenet.*Image.*pth"):
        prepared(root, {"Image": str(root / "start.pth")})
    write_ego(root / "egogesture")
    with pytest.raises(ConfigError, match="imagenet.*RGB"):
        prepare("egogesture", root=root, cache=root / "cache", imagenet={"RGB": "x"}, backbone_epochs=1)
