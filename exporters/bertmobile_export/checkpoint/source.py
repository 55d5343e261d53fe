"""Where a checkpoint lies: a local folder, or the Hugging Face hub and its cache."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from bertmobile.errors import CheckpointError, UsageError
from bertmobile_export.checkpoint.files import SHARDS, WEIGHT_FILES, choose_weights

_CONFIG = ("config.json", "modules.json", "config_sentence_transformers.json", "*_Pooling/config.json")
_TOKENIZER = (
    "vocab.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)


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

    folder = _download(model, revision, _CONFIG + _TOKENIZER if weights else _CONFIG)
    # The snapshot folder is named after the commit: from here on a moving branch changes nothing.
    commit = folder.name
    if weights:
        try:
            names = [file.path for file in get_cached_repo_tree(model, revision=commit)]
        except CachedRepoTreeNotFoundError:
            # Offline, with a cache that another client filled: what is there is all there is.
            names = [path.name for path in folder.iterdir()]
            if not set(names) & set(WEIGHT_FILES):
                raise _not_cached(model) from None
        chosen = choose_weights(names, model)
        _download(model, commit, (chosen, SHARDS[chosen]) if chosen in SHARDS else (chosen,))
    return Location(folder, model, commit)


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
