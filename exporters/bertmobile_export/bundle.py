"""Writes bundles: everything under a temporary name first, renamed into place whole or not at all."""

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bertmobile.bundle import sha256_file
from bertmobile.errors import UsageError
from bertmobile.manifest import MANIFEST, EmbeddingSpec, FileEntry, Manifest, Source
from bertmobile_export.checkpoint import Checkpoint, ModelConfig
from bertmobile_export.plan import Plan
from bertmobile_export.targets import Target

FAILED_SUFFIX = ".failed"
# Of config.json, what only says where the exporter found the model or how it once was run.
_LOCAL_CONFIG = ("_name_or_path", "transformers_version", "dtype", "torch_dtype")


def bundle_path(output: Path, plan: Plan, *, overwrite: bool) -> Path:
    """Where the bundle will be.

    Raises:
        UsageError: something is there already and ``overwrite`` is false, or ``output`` is not a folder.
    """
    path = output / plan.bundle_name
    if output.exists() and not output.is_dir():
        raise UsageError(f"--output {output} is not a folder; name another")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists and is left as it is; add --overwrite to replace it")
    return path


@contextmanager
def staging(path: Path) -> Iterator[Path]:
    """A temporary folder beside ``path``; gone afterwards unless it was moved away."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unfinished(path: Path) -> Path:
    """Where the results of a long export are kept until its bundle is at ``path``."""
    return path.with_name(f".{path.name}.unfinished")


def install(folder: Path, path: Path) -> None:
    """Move a finished folder to its place, in the stead of what is there."""
    if path.exists():
        old = folder.with_name(f"{folder.name}.old")
        path.rename(old)
        folder.rename(path)
        shutil.rmtree(old)
    else:
        folder.rename(path)


def stored_bytes(path: Path) -> int:
    """Bytes of a file, or of all files of a package."""
    return sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())


def remove(path: Path) -> None:
    """Delete a file or a package."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def draft_manifest(plan: Plan, checkpoint: Checkpoint, target: Target) -> Manifest:
    """The manifest of a bundle that nothing is known about yet: verdict pending, no files."""
    config = plan.config
    tools = ("bertmobile", "torch", "transformers", *target.tools)
    return Manifest(
        name=plan.bundle_name,
        target=plan.target,
        task=plan.task,
        recipe=plan.recipe.document,
        options=plan.options,
        model_file=target.model_file(plan),
        lengths=plan.lengths,
        signatures=target.signatures(plan),
        inputs=plan.inputs(target.input_dtype),
        outputs=plan.outputs,
        mask_slots=plan.mask_slots,
        labels=config.labels if plan.task in ("text-classification", "token-classification") else (),
        problem_type=plan.problem_type,
        function_to_apply=plan.function_to_apply,
        embedding=_embedding(config) if plan.task == "feature-extraction" else None,
        tokenizer=checkpoint.tokenizer.spec,
        source=Source(
            model=checkpoint.location.model,
            revision=checkpoint.location.revision,
            architecture=config.architecture,
            weights_sha256=checkpoint.weights_sha256,
            trained=checkpoint.trained,
        ),
        tools={name: version(name) for name in tools},
    )


def _embedding(config: ModelConfig) -> EmbeddingSpec:
    embedding, hidden = config.embedding, config.hidden_size
    return EmbeddingSpec(
        size=embedding.size(hidden),
        pooling=embedding.pooling.modes,
        normalized=embedding.normalized(hidden),
        prompts=embedding.prompts,
        default_prompt=embedding.default_prompt,
        include_prompt=embedding.pooling.include_prompt,
        similarity=embedding.similarity,
    )


def write_source_files(folder: Path, checkpoint: Checkpoint, manifest: Manifest) -> None:
    """The files that come from the checkpoint, and the README."""
    (folder / "vocab.txt").write_bytes(checkpoint.tokenizer.vocab_txt)
    (folder / "tokenizer.json").write_bytes(checkpoint.tokenizer.tokenizer_json)
    write_json(folder / "tokenizer_config.json", _tokenizer_config(manifest))
    encoder = checkpoint.location.folder / checkpoint.config.encoder
    config = json.loads((encoder / "config.json").read_text(encoding="utf-8"))
    write_json(folder / "config.json", {k: v for k, v in config.items() if k not in _LOCAL_CONFIG})
    (folder / "README.md").write_text(_readme(manifest), encoding="utf-8")


def _tokenizer_config(manifest: Manifest) -> dict[str, Any]:
    """What transformers' AutoTokenizer needs to know beside ``tokenizer.json``."""
    rules = manifest.tokenizer
    return {
        # The generic class takes all of tokenizer.json: BERT's own would always be of one longest word.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": [spec.name for spec in manifest.inputs if spec.name != "mask_positions"],
        "do_lower_case": rules.lower_case,
        "strip_accents": rules.strip_accents,
        "tokenize_chinese_chars": rules.tokenize_chinese_chars,
        "model_max_length": manifest.lengths[-1],
        **{f"{role}_token": special.token for role, special in rules.special_tokens.items()},
    }


def _readme(manifest: Manifest) -> str:
    import jinja2

    template = resources.files(__package__).joinpath("bundle_readme.md.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(template).render(manifest=manifest) + "\n"


def write_json(path: Path, document: Any) -> None:
    """Write JSON that is the same for the same document."""
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Write the manifest with every other file's size and hash; returns it with them.

    Raises:
        BundleError: the manifest does not fit its schema.
    """
    files = {
        path.relative_to(folder).as_posix(): FileEntry(sha256_file(path), path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    complete = replace(manifest, files=files)
    document = complete.to_json()
    Manifest.from_json(document)
    write_json(folder / MANIFEST, document)
    return complete
