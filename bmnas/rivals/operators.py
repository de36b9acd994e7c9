"""The last features of all modalities through one operator, the best of the pool on validation.

    c_1 = f(x_1, x_2),    c_k = f(x_{k+1}, c_{k-1}),    logits = classifier([c_1; ...; c_{K-1}])

x_k is the last feature of modality k, and f one operator of the pool for all Cells; two modalities need one Cell. An
operator that treats its inputs differently is tried in both orders. One network is trained for each, and validation
chooses. With the four operators of the paper these are six networks, and no search.
"""

from collections.abc import Mapping

from bmnas.config import SearchConfig
from bmnas.evaluation.evaluation import identity_of_genotype
from bmnas.features.feature_set import FeatureSet
from bmnas.registry import PRIMITIVES
from bmnas.rivals.choice import Candidate
from bmnas.rivals.vectors import last_features
from bmnas.searching.networks import build_network
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype, cell_name


def operator_genotypes(features: FeatureSet, config: SearchConfig) -> dict[str, Genotype]:
    """Names the network of each operator and order: "LinearGLU(y, x)" -> genotype.

    Zero and operators of a single input fuse nothing, so they have none.
    """
    lasts = sorted(last_features(features.modalities), key=features.names.index)
    pairs = [(lasts[0], lasts[1])] + [(name, cell_name(n)) for n, name in enumerate(lasts[2:], start=1)]
    genotypes = {}
    for name in config.switch("primitives"):
        primitive = PRIMITIVES[name]
        orders = [("x", "y")] if primitive.symmetric else [("x", "y"), ("y", "x")]
        for inputs in orders if primitive.arity == 2 and name != "Zero" else []:
            steps = (StepGenotype(name, inputs),)
            cells = tuple(CellGenotype(pair, steps) for pair in pairs)
            genotypes[f"{name}({', '.join(inputs)})"] = Genotype(cells, r=1)
    return genotypes


def operator_candidates(features: FeatureSet, config: SearchConfig) -> Mapping[str, Candidate]:
    """Returns the networks of `operator_genotypes`."""

    def candidate(genotype: Genotype) -> Candidate:
        return Candidate(
            build=lambda seed: build_network(genotype, features, config, seed),
            identity=identity_of_genotype(genotype, config),
        )

    return {name: candidate(genotype) for name, genotype in operator_genotypes(features, config).items()}
