"""Quantization recipes: data in the JSON files of this folder, or in a file of the user's."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from bertmobile.errors import UsageError
from bertmobile.schemas import validate

# How bundle names spell options (plan.Plan.options).
_OPTION_SUFFIX = re.compile(r"-(full-logits|mediapipe|portable|ort|ios\d|seq\d)")


Granularity = Literal["tensor", "channel", "block", "scaled-block", "palette", "scaled-palette"]


@dataclass(frozen=True)
class WeightFormat:
    """How a matrix is stored: 32 and 16 bits are floating point, fewer are codes.

    Attributes:
        bits: of each weight.
        granularity: what shares a scale: the matrix, a row, or a block of a row. With ``scaled-block`` the
            scale of a block is that of its row times a whole number, so that all products are 8-bit codes of
            the row. With ``palette`` codes have no scale; they are indices into a table of values. With
            ``scaled-palette`` there is one such table for the matrix, and a scale for each row.
        block_size: columns of a block, or rows that share a palette.
    """

    bits: int
    granularity: Granularity = "channel"
    block_size: int | None = None

    @property
    def quantized(self) -> bool:
        return self.bits < 16

    @property
    def label(self) -> str:
        """Short, for tables: ``8``, ``4 b32``, ``4 s32``, ``6 p16``, ``6 p`` with a scale for each row."""
        kind = {"block": " b", "scaled-block": " s", "palette": " p", "scaled-palette": " p"}
        return f"{self.bits}{kind.get(self.granularity, '')}{self.block_size or ''}"

    @property
    def document(self) -> dict[str, Any]:
        """As a recipe has it."""
        sized = {} if self.block_size is None else {"block_size": self.block_size}
        return {"bits": self.bits, "granularity": self.granularity, **sized}


@dataclass(frozen=True)
class Budget:
    """What decides the formats of matrices; one of these.

    Attributes:
        max_bytes: what the model file may take.
        share: the same, as a part of the parameters' bytes in float32.
        min_cosine: the mean cosine that every output must keep; then the smallest file is wanted.
        max_flips: the share of decisions that may change; then the smallest file is wanted, too.
    """

    max_bytes: int | None = None
    share: float | None = None
    min_cosine: float | None = None
    max_flips: float | None = None

    @property
    def searched(self) -> bool:
        """Whether only written files tell what keeps it."""
        return bool(self.parity)

    @property
    def parity(self) -> dict[str, float]:
        """The threshold that it is."""
        if self.min_cosine is not None:
            return {"cosine_mean": self.min_cosine}
        return {} if self.max_flips is None else {"flip_share": self.max_flips}


@dataclass(frozen=True)
class Recipe:
    """A recipe as the schema ``recipe`` describes it."""

    name: str
    weights: Mapping[str, WeightFormat]
    activations: Literal["float", "dynamic", "static"]
    document: Mapping[str, Any]
    modules: Mapping[str, WeightFormat] = field(default_factory=dict)
    rounding: Literal["nearest", "compensated"] = "nearest"
    effort: Literal["standard", "high"] = "standard"
    """How long compensated rounding may take."""
    budget: Budget | None = None
    """With one, formats are still to be chosen."""
    parity: Mapping[str, float] = field(default_factory=dict)
    """Thresholds of its own, which go before those of its class where they are stricter."""

    def form(self, module: str) -> WeightFormat:
        """How the weights of a module of the network are stored: by its own name, or else by its group."""
        return self.modules.get(module) or self.weights[weight_group(module)]

    @property
    def forms(self) -> Mapping[str, WeightFormat]:
        """All formats, by group or module."""
        return {**self.weights, **self.modules}

    @property
    def needs_ranges(self) -> bool:
        """Whether activations have ranges that are fixed when the model is made."""
        return self.activations == "static"

    @property
    def precision(self) -> str:
        """The recipe's class, by which its parity is judged: that of the built-in recipe it is nearest to."""
        forms = self.forms.values()
        if any(form.bits < 8 for form in forms):
            return "int4"
        if any(form.quantized for form in forms):
            return "int8-static" if self.activations == "static" else "int8"
        return "float16" if any(form.bits == 16 for form in forms) else "float32"


def weight_group(module: str) -> str:
    """The recipe's group of weights that a module's belong to."""
    if module.startswith("encoder.embeddings"):
        return "embeddings"
    return "head" if module.startswith("head") else "encoder"


def within(recipe: Recipe, max_bytes: int) -> Recipe:
    """A recipe with another budget, whose name says it in whole or tenths of megabytes."""
    size = f"{max_bytes / 1e6:.1f}".removesuffix(".0").replace(".", "_")
    name = f"{recipe.name}-{size}mb"
    document = {**recipe.document, "name": name, "budget": {"max_bytes": max_bytes}}
    return replace(recipe, name=name, budget=Budget(max_bytes=max_bytes), document=document)


def keeping(recipe: Recipe, cosine: float) -> Recipe:
    """A recipe for the smallest file whose outputs keep a mean cosine, and that is judged by it."""
    return _searched(recipe, Budget(min_cosine=cosine), {"min_cosine": cosine}, f"cos{cosine:g}")


def flipping(recipe: Recipe, share: float) -> Recipe:
    """A recipe for the smallest file of which so many decisions may change, and that is judged by it."""
    return _searched(recipe, Budget(max_flips=share), {"max_flips": share}, f"flips{100 * share:g}pct")


def _searched(recipe: Recipe, budget: Budget, spelt: dict[str, float], suffix: str) -> Recipe:
    name = f"{recipe.name}-{suffix}".replace(".", "_")
    document = {**recipe.document, "name": name, "budget": spelt, "parity": budget.parity}
    return replace(recipe, name=name, budget=budget, parity=budget.parity, document=document)


def with_effort(recipe: Recipe, effort: Literal["standard", "high"]) -> Recipe:
    """A recipe whose weights are rounded with such an effort.

    Raises:
        UsageError: it rounds to nearest, which takes none.
    """
    if recipe.rounding == "nearest":
        raise UsageError(
            f"recipe {recipe.name} rounds each weight to nearest, and no effort changes that; "
            "leave --effort out, or give --int4, --max-size, --min-parity or --recipe int8-static"
        )
    return replace(recipe, effort=effort, document={**recipe.document, "effort": effort})


def with_modules(recipe: Recipe, modules: Mapping[str, WeightFormat]) -> Recipe:
    """A recipe with formats for matrices, in place of those that it had."""
    named = {name: form.document for name, form in modules.items()}
    return replace(recipe, modules=modules, document={**recipe.document, "modules": named})


def recipe_names() -> list[str]:
    """Names of the built-in recipes."""
    files = resources.files(__name__).iterdir()
    return sorted(file.name.removesuffix(".json") for file in files if file.name.endswith(".json"))


def read_recipe(name: str) -> Recipe:
    """A built-in recipe by name, or one from a JSON file.

    Raises:
        UsageError: neither a known name nor a readable file that fits the schema.
    """
    if name in recipe_names():
        return parse_recipe(
            json.loads(resources.files(__name__).joinpath(f"{name}.json").read_text("utf-8")), source=name
        )
    path = Path(name)
    if not path.is_file():
        raise UsageError(
            f"no recipe {name!r}; give one of {', '.join(recipe_names())}, or the path of a JSON file"
        )
    try:
        document = json.loads(path.read_text("utf-8"))
    except ValueError as failure:
        raise UsageError(f"recipe {name} is not valid JSON: {failure}") from failure
    return parse_recipe(document, source=f"recipe {path.name}")


def parse_recipe(document: Any, *, source: str) -> Recipe:
    """Check a parsed recipe; ``source`` names it in errors.

    Raises:
        UsageError: it does not fit the schema, or combines formats that exclude each other.
    """
    validate(document, "recipe", source=source, error=UsageError)
    if _OPTION_SUFFIX.search(document["name"]):
        raise UsageError(
            f"{source} is named {document['name']}, which a bundle's name would not tell from an option; "
            "choose a name without -full-logits, -mediapipe, -portable, -ort, -ios and -seq"
        )
    weights = {group: WeightFormat(**form) for group, form in document["weights"].items()}
    budget = Budget(**document["budget"]) if "budget" in document else None
    modules = {name: WeightFormat(**form) for name, form in document.get("modules", {}).items()}
    recipe = Recipe(
        document["name"],
        weights,
        document["activations"],
        document,
        modules,
        document.get("rounding", "nearest"),
        document.get("effort", "standard"),
        budget,
        {**(budget.parity if budget else {}), **document.get("parity", {})},
    )
    if recipe.activations != "float" and not weights["encoder"].quantized:
        raise UsageError(
            f"{source} has {recipe.activations} activations, which need quantized encoder weights; "
            "set weights.encoder.bits to 8, or activations to float"
        )
    return recipe
