"""Recipes are data: known by name, read from files, and checked before anything else happens."""

import json
from pathlib import Path
from typing import Any

import pytest

from bertmobile.errors import UsageError
from bertmobile_export.recipes import (
    Budget,
    WeightFormat,
    flipping,
    parse_recipe,
    read_recipe,
    recipe_names,
)
from tests.messages import error_of

GROUPS = ("embeddings", "encoder", "head")


def document(**changes: Any) -> dict[str, Any]:
    weights = {group: {"bits": 8} for group in GROUPS}
    return {"name": "own", "weights": weights, "activations": "dynamic", **changes}


def weights(**bits: int) -> dict[str, dict[str, int]]:
    return {group: {"bits": bits.get(group, 8)} for group in GROUPS}


def test_the_built_in_recipes_are_known_by_sorted_names() -> None:
    assert recipe_names() == ["float16", "float32", "int4", "int8", "int8-static", "mixed"]


def test_every_built_in_recipe_reads_and_bears_its_name() -> None:
    for name in recipe_names():
        recipe = read_recipe(name)
        assert recipe.name == name
        assert recipe.precision == ("int4" if name == "mixed" else name)
        assert set(recipe.weights) == set(GROUPS)
        assert parse_recipe(recipe.document, source="again") == recipe


def test_an_unknown_recipe_is_refused_with_the_known_ones() -> None:
    message = error_of(UsageError, read_recipe, "int3")
    assert "'int3'" in message
    assert all(name in message for name in recipe_names())


def test_a_folder_is_not_a_recipe(tmp_path: Path) -> None:
    assert "JSON file" in error_of(UsageError, read_recipe, str(tmp_path))


def test_a_recipe_file_says_what_a_built_in_one_says(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(json.dumps(document(description="Mine.")), encoding="utf-8")
    recipe = read_recipe(str(path))
    assert recipe.weights == dict.fromkeys(GROUPS, WeightFormat(8, "channel"))
    assert recipe.document["description"] == "Mine."


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe{}"])
def test_a_file_that_is_not_json_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_bytes(content)
    assert "is not valid JSON" in error_of(UsageError, read_recipe, str(path))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"weights": {"encoder": {"bits": 8}}}, "weights"),
        ({"weights": {**weights(), "pooler": {"bits": 8}}}, "weights"),
        ({"weights": {**weights(), "head": {"bits": 7}}}, "head.bits"),
        ({"weights": {**weights(), "head": {"bits": 8, "granularity": "row"}}}, "granularity"),
        ({"weights": {**weights(), "head": {"bits": 8, "granularity": "block"}}}, "block_size"),
        ({"weights": {**weights(), "head": {"bits": 8, "block_size": 32}}}, "head"),
        ({"modules": {"pooler": {"bits": 8}}}, "modules"),
        ({"rounding": "up"}, "rounding"),
        ({"weights": {**weights(), "head": {}}}, "head"),
        ({"activations": "sometimes"}, "activations"),
        ({"name": "Own Recipe"}, "name"),
        ({"name": "../up"}, "name"),
        ({"bits": 8}, "bits"),
    ],
)
def test_a_file_that_does_not_fit_the_schema_is_refused_with_the_place(
    changes: dict[str, Any], place: str, tmp_path: Path
) -> None:
    path = tmp_path / "own.json"
    path.write_text(json.dumps(document(**changes)), encoding="utf-8")
    message = error_of(UsageError, read_recipe, str(path))
    assert "own.json does not fit the recipe schema" in message
    assert place in message


@pytest.mark.parametrize("found", [[], "int8", None, 8])
def test_json_that_is_no_object_is_refused(found: Any) -> None:
    assert "must be object" in error_of(UsageError, parse_recipe, found, source="own")


@pytest.mark.parametrize("activations", ["dynamic", "static"])
@pytest.mark.parametrize("bits", [16, 32])
def test_quantized_activations_need_quantized_encoder_weights(bits: int, activations: str) -> None:
    changed = document(weights=weights(encoder=bits), activations=activations)
    message = error_of(UsageError, parse_recipe, changed, source="own")
    assert activations in message and "weights.encoder.bits" in message


@pytest.mark.parametrize(
    ("bits", "activations", "precision"),
    [
        ({"embeddings": 32, "encoder": 32, "head": 32}, "float", "float32"),
        ({"embeddings": 16, "encoder": 32, "head": 32}, "float", "float16"),
        ({"embeddings": 16, "encoder": 16, "head": 16}, "float", "float16"),
        ({"embeddings": 8, "encoder": 32, "head": 16}, "float", "int8"),
        ({"embeddings": 32, "encoder": 8, "head": 32}, "dynamic", "int8"),
        ({"embeddings": 4, "encoder": 8, "head": 8}, "dynamic", "int4"),
        ({"embeddings": 8, "encoder": 8, "head": 8}, "static", "int8-static"),
    ],
)
def test_a_recipe_is_judged_as_the_built_in_one_it_is_nearest_to(
    bits: dict[str, int], activations: str, precision: str
) -> None:
    recipe = parse_recipe(document(weights=weights(**bits), activations=activations), source="own")
    assert recipe.precision == precision
    assert recipe.needs_ranges == (activations == "static")


def test_a_share_of_labels_is_a_budget_a_threshold_and_a_part_of_the_name() -> None:
    recipe = flipping(read_recipe("mixed"), 0.005)
    assert recipe.name == "mixed-flips0_5pct"
    assert recipe.budget == Budget(max_flips=0.005) and recipe.budget.searched
    assert recipe.parity == {"flip_share": 0.005}
    assert parse_recipe(recipe.document, source="again") == recipe


@pytest.mark.parametrize("budget", [{"max_flips": 0.01}, {"min_cosine": 0.99}])
def test_a_file_with_a_bound_is_judged_by_it_without_saying_it_twice(budget: dict[str, float]) -> None:
    recipe = parse_recipe(document(budget=budget), source="own")
    assert list(recipe.parity.values()) == list(budget.values())
    stricter = parse_recipe(document(budget={"min_cosine": 0.99}, parity={"cosine_min": 0.9}), source="own")
    assert stricter.parity == {"cosine_mean": 0.99, "cosine_min": 0.9}


@pytest.mark.parametrize("budget", [{}, {"max_flips": 1}, {"max_flips": 0.01, "min_cosine": 0.9}])
def test_a_budget_is_one_bound_that_can_be_kept(budget: dict[str, float]) -> None:
    assert "budget" in error_of(UsageError, parse_recipe, document(budget=budget), source="own")
