"""Where a search stands, in words."""

from bmnas.searching.trace import EpochEvent


def summary_text(event: EpochEvent) -> str:
    """Returns `epoch 3 of 12: val accuracy 83.2 % (best 84.1 % in epoch 2)`."""
    return (
        f"epoch {event.epoch} of {event.epochs}: val {event.metric} {100 * event.val_score:.1f} % "
        f"(best {100 * event.best_score:.1f} % in epoch {event.best_epoch})"
    )


def progress_text(event: EpochEvent) -> str:
    """Returns the same, and the estimate of the time left."""
    left = event.seconds_left
    if left <= 0:
        return summary_text(event)
    return summary_text(event) + (f", about {left:.0f} s left" if left < 120 else f", about {left / 60:.0f} min left")
