"""The data sets, each with its features and its presets. A new one is a file here and a line below."""

from bmnas.tasks import avmnist, avsum, digits, egogesture, mmimdb, ntu, planted  # noqa: F401
