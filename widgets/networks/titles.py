"""Whose network a figure shows, in the same words everywhere."""

CHOSEN = "Chosen network"
"""What notebooks 03 to 06 work with: the shortlist's choice, or Algorithm 1's where no shortlist was made."""


def network_title(epoch: int, best_epoch: int) -> str:
    """Names the network that was derived at an epoch; that of the best epoch is Algorithm 1's.

    Args:
        epoch: whose weights the network was derived from.
        best_epoch: the epoch of the best validation score.
    """
    if epoch == best_epoch:
        return f"Algorithm 1's network (epoch {epoch}, the best)"
    return f"Network of epoch {epoch}"


def trained_title(training: int, best: int) -> str:
    """Names the network of a short training of another searcher.

    Args:
        training: its number.
        best: the number of the training of the best validation score.
    """
    return f"Network of training {training}" + (" (the best)" if training == best else "")
