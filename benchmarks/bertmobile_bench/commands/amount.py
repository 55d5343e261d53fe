"""The options that say how much is measured, the same for every command that measures."""

from collections.abc import Callable
from typing import Any

import click

from bertmobile.console import numbers

Function = Callable[..., Any]


def amount_options(threads: str) -> Callable[[Function], Function]:
    """Add the options, and ``--vs``; ``threads`` is a default."""
    options = [
        click.option(
            "--vs", type=click.Path(), metavar="BUNDLE", help="Compare all others with this one, in pairs."
        ),
        click.option("--threads", callback=numbers, default=threads, show_default=True, metavar="N,N,..."),
        click.option(
            "--lengths",
            callback=numbers,
            default="32,64,128,256",
            show_default=True,
            metavar="N,N,...",
            help="Tokens of a run; those that a bundle does not have are passed over.",
        ),
        click.option("--no-texts", is_flag=True, help="Leave out the workload of sentences."),
        click.option(
            "--runs",
            type=click.IntRange(min=1),
            default=50,
            show_default=True,
            help="Of each case, at least.",
        ),
        click.option(
            "--seconds",
            type=click.FloatRange(min=0),
            default=10.0,
            show_default=True,
            help="Of each case, at least.",
        ),
    ]

    def decorate(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate
