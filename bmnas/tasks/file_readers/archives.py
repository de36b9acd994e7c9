"""Archives that lie where their content is expected."""

from pathlib import Path

SUFFIXES = (".gz", ".tgz", ".zip", ".tar", ".7z", ".rar", ".bz2", ".xz")


def packed_files(folder: Path) -> str:
    """Returns the end of an error: which archives in a folder are still packed; empty where there are none."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    more = f" and {len(names) - 3} more" if names[3:] else ""
    return f". Unpack {', '.join(names[:3])}{more} first" if names else ""
