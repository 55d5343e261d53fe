"""``python -m bertmobile_bench.recipe_table``: all recipes and targets of two models, on this machine.

Sizes, parity, latency and memory. Bundles are kept in a folder, so that a run that was stopped goes on where
it was. Nothing else should run on the machine meanwhile.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from bertmobile.manifest import read_manifest
from bertmobile_bench.documents import document
from bertmobile_bench.figures.common import eight_layers, minilm_folder
from bertmobile_bench.host.environment import read_environment, readings
from bertmobile_bench.host.measure import Settings, measure
from bertmobile_export.export import Request, export
from bertmobile_export.recipes import read_recipe, recipe_names
from bertmobile_export.targets import target_names

# Core ML has no engine here whose latency says anything.
TIMED = ("onnx", "tflite")
SETTINGS = Settings(threads=(1,), lengths=(128,))


def bundles(
    work: Path, name: str, model: Path, targets: Sequence[str], *, trained: bool
) -> Iterator[tuple[str, Path]]:
    """The target and the folder of each bundle of a model; those that are not there yet are exported.

    Raises:
        BertMobileError: one cannot be exported, or fails its parity check.
    """
    kept = work / f"{name}.json"
    made: dict[str, str] = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    for target in targets:
        for recipe in recipe_names():
            key = f"{target} {recipe}"
            if key not in made:
                click.echo(f"{name}: {key}", err=True)
                output = work / name
                request = Request(
                    str(model),
                    target,
                    read_recipe(recipe),
                    output=output,
                    untrained=not trained,
                    overwrite=True,
                )
                made[key] = export(request).bundle.name
                kept.write_text(json.dumps(made), encoding="utf-8")
            yield target, work / name / made[key]


def measured(work: Path, targets: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A document for each model's timed bundles, and one with the sizes of the others."""
    models = {"minilm": (minilm_folder(), True), "8l-512h": (eight_layers(work), False)}
    for name, (model, trained) in models.items():
        found = list(bundles(work, name, model, targets, trained=trained))
        timed = [folder for target, folder in found if target in TIMED]
        if timed:
            yield measure(timed, SETTINGS)
        others = {folder.name: (folder, read_manifest(folder)) for _, folder in found if folder not in timed}
        if others:
            device = {**read_environment(), "after": readings()}
            yield document(device, others, [], [], runs=1, seconds=0)


@click.command()
@click.option("--work", default="recipe-table", show_default=True, type=click.Path(path_type=Path))
@click.option("--target", "targets", multiple=True, default=target_names(), help="Only these.")
def main(work: Path, targets: tuple[str, ...]) -> None:
    """Export and measure everything, and write the documents to WORK/results.jsonl for ``report``."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / "results.jsonl").open("w", encoding="utf-8") as file:
        for each in measured(work, targets):
            file.write(json.dumps(each, allow_nan=False) + "\n")
            file.flush()
    click.echo(f"bertmobile-bench report {work}/results.jsonl --out report.html --markdown -")


if __name__ == "__main__":
    main()
