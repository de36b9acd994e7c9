"""Typed errors. Every message says what was given, what was expected and what to do."""


class BmnasError(ValueError):
    """The base of every error that bmnas raises on purpose."""


class UnknownNameError(BmnasError):
    """A name (data set, primitive, feature, parameter ...) that is not in its registry."""


class ConfigError(BmnasError):
    """A setting out of its range, or settings that contradict one another."""


class DataError(BmnasError):
    """Raw data that is missing, or whose content is not what its format promises."""


class FeatureError(BmnasError):
    """A feature set that is incomplete, inconsistent or damaged."""


class GenotypeError(BmnasError):
    """A genotype that breaks the rules of the search space, or does not fit the features."""


class RunError(BmnasError):
    """A run folder that is damaged, of another configuration, or in use."""


class SearchDiverged(BmnasError):
    """The loss became NaN or infinite; the last good checkpoint is kept."""


class PredictionError(BmnasError):
    """Outputs of a network that are NaN or infinite, of which no score and no prediction is made."""
