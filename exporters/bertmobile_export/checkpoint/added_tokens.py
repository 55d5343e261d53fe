"""Tokens that a checkpoint adds to its vocabulary: cut from a text whole, by the flags they come with."""

from pathlib import Path

from tokenizers import Tokenizer

from bertmobile.errors import CheckpointError
from bertmobile.manifest import AddedToken
from bertmobile_export.checkpoint.config import ModelConfig


def read_added_tokens(tokenizer: Tokenizer) -> tuple[AddedToken, ...]:
    """All of a tokenizer's added tokens, the special ones among them, in the order of ids."""
    return tuple(
        AddedToken(
            content=token.content,
            id=index,
            special=token.special,
            lstrip=token.lstrip,
            rstrip=token.rstrip,
            single_word=token.single_word,
            normalized=token.normalized,
        )
        for index, token in sorted(tokenizer.get_added_tokens_decoder().items())
    )


def check_contents(added: tuple[AddedToken, ...], tokenizer: Tokenizer, folder: Path) -> None:
    """Refuse tokens on whose texts the ``tokenizers`` library fails.

    Raises:
        CheckpointError: the normalizer leaves nothing of a token; or one begins with white space, which
            another before it takes for itself.
    """
    for token in added:
        found = tokenizer.normalizer.normalize_str(token.content) if token.normalized else token.content
        if not found:
            raise CheckpointError(
                f"{folder}: nothing is left of the added token {token.content!r} (id {token.id}) once it "
                "is normalized, so no text holds it; remove it from the tokenizer's files, or set its "
                "normalized to false"
            )
        if found[0].isspace() and any(other.rstrip for other in added):
            raise CheckpointError(
                f"{folder}: the added token {token.content!r} (id {token.id}) begins with white space, which "
                "tokens with rstrip take for themselves: the tokenizers library fails on texts with both; "
                "remove the white space, or rstrip"
            )


def check_added_tokens(added: tuple[AddedToken, ...], config: ModelConfig, folder: Path) -> None:
    """Refuse tokens that the model has no embeddings for.

    Raises:
        CheckpointError: names them.
    """
    beyond = [f"{token.content!r} ({token.id})" for token in added if token.id >= config.vocab_size]
    if beyond:
        raise CheckpointError(
            f"{folder}: the tokenizer adds {', '.join(beyond[:3])}{' and more' if len(beyond) > 3 else ''}, "
            f"but the model has only {config.vocab_size} rows of embeddings (vocab_size in config.json); use "
            "the tokenizer that belongs to these weights, or train with "
            "model.resize_token_embeddings(len(tokenizer))"
        )
