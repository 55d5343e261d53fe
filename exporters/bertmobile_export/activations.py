"""Activations that a config may name, as data: formulas that every target spells in its own operators.

The names are those of ``transformers.activations``; those of it that are missing here have parameters of
their own (``prelu``, ``xielu``) or no stable form in half precision (``sqrtsoftplus``).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Value = TypeVar("Value")

X = "x"
# X, a number, or a function of formulas.
Formula = str | float | tuple["Formula", ...]


@dataclass(frozen=True)
class Activation:
    """What an activation computes.

    Attributes:
        formula: :data:`X`, or a function's name with its operands: ``add``, ``mul``, ``div``, ``max`` (of
            two); ``square``, ``sigmoid``, ``tanh``, ``erf``, ``relu``, ``gelu``, ``gelu_tanh``; ``clip`` (of
            a formula and two numbers).
        least: how far below zero its values reach; None where that is further than those above.
    """

    formula: Formula
    least: float | None


_GELU = Activation(("gelu", X), 0.17)
_GELU_TANH = Activation(("gelu_tanh", X), 0.17)
_SILU = Activation(("mul", X, ("sigmoid", X)), 0.28)
# tanh(softplus(x)), without an exponential that overflows: 2 / (1 + sigmoid(-x)^2) - 1.
_TANH_SOFTPLUS = ("add", ("div", 2.0, ("add", ("square", ("sigmoid", ("mul", X, -1.0))), 1.0)), -1.0)
_LAPLACE_MEAN, _LAPLACE_WIDTH = 0.707107, 0.282095 * math.sqrt(2)

ACTIVATIONS: Mapping[str, Activation] = {
    "gelu": _GELU,
    "gelu_10": Activation(("clip", ("gelu", X), -10.0, 10.0), 0.17),
    "gelu_accurate": _GELU_TANH,
    "gelu_fast": _GELU_TANH,
    "gelu_new": _GELU_TANH,
    "gelu_python": _GELU,
    "gelu_python_tanh": _GELU_TANH,
    "gelu_pytorch_tanh": _GELU_TANH,
    "hardswish": Activation(("mul", X, ("mul", ("clip", ("add", X, 3.0), 0.0, 6.0), 1 / 6)), 0.38),
    "laplace": Activation(
        ("mul", ("add", ("erf", ("mul", ("add", X, -_LAPLACE_MEAN), 1 / _LAPLACE_WIDTH)), 1.0), 0.5), 0.0
    ),
    "leaky_relu": Activation(("max", X, ("mul", X, 0.01)), None),
    "linear": Activation(X, None),
    "mish": Activation(("mul", X, _TANH_SOFTPLUS), 0.31),
    "quick_gelu": Activation(("mul", X, ("sigmoid", ("mul", X, 1.702))), 0.17),
    "relu": Activation(("relu", X), 0.0),
    "relu2": Activation(("square", ("relu", X)), 0.0),
    "relu6": Activation(("clip", X, 0.0, 6.0), 0.0),
    "sigmoid": Activation(("sigmoid", X), 0.0),
    "silu": _SILU,
    "swish": _SILU,
    "tanh": Activation(("tanh", X), None),
}


def evaluate(
    formula: Formula,
    x: Value,
    apply: Callable[[str, str, Sequence[Value | float]], Value],
    name: str = "",
) -> Value:
    """The value of a formula.

    Args:
        formula: of :data:`ACTIVATIONS`.
        x: what it is a function of.
        apply: gets the name of the step, the function, and its operands.
        name: of the result; that of a step inside is longer.
    """
    if isinstance(formula, tuple):
        function, *parts = formula
        assert isinstance(function, str)
        operands = [
            part if isinstance(part, float) else evaluate(part, x, apply, f"{name}.{function}{index}")
            for index, part in enumerate(parts)
        ]
        return apply(name, function, operands)
    assert formula == X
    return x
