"""What a large search would need, computed from measured results: nothing on the page is typed by hand."""

from typing import Any

import numpy as np

from tools.result_tables import load_results, table

SAMPLES, FEATURES, SEEDS, EPOCHS = 1_000_000, 50, 1000, 30
VARIANT = "algebra"
BYTES, CHANNELS, L = 2, 1024, 8  # float16 features of a common size


def growth(rows: dict[str, Any], at: float) -> float:
    """Milliseconds at a size, by the straight line through the measured sizes."""
    sizes = [float(size) for size in rows]
    times = [row[VARIANT]["ms"]["median"] for row in rows.values()]
    slope, start = np.polyfit(sizes, times, 1)
    return float(start + slope * at)


def cost_table() -> str:
    """A table for `SAMPLES` samples, `FEATURES` features and `SEEDS` seeds."""
    scaling = load_results("cost/scaling")
    disk = load_results("on_disk")
    sizes = scaling["sizes"]
    features = growth(sizes["K"], FEATURES) / growth(sizes["K"], 4)  # samples were measured with K = 4
    epoch = growth(sizes["samples"], SAMPLES) / 1e3 * features
    seed = EPOCHS * epoch / 3600
    slower = disk["disk / memory"]["cold"]["median"]
    size = SAMPLES * FEATURES * CHANNELS * L * BYTES
    rows = [
        ("features on the disk, float16, 1,024 channels, L = 8", f"{size / 1e12:.2f} TB"),
        (f"an epoch of one seed, {FEATURES} features, one thread", f"{epoch / 60:,.0f} min"),
        (f"a search of {EPOCHS} epochs", f"{seed:,.0f} core-hours"),
        ("the same, read from the disk", f"{slower * seed:,.0f} core-hours ({slower:.2f} of the time in memory)"),
        (f"{SEEDS:,} seeds", f"{slower * seed * SEEDS:,.0f} core-hours"),
        (f"{SEEDS:,} seeds on 1,000 cores", f"{slower * seed * SEEDS / 1000 / 24:,.1f} days"),
    ]
    measured_on = f"{disk['processor']}, {disk['instructions']}, torch {disk['torch']}"
    return f"{table(('what', 'computed'), rows)}\n\nMeasured on: {measured_on}."
