"""Some modalities or features of a feature set: no file is touched."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from bmnas.errors import FeatureError
from bmnas.features.fields import FeatureFields
from bmnas.registry import split_names, unknown

Names = Sequence[str] | str | None  # as a text, Image,Text


def check_names(kind: str, names: object) -> None:
    """Makes sure that this can be names of modalities or features, or None, which is all of them.

    Raises:
        FeatureError: it is something else.
    """
    listed = split_names(names)
    if listed is not None and not (isinstance(listed, Sequence) and all(isinstance(name, str) for name in listed)):
        raise FeatureError(f"{names!r} is no list of {kind} names; expected one such as ['A', 'B'], or None for all")


def chosen(whole: FeatureFields, modalities: Names, features: Names) -> dict[str, Any]:
    """Returns the fields of a feature set of some modalities or features; see `FeatureSet.choose`."""
    wanted = _wanted("modality", modalities, whole.modalities)
    members = _wanted("feature", features, whole.arrays)
    groups = {
        modality: tuple(name for name in names if name in members)
        for modality, names in whole.modalities.items()
        if modality in wanted
    }
    names = [name for of_modality in groups.values() for name in of_modality]
    outside = [name for name in members if name not in names]
    if features is not None and outside:
        raise FeatureError(
            f"features names {', '.join(outside)}, which modalities leaves out ({', '.join(wanted)}); add the "
            "modality, or leave the feature out"
        )
    without = [modality for modality, of_modality in groups.items() if not of_modality]
    if modalities is not None and without:
        raise FeatureError(f"modalities names {', '.join(without)}, of which features has none ({', '.join(members)})")
    groups = {modality: of_modality for modality, of_modality in groups.items() if of_modality}
    return {
        **{part.name: getattr(whole, part.name) for part in fields(FeatureFields)},
        "arrays": {name: array for name, array in whole.arrays.items() if name in names},
        "modalities": groups,
        "logits": {name: array for name, array in whole.logits.items() if name in groups},
        "manifest": _manifest(whole.manifest, groups),
    }


def _wanted(kind: str, names: Names, there: Iterable[str]) -> tuple[str, ...]:
    """Returns which of the names that are there are wanted, in their order.

    Raises:
        UnknownNameError: a name that is not there.
        FeatureError: no name at all.
    """
    if names is None:
        return tuple(there)
    check_names(kind, names)
    listed = tuple(split_names(names))
    if not any(listed):
        raise FeatureError(f"no {kind} is wanted, {names!r}; expected some of {', '.join(there)}, or None for all")
    for name in listed:
        if name not in there:
            raise unknown(kind, name, there)
    return tuple(name for name in there if name in listed)


def _manifest(whole: dict[str, Any], groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Returns the description of what is left; backbones and pooling stay, as they say how all was made."""
    names = {name for of_modality in groups.values() for name in of_modality}
    parts = {
        "modalities": {modality: list(of_modality) for modality, of_modality in groups.items()},
        "features": [entry for entry in whole.get("features", []) if entry["name"] in names],
        "logits": {modality: entry for modality, entry in whole.get("logits", {}).items() if modality in groups},
    }
    return whole | {key: value for key, value in parts.items() if key in whole}
