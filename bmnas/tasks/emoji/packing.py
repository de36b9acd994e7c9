"""Packs the published files into the two that come with bmnas: a sheet of 32 x 32 cells, and a line an emoji.

    python -m bmnas.tasks.emoji.packing emoji.json sheets-clean/32.png emoji-en-US.json <target folder>

The first two are files of npm's emoji-datasource-google 16.0.0, the third is `dist/emoji-en-US.json` of npm's emojilib
4.0.3. Flags are left out, for their names give the category away, and so are the five skin tones.
"""

import json
import sys
from pathlib import Path

from PIL import Image

CELL, COLUMNS = 32, 41
LEFT_OUT = ("Flags", "Component")


def pack(datasource: Path, sheet: Path, keywords: Path, target: Path) -> None:
    """Writes `emoji.json` and `emoji.png`; the i-th line belongs to the i-th cell, row by row."""
    entries = json.loads(datasource.read_text(encoding="utf-8"))
    entries = [entry for entry in entries if entry["has_img_google"] and entry["category"] not in LEFT_OUT]
    words = json.loads(keywords.read_text(encoding="utf-8"))
    pictures = Image.open(sheet).convert("RGBA")
    rows = -(-len(entries) // COLUMNS)
    packed = Image.new("RGBA", (CELL * COLUMNS, CELL * rows))
    lines = []
    for number, entry in enumerate(entries):
        left, top = ((CELL + 2) * entry[f"sheet_{axis}"] + 1 for axis in "xy")
        cell = pictures.crop((left, top, left + CELL, top + CELL))
        packed.paste(cell, (CELL * (number % COLUMNS), CELL * (number // COLUMNS)))
        character = "".join(chr(int(code, 16)) for code in entry["unified"].split("-"))
        texts = [entry[field] for field in ("name", "unified", "category", "subcategory")]
        lines.append(json.dumps([*texts, words[character]], ensure_ascii=True))
    packed.save(target / "emoji.png", optimize=True)
    (target / "emoji.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    pack(*map(Path, sys.argv[1:]))
