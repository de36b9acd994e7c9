"""The data sets, each with its features and its presets. A new one is a folder here and a line below."""

from bmnas.tasks import planted  # noqa: F401
from bmnas.tasks.digits import task as digits  # noqa: F401
from bmnas.tasks.egogesture import task as egogesture  # noqa: F401
from bmnas.tasks.emoji import task as emoji  # noqa: F401
from bmnas.tasks.ink import task as ink  # noqa: F401
from bmnas.tasks.mfeat import task as mfeat  # noqa: F401
from bmnas.tasks.mmimdb import task as mmimdb  # noqa: F401
from bmnas.tasks.ntu import task as ntu  # noqa: F401
from bmnas.tasks.spoken_mnist import avmnist, avsum  # noqa: F401
from bmnas.tasks.twodigits import task as twodigits  # noqa: F401

EMBEDDED = ("mfeat", "twodigits", "ink", "emoji", "emojigroups", "emojitags", "digits", "planted")
"""The data sets that need no data and no download; the first is the default of the notebooks and the app."""
