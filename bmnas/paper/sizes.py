"""Sizes of networks beside those that the paper prints (Tables 4 and 8, appendix B.1); no data is needed.

"Model Size is the total number of parameters of the fusion network, excluding the backbone models": the reshape layers
of the features that a genotype uses, its Cells, and the classifier. Everything is counted in `reference` mode, as the
release builds it, on the meta device, so nothing is computed.
"""

import pandas as pd
import torch

from bmnas.config import PAPER_CONFIGS, SearchConfig
from bmnas.paper.published import PUBLISHED
from bmnas.space.hypernet import Hypernet
from bmnas.space.layers import count_parameters
from bmnas.space.network import FusionNetwork

TABLE_4 = (("MMTM (CVPR20)", 8.61, 88.92), ("MFAS (CVPR19)", 2.16, 89.50), ("BM-NAS", 0.98, 90.48))
"""Method, millions of parameters, accuracy in per cent on NTU RGB+D, as the paper prints them."""

NOT_REACHED = "no genotype of two to four features has the printed size with these settings in the release"


def table_8() -> pd.DataFrame:
    """Lists every published genotype under every configuration of its data set.

    Columns: genotype, configuration; `own`: whether they belong together; C and L of the configuration; N, M, r of the
    genotype, and `N printed`, `M printed` of the configuration, which differ for four of the nine; parameters of the
    reshape layers, the fusion, the classifier and in total. Where `own`: `printed`, the size in millions in Table 8,
    `agrees`, and `note` for NTU 1 and 3, which the published genotypes do not give.
    """
    rows = []
    for name, published in PUBLISHED.items():
        for label, config in PAPER_CONFIGS.items():
            if label.split("-")[0] != name.split("_")[0]:
                continue
            sizes = fusion_sizes(name, config.C, config.L)
            own = label == name.replace("_", "-")
            agrees = round(sizes["total"] / 1e6, 2) == published.table8_size
            genotype = published.genotype
            rows.append(
                {
                    "genotype": name,
                    "configuration": label,
                    "own": own,
                    **{"C": config.C, "L": config.L, "N": genotype.N, "M": genotype.M, "r": genotype.r},
                    **{"N printed": config.N, "M printed": config.M},
                    **sizes,
                    "printed": published.table8_size if own else None,
                    "agrees": agrees if own else None,
                    "note": NOT_REACHED if own and not agrees else "",
                }
            )
    return pd.DataFrame(rows)


def hypernet_sizes() -> pd.DataFrame:
    """Lists the hypernet of every configuration: with N and M as Table 8 prints them, and as its genotype has them.

    Columns: configuration; `settings`: "printed" (r = M) or "genotype", which is only there where it differs; C, L, N,
    M, r; `parameters` of the weights, and `architecture`, the scalars of alpha, beta and gamma.
    """
    rows = []
    for label, config in PAPER_CONFIGS.items():
        genotype = PUBLISHED[label.replace("-", "_")].genotype
        printed, own = (config.N, config.M, config.depth), (genotype.N, genotype.M, genotype.r)
        for settings, (N, M, r) in {"printed": printed, "genotype": own}.items():
            if settings == "genotype" and own == printed:
                continue
            weights, architecture = _hypernet(label, N, M, r)
            shape = {"C": config.C, "L": config.L, "N": N, "M": M, "r": r}
            counted = {"parameters": weights, "architecture": architecture}
            rows.append({"configuration": label, "settings": settings, **shape, **counted})
    return pd.DataFrame(rows)


def table_4() -> pd.DataFrame:
    """Lists Table 4 as printed, and a row for what the genotype of NTU 1 has with the release's modules."""
    rows = [{"method": m, "parameters [M]": size, "accuracy [%]": score} for m, size, score in TABLE_4]
    counted = fusion_sizes("ntu_1", PUBLISHED["ntu_1"].C, PUBLISHED["ntu_1"].L)["total"]
    ours = {"method": "BM-NAS, counted here", "parameters [M]": counted / 1e6, "accuracy [%]": None}
    return pd.DataFrame([*rows, ours])


def fusion_sizes(name: str, C: int, L: int) -> dict[str, int]:
    """Counts the parameters of a published genotype's network: reshape, fusion, classifier, total."""
    p = PUBLISHED[name]
    with torch.device("meta"):
        return FusionNetwork(p.genotype, p.channels, p.classes, C, L, mode="reference").sizes()


def _hypernet(label: str, N: int, M: int, r: int) -> tuple[int, int]:
    """Counts the weights, and the architecture weights."""
    config: SearchConfig = PAPER_CONFIGS[label]
    p = PUBLISHED[label.replace("-", "_")]
    with torch.device("meta"):
        network = Hypernet(p.channels, p.classes, config.C, config.L, N, M, r, mode="reference")
    architecture = sum(parameter.numel() for parameter in network.architecture_parameters())
    return count_parameters(network) - architecture, architecture
