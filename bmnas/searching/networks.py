"""The networks of a configuration for stored features: the hypernet of the search, and the network of a genotype."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace

import torch

from bmnas.config import SearchConfig
from bmnas.errors import ConfigError
from bmnas.features.feature_set import FeatureSet
from bmnas.registry import PRIMITIVES
from bmnas.searching.filling import placeholders_for
from bmnas.searching.footprint import Footprint, footprint, shapes_of, sketch_sizes
from bmnas.space.derivation import check_pairs
from bmnas.space.genotype import Genotype
from bmnas.space.hypernet import Hypernet
from bmnas.space.network import FusionNetwork
from bmnas.space.placeholders import Placeholders
from bmnas.space.primitive_check import check_primitives
from bmnas.space.reshape import alike_inputs
from bmnas.training.random_streams import Purpose
from bmnas.training.steps import seeded


def build_hypernet(features: FeatureSet, config: SearchConfig) -> Hypernet:
    """Builds the hypernet of a configuration, its initial values decided by `config.seed` alone.

    Raises:
        ConfigError: the stored features have another L, or are too few for the pair rule; a split has too few rows; a
            primitive of one's own does not work.
    """
    check_length(features, config)
    check_rows(features, config)
    _check_pool(config)
    check_pairs(len(features.names), config.N, config.switch("pair_rule"), config.switch("cells_as_inputs"))
    with seeded((config.seed, Purpose.HYPERNET), torch.device("cpu")):
        return Hypernet(
            channels=features.channels,
            classes=len(features.classes),
            C=config.C,
            L=config.L,
            N=config.N,
            M=config.M,
            r=config.depth,
            dropout=config.dropout,
            mode=config.mode,
            primitives=config.switch("primitives"),
            vectors=features.vectors,
            tokeniser=config.tokeniser,
            placeholders=placeholders_for(features, config),
            relaxation=config.relaxation,
        )


def build_network(genotype: Genotype, features: FeatureSet, config: SearchConfig, seed: int) -> FusionNetwork:
    """Builds the genotype's network, its initial values decided by `seed` alone.

    Raises:
        GenotypeError: the genotype does not fit the features.
        ConfigError: the stored features have another L.
    """
    check_length(features, config)
    with seeded((seed, Purpose.NETWORK), torch.device("cpu")):
        placeholders = placeholders_for(features, config)
        return fusion_network(
            genotype, features.channels, len(features.classes), config, features.vectors, placeholders
        )


def fusion_network(
    genotype: Genotype,
    channels: Mapping[str, int],
    classes: int,
    config: SearchConfig,
    vectors: Iterable[str],
    placeholders: Placeholders | None = None,
) -> FusionNetwork:
    """Builds the genotype's network with the sizes and switches of a configuration.

    Args:
        channels: feature -> C_in.
        vectors: the features without extent, see `FusionNetwork`.
        placeholders: of missing features.
    """
    check_primitives(genotype.primitives, config.C, config.L, config.dropout, config.mode)
    return FusionNetwork(
        genotype=genotype,
        channels=channels,
        classes=classes,
        C=config.C,
        L=config.L,
        dropout=config.dropout,
        mode=config.mode,
        vectors=vectors,
        tokeniser=config.tokeniser,
        placeholders=placeholders,
    )


def check_length(features: FeatureSet, config: SearchConfig) -> None:
    """Checks that features and configuration have the same L.

    Raises:
        ConfigError: the stored features have another L than the configuration.
    """
    if features.L != config.L:
        raise ConfigError(
            f"L is {config.L}, but the features of {features.task!r} are stored with L = {features.L}; "
            f"set L = {features.L}, or extract the features again with the other length"
        )


def check_rows(features: FeatureSet, config: SearchConfig) -> None:
    """Checks that BatchNorm has two values or more of each channel in every batch of a search.

    Raises:
        ConfigError: a batch of train or val has one row and one position.
    """
    for split in ("train", "val"):
        rows = min(len(features.rows(split)), config.batch_size)
        if rows * config.L < 2:
            raise ConfigError(
                f"a batch of {split!r} has one row, and L is 1: BatchNorm cannot normalise a single value. The split "
                f"has {len(features.rows(split))} rows, batch_size is {config.batch_size}; take 2 or more of both"
            )


def _check_pool(config: SearchConfig) -> None:
    check_primitives(config.switch("primitives"), config.C, config.L, config.dropout, config.mode)


_sketches: dict[Hashable, tuple[int, int]] = {}  # estimate, search and their resumption need the same


def sketched(features: FeatureSet, config: SearchConfig) -> Footprint:
    """Computes the memory that a search takes, from the shapes of its hypernet; of samples that of all alternatives."""
    _check_pool(config)
    config = replace(config, relaxation="two_slots") if config.relaxation == "gumbel" else config
    alike = (
        repr(replace(config, seed=0)),  # a dictionary of class weights has no hash
        shapes_of(features),
        tuple(PRIMITIVES[name] for name in config.switch("primitives")),
    )
    if alike not in _sketches:
        with torch.device("meta"):
            _sketches[alike] = sketch_sizes(build_hypernet(features, config), features, config)
    return footprint(_sketches[alike], features, config)


def alike_inputs_of(features: FeatureSet, config: SearchConfig) -> frozenset[str]:
    """Returns the inputs of Cells of which all positions are alike, for `living_modalities`."""
    return alike_inputs(features.names, features.vectors, config.L, config.tokeniser, config.N)
