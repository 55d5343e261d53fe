"""Tokens that a checkpoint adds are cut from texts exactly as transformers does it, by their flags."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders
from transformers import AutoTokenizer

from bertmobile.errors import CheckpointError
from bertmobile_export.checkpoint.tokenizer import TokenizerFiles
from tests.checkpoints import vocabulary, write_tokenizer
from tests.exporters.checkpoint.test_tokenizer import (
    assert_agrees_with_transformers,
    generic,
    read,
    tokenizer_error,
    write_config,
    write_generic,
)

COUNT = len(vocabulary())
ROWS = COUNT + 8
TEXTS = [
    "the [E1] water [E1][E1]x",
    "a  [E1]  b\t[E1]\u3000c [MASK] \u00a0[MASK]\u2028d",
    "the Lighthouse lighthouses LIGHTHOUSE x-lighthouse lighthouse_ \u0301lighthouse l\u00efghthouse",
    "[e1] E1] [[E1]] [Q] water[Q]water",
]


def flags(content: str, **given: bool) -> dict[str, Any]:
    usual = {"special": False, "lstrip": False, "rstrip": False, "single_word": False, "normalized": True}
    return {"content": content, **usual, **given}


def write(folder: Path, tokens: list[str] | None = None, *, rows: int = ROWS, **settings: Any) -> None:
    write_tokenizer(folder, tokens or vocabulary(), **settings)
    write_config(folder, rows)


def added(files: TokenizerFiles) -> dict[str, dict[str, Any]]:
    roles = {token.token for token in files.spec.special_tokens.values()}
    return {token.content: vars(token) for token in files.spec.added_tokens if token.content not in roles}


def in_additional(folder: Path) -> None:
    write(folder, additional_special_tokens=["[E1]"])


def in_extra(folder: Path) -> None:
    write(folder, extra_special_tokens=["[E1]"])


def in_named_extra(folder: Path) -> None:
    write(folder, extra_special_tokens={"entity_token": "[E1]"})


def in_a_role_of_its_own(folder: Path) -> None:
    write(folder, entity_token="[E1]")


def in_vocabulary(folder: Path) -> None:
    write(folder, [*vocabulary(), "[E1]"], additional_special_tokens=["[E1]"])


def in_decoder(folder: Path) -> None:
    write(
        folder, added_tokens_decoder={str(COUNT): flags("[E1]", special=True, lstrip=True, normalized=False)}
    )


def in_decoder_as_a_word(folder: Path) -> None:
    write(folder, added_tokens_decoder={str(COUNT): flags("[E1]", rstrip=True)})


def in_added_tokens(folder: Path) -> None:
    write(folder)
    (folder / "added_tokens.json").write_text(json.dumps({"[E1]": COUNT}))


def in_added_tokens_and_special(folder: Path) -> None:
    in_added_tokens(folder)
    (folder / "special_tokens_map.json").write_text(json.dumps({"additional_special_tokens": ["[E1]"]}))


def in_map(folder: Path) -> None:
    write(folder)
    mask = flags("[MASK]", lstrip=True)
    del mask["special"]
    (folder / "special_tokens_map.json").write_text(json.dumps({"mask_token": mask, "bos_token": "[E1]"}))


def in_tokenizer_json(folder: Path) -> None:
    tokenizer = generic(vocabulary())
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens([AddedToken("[E1]", single_word=True)])
    write_generic(folder, tokenizer)
    write_config(folder, ROWS)


def saved_by_transformers(folder: Path) -> None:
    write(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["lighthouse", AddedToken("[E1]", lstrip=True, rstrip=True)])
    tokenizer.add_special_tokens({"additional_special_tokens": ["[Q]"]})
    (folder / "vocab.txt").unlink()
    tokenizer.save_pretrained(folder)


@pytest.mark.parametrize(
    "add",
    [
        in_additional, in_extra, in_named_extra, in_a_role_of_its_own, in_vocabulary, in_decoder,
        in_decoder_as_a_word, in_added_tokens, in_added_tokens_and_special, in_map, in_tokenizer_json,
        saved_by_transformers,
    ],
)  # fmt: skip
def test_wherever_a_token_is_added_it_counts_as_in_transformers(add: Any, tmp_path: Path) -> None:
    add(tmp_path)
    files = assert_agrees_with_transformers(tmp_path, TEXTS)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    expected = {index: repr(token) for index, token in theirs.added_tokens_decoder.items()}
    ours = Tokenizer.from_str(files.tokenizer_json.decode())
    assert {index: repr(token) for index, token in ours.get_added_tokens_decoder().items()} == expected
    assert (
        added(files)["[E1]"]["id"]
        == theirs.convert_tokens_to_ids("[E1]")
        == COUNT + (add is saved_by_transformers)
    )
    for text in TEXTS:
        found, wanted = (
            ours.encode(text),
            theirs(text, return_special_tokens_mask=True, return_offsets_mapping=True),
        )
        assert found.special_tokens_mask == wanted["special_tokens_mask"]
        assert found.offsets == [tuple(pair) for pair in wanted["offset_mapping"]]
        for skip in (False, True):
            assert ours.decode(found.ids, skip_special_tokens=skip) == theirs.decode(
                wanted["input_ids"], skip_special_tokens=skip
            )


def test_a_token_beyond_the_embeddings_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, rows=COUNT + 1, additional_special_tokens=["[E1]", "[Q]"])
    message = tokenizer_error(tmp_path)
    assert f"the tokenizer adds '[Q]' ({COUNT + 1}), but the model has only {COUNT + 1} rows" in message
    assert "resize_token_embeddings" in message


def test_a_token_of_tokenizer_json_that_the_settings_do_not_have_is_refused(tmp_path: Path) -> None:
    """transformers then takes none from that file."""
    in_tokenizer_json(tmp_path)
    write_tokenizer(tmp_path, vocabulary(), do_lower_case=False, added_tokens_decoder={})
    assert "its added token '[E1]' is missing there" in tokenizer_error(tmp_path)


def test_a_token_that_the_normalizer_empties_is_refused(tmp_path: Path) -> None:
    write(tmp_path, added_tokens_decoder={str(COUNT): flags("\u0301")})
    assert "nothing is left of the added token" in tokenizer_error(tmp_path)


def test_a_token_that_begins_with_what_another_takes_is_refused(tmp_path: Path) -> None:
    tokens = [flags("[E1]", rstrip=True), flags(" x")]
    write(tmp_path, added_tokens_decoder=dict(enumerate(tokens, COUNT)))
    assert "added token ' x' (id 447) begins with white space" in tokenizer_error(tmp_path)


def test_an_added_token_does_not_join_the_words_of_wordpiece(tmp_path: Path) -> None:
    """One that is a word of its own only must not begin another."""
    write(tmp_path, added_tokens_decoder={str(COUNT): flags("zebra", single_word=True)})
    files = assert_agrees_with_transformers(tmp_path, ["zebra zebras zebra-s ZEBRA"])
    assert b"zebra" not in files.vocab_txt


def test_a_mask_that_is_named_nowhere_is_no_token_of_a_text(tmp_path: Path) -> None:
    write(tmp_path, mask_token=None)
    files = assert_agrees_with_transformers(tmp_path, ["the [MASK] of"])
    assert files.spec.special_tokens["mask"].id == vocabulary().index("[MASK]")


PIECES = [
    "[E1]",
    "[e1]",
    "foo",
    "Foo",
    "food",
    "o",
    " ",
    "  ",
    "_",
    "\u0301",
    "\u00e9",
    "A",
    "-",
    "\u4e2d",
    "1",
    "\x0b",
    "\u3000",
]
CONTENT = st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("".join)
TOKEN = st.builds(
    flags,
    CONTENT,
    **{name: st.booleans() for name in ("special", "lstrip", "rstrip", "single_word", "normalized")},
)


@given(
    tokens=st.lists(TOKEN, min_size=1, max_size=6, unique_by=lambda token: token["content"]),
    texts=st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), min_size=1, max_size=6),
    lower=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_any_set_of_tokens_agrees_with_transformers_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, tokens: list[dict[str, Any]], texts: list[str], lower: bool
) -> None:
    folder = tmp_path_factory.mktemp("tokens")
    decoder = {str(COUNT + number): token for number, token in enumerate(tokens)}
    write(folder, added_tokens_decoder=decoder, do_lower_case=lower)
    try:
        files = read(folder)
    except CheckpointError as refusal:
        assert any(part in str(refusal) for part in ("nothing is left of", "more than once", "begins with"))
        return
    ours, theirs = Tokenizer.from_str(files.tokenizer_json.decode()), AutoTokenizer.from_pretrained(folder)
    for text in texts:
        assert ours.encode(text).ids == theirs(text)["input_ids"]
        assert ours.encode(text).offsets == theirs(text, return_offsets_mapping=True)["offset_mapping"]
