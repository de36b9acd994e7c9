"""Some modalities or features of a feature set, in memory alone."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from bmnas.errors import FeatureError
from bmnas.features.fields import FeatureFields
from bmnas.registry import unknown


def chosen(whole: FeatureFields, modalities: Sequence[str] | None, features: Sequence[str] | None) -> dict[str, Any]:
    """Returns the fields of a feature set of some modalities or features; see `FeatureSet.choose`."""
    for kind, names, there in (
        ("modality", modalities or (), whole.modalities),
        ("feature", features or (), whole.arrays),
    ):
        for name in names:
            if name not in there:
                raise unknown(kind, name, list(there))
    groups = {
        modality: tuple(name for name in names if features is None or name in features)
        for modality, names in whole.modalities.items()
        if modalities is None or modality in modalities
    }
    groups = {modality: names for modality, names in groups.items() if names}
    members = {name for names in groups.values() for name in names}
    if not members:
        raise FeatureError(f"no feature is left of modalities={modalities} and features={features}")
    parts = {part.name: getattr(whole, part.name) for part in fields(FeatureFields)}
    manifest = {key: value for key, value in whole.manifest.items() if key in ("backbones", "pooling", "options")}
    return {
        **parts,
        "arrays": {name: array for name, array in whole.arrays.items() if name in members},
        "modalities": groups,
        "logits": {name: array for name, array in whole.logits.items() if name in groups},
        "manifest": manifest,
    }
