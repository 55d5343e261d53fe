"""Where a checkpoint lies: a local folder, or the Hugging Face hub and its cache."""

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bertmobile.errors import CheckpointError, UsageError
from bertmobile_export.checkpoint.files import SHARDS, WEIGHT_FILES, choose_weights
from bertmobile_export.checkpoint.sentence_transformers import (
    ENCODER_CONFIGS,
    MODEL_CONFIG,
    MODULES,
    module_folders,
)

# Of a folder of sentence-transformers, and of any folder with a model or with a module of that library's.
_MODEL = (MODULES, MODEL_CONFIG)
_CONFIG = ("config.json", "tokenizer_config.json", *ENCODER_CONFIGS)
_TOKENIZER = ("vocab.txt", "tokenizer.json", "special_tokens_map.json", "added_tokens.json")


@dataclass(frozen=True)
class Location:
    """A checkpoint on this machine.

    ``model`` is the hub id, or the base name of a local folder: bundles record it, so it is never a path.
    ``revision`` is the commit that the hub gave, and None for a local folder.
    """

    folder: Path
    model: str
    revision: str | None


def locate(model: str, *, revision: str | None = None, weights: bool = True) -> Location:
    """Find a checkpoint, fetching what is missing of it from the hub.

    The hub client's own settings apply (HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE, HF_TOKEN). Only the files that
    are read later are fetched: the configuration, and with ``weights`` the tokenizer and one format of the
    weights.

    Args:
        model: a folder, or else a hub id such as ``boltuix/bert-mobile``.
        revision: a branch, tag or commit on the hub.
        weights: False fetches the configuration alone.

    Raises:
        CheckpointError: no such folder or hub id, no access, no network, or no weights that can be read.
        UsageError: ``revision`` together with a local folder.
    """
    folder = Path(model)
    # An empty name, such as an unset shell variable gives, would be the current folder.
    if model and folder.is_dir():
        if revision is not None:
            raise UsageError(f"a revision applies to hub ids only, but {model} is a folder; leave it out")
        return Location(folder, folder.resolve().name or "model", None)
    if folder.is_file():
        raise CheckpointError(f"{model} is a file; give the folder that holds config.json and the weights")
    return _fetch(model, revision, weights)


def _fetch(model: str, revision: str | None, weights: bool) -> Location:
    _switch_telemetry_off()
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    read = _CONFIG + _TOKENIZER if weights else _CONFIG
    folder = _download(model, revision, _MODEL + read)
    # The snapshot folder is named after the commit: from here on a moving branch changes nothing.
    commit = folder.name
    encoder, *modules = module_folders(folder)
    inner = [place for place in (encoder, *modules) if place]
    if inner:
        _download(model, commit, tuple(f"{place}/{name}" for place in inner for name in read))
    if weights:
        try:
            names = [file.path for file in get_cached_repo_tree(model, revision=commit)]
        except CachedRepoTreeNotFoundError:
            # Offline, with a cache that another client filled: what is there is all there is.
            names = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
            if not set(_inside(encoder, names)) & set(WEIGHT_FILES):
                raise _not_cached(model) from None
        wanted = _weight_files(encoder, names, model)
        for place in modules:
            if set(_inside(place, names)) & set(WEIGHT_FILES):  # most modules have none
                wanted += _weight_files(place, names, model)
        _download(model, commit, wanted)
    return Location(folder, model, commit)


def _inside(place: str, names: Iterable[str]) -> list[str]:
    """The files directly in a folder of the model, by their names in it."""
    start = f"{place}/" if place else ""
    inside = (name.removeprefix(start) for name in names if name.startswith(start))
    return [name for name in inside if "/" not in name]


def _weight_files(place: str, names: Iterable[str], model: str) -> tuple[str, ...]:
    """Patterns of what to fetch of the weights in a folder of the model."""
    chosen = choose_weights(_inside(place, names), f"{model}/{place}".rstrip("/"))
    patterns = (chosen, SHARDS[chosen]) if chosen in SHARDS else (chosen,)
    return tuple(f"{place}/{pattern}" if place else pattern for pattern in patterns)


def _switch_telemetry_off() -> None:
    # The client reads the variable when it is imported; the constant is for when something else came first.
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    from huggingface_hub import constants

    constants.HF_HUB_DISABLE_TELEMETRY = True


def _download(model: str, revision: str | None, patterns: tuple[str, ...]) -> Path:
    """Fetch what matches ``patterns`` into the hub's cache; returns the snapshot's folder."""
    import httpx2
    from huggingface_hub import constants, errors, snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not sys.stderr.isatty():  # a log holds lines, not bars
        disable_progress_bars()
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=list(patterns)))
    except errors.HFValidationError as failure:
        raise CheckpointError(
            f"{model!r} is neither a folder nor a hub id such as boltuix/bert-mobile; check the spelling"
        ) from failure
    except errors.GatedRepoError as failure:
        raise CheckpointError(
            f"{model} is gated; accept its terms at {constants.ENDPOINT}/{model}, then log in with "
            "hf auth login or HF_TOKEN"
        ) from failure
    except errors.RepositoryNotFoundError as failure:
        raise CheckpointError(
            f"{model} is neither a folder here nor a public model at {constants.ENDPOINT}; check the "
            "spelling, or log in with hf auth login or HF_TOKEN if it is private"
        ) from failure
    except errors.RevisionNotFoundError as failure:
        raise CheckpointError(
            f"{model} has no revision {revision}; give a branch, tag or commit of it with --revision"
        ) from failure
    except errors.LocalEntryNotFoundError as failure:
        if constants.is_offline_mode():
            raise _not_cached(model) from failure
        raise _unreachable(model, failure.__cause__ or failure) from failure
    except (httpx2.HTTPError, OSError) as failure:
        raise _unreachable(model, failure) from failure


def _not_cached(model: str) -> CheckpointError:
    return CheckpointError(
        f"{model} is not complete in the cache and HF_HUB_OFFLINE is set; unset it to download the model, "
        "or give a local copy with --model FOLDER"
    )


def _unreachable(model: str, failure: BaseException) -> CheckpointError:
    from huggingface_hub import constants

    reason = (str(failure) or type(failure).__name__).splitlines()[0]
    return CheckpointError(
        f"cannot fetch {model} from {constants.ENDPOINT} ({reason}); check the network and HF_ENDPOINT, use "
        "a cached copy with HF_HUB_OFFLINE=1, or give a local one with --model FOLDER"
    )
