"""What Hugging Face's tokenizers do to each code point, found by asking them.

``unicodedata`` would not do: the library's tables are of several versions of Unicode, none of them Python's.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from itertools import groupby

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

# One letter each, because the table is long: what a text loses before it is cut into words, white space,
# Chinese characters, marks that go with the accents, and what is a word of its own.
DROPPED, SPACE, CHINESE, MARK, PUNCTUATION = "dshmp"

# Between any two code points that are asked about: no mark moves past it, and nothing else becomes it.
_SEPARATOR = "0"
_BATCH = 1 << 14
_HANGUL = range(0xAC00, 0xD7A4)
# A mark of the lowest class (U+0334, 1) and one of the highest (U+0345, 240): every other mark would move
# past one of them.
_LOWEST, _HIGHEST = "\u0334", "\u0345"

HEADER = """\
# What Hugging Face's tokenizers do to each code point; written by: python -m tests.vectors.write
# All numbers are hexadecimal. A range is its first and its last code point, and the step between them.
"""


@cache
def all_characters() -> list[str]:
    """Every code point but surrogates, which no text holds."""
    return [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]


def document() -> str:
    """The tables as text: sections of lines."""
    for code in _HANGUL:  # in no table: a reader computes them
        assert [ord(c) for c in decompositions()[chr(code)]] == _jamo(code)
    spaces = {c for c, name in categories().items() if name == SPACE}
    assert white_space() == spaces | set("\v\f\x85")  # as a reader has it, without a table
    listed = {c: new for c, new in decompositions().items() if ord(c) not in _HANGUL}
    sections: dict[str, Iterable[str]] = {
        "categories": _ranges({ord(c): name for c, name in categories().items()}),
        "lower": _lower_lines(lower()),
        "decompositions": (_hex(ord(c), *map(ord, new)) for c, new in listed.items()),
        "classes": _ranges({ord(c): _hex(rank) for c, rank in combining_classes().items()}),
        "words": (line.removesuffix(" w") for line in _ranges({ord(c): "w" for c in word_characters()})),
    }
    return HEADER + "".join(
        f"\n[{name}]\n" + "".join(f"{line}\n" for line in lines) for name, lines in sections.items()
    )


def notable() -> set[str]:
    """Characters that a tokenizer changes, or treats in a way of their own, but for the many of one kind."""
    single = (c for c in decompositions() if ord(c) not in _HANGUL)
    of_a_kind = (c for c, name in categories().items() if name != CHINESE and not _is_private(c))
    return {*lower(), *single, *of_a_kind, *combining_classes()}


@cache
def lower() -> dict[str, str]:
    """What becomes of each character that is made small."""
    return dict(_changed(_bert(lowercase=True), all_characters()))


@cache
def decompositions() -> dict[str, str]:
    """What each character is made of, if of others."""
    return dict(_changed(normalizers.NFD(), all_characters()))


@cache
def categories() -> dict[str, str]:
    """The category of each character that has one. None has two, as far as it matters."""
    found: dict[str, str] = {}
    for character, new in _changed(_bert(clean_text=True), all_characters()):
        found[character] = {"": DROPPED, " ": SPACE}[new]
    found[" "] = SPACE
    for character, new in _changed(_bert(handle_chinese_chars=True), all_characters()):
        assert new == f" {character} " and character not in found
        found[character] = CHINESE
    for character, new in _changed(_bert(strip_accents=True), all_characters()):
        if character not in decompositions():
            assert new == "" and character not in found
            found[character] = MARK
    for character, alone in _pre_tokenized(all_characters()):
        if alone:
            assert character not in found
            found[character] = PUNCTUATION
        else:  # white space that is left when the text is cut into words would be one more category
            assert found[character] in (DROPPED, SPACE)
    return dict(sorted(found.items()))


def _bert(**rules: bool) -> normalizers.Normalizer:
    none = dict.fromkeys(("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"), False)
    return normalizers.BertNormalizer(**(none | rules))


def _batches(characters: list[str]) -> Iterator[list[str]]:
    others = [character for character in characters if character != _SEPARATOR]
    yield from (others[begin : begin + _BATCH] for begin in range(0, len(others), _BATCH))


def _asked(
    normalizer: normalizers.Normalizer, characters: list[str], wrap: Callable[[str], str] = str
) -> Iterator[tuple[str, str]]:
    """(character, what the normalizer makes of ``wrap(character)``)."""
    for batch in _batches(characters):
        text = _SEPARATOR.join(map(wrap, batch))
        yield from zip(batch, normalizer.normalize_str(text).split(_SEPARATOR), strict=True)


def _changed(normalizer: normalizers.Normalizer, characters: list[str]) -> Iterator[tuple[str, str]]:
    assert normalizer.normalize_str(_SEPARATOR) == _SEPARATOR
    return ((old, new) for old, new in _asked(normalizer, characters) if old != new)


def _pre_tokenized(characters: list[str]) -> Iterator[tuple[str, bool]]:
    """Characters that divide words, and whether they are words themselves."""
    splitter = pre_tokenizers.BertPreTokenizer()
    for batch in _batches(characters):
        text = _SEPARATOR + _SEPARATOR.join(batch) + _SEPARATOR
        pieces = [offsets for _, offsets in splitter.pre_tokenize_str(text)]
        alone = {start for start, stop in pieces if stop == start + 1}
        inside = {place for start, stop in pieces for place in range(start, stop)}
        for place, character in zip(range(1, len(text), 2), batch, strict=True):
            if place not in inside:
                yield character, False
            elif place in alone:
                yield character, True


@cache
def combining_classes() -> dict[str, int]:
    """Rank of the combining class of each mark, from 1: marks are sorted by it."""
    nfd = normalizers.NFD()

    def moves(first: str, second: str) -> bool:
        return bool(nfd.normalize_str(first + second) == second + first)

    plain = [c for c in all_characters() if c not in decompositions()]
    after_lowest = {c for c, new in _asked(nfd, plain, lambda c: c + _LOWEST) if new != c + _LOWEST}
    before_highest = {c for c, new in _asked(nfd, plain, lambda c: _HIGHEST + c) if new != _HIGHEST + c}
    classes: list[list[str]] = []  # in order, each with its marks
    for mark in sorted(after_lowest | before_highest):
        place = next((i for i, marks in enumerate(classes) if not moves(mark, marks[0])), len(classes))
        if place < len(classes) and not moves(classes[place][0], mark):
            classes[place].append(mark)
        else:
            classes.insert(place, [mark])
    return {mark: rank for rank, marks in enumerate(classes, 1) for mark in marks}


@cache
def word_characters() -> list[str]:
    """Characters beside which an added token is no single word."""
    found = []
    tokenizer = _with_added(AddedToken(_SEPARATOR, single_word=True, normalized=False))
    for batch in _batches(all_characters()):
        text = " ".join(f"{character}{_SEPARATOR}" for character in batch)
        places = {start for start, _ in tokenizer.encode(text).offsets}
        found += [character for place, character in enumerate(batch) if 3 * place + 1 not in places]
    return sorted({*found, _SEPARATOR})


@cache
def white_space() -> set[str]:
    """Characters that belong to an added token with ``lstrip`` or ``rstrip`` beside them."""
    found = set()
    tokenizer = _with_added(AddedToken(_SEPARATOR, lstrip=True, normalized=False))
    for batch in _batches(all_characters()):
        text = "".join(f"x{character}{_SEPARATOR}" for character in batch)
        places = {start for start, _ in tokenizer.encode(text).offsets}
        found |= {character for place, character in enumerate(batch) if 3 * place + 1 in places}
    return found


def _with_added(token: AddedToken) -> Tokenizer:
    """A tokenizer that finds one token, and nothing else."""
    tokenizer = Tokenizer(models.WordLevel({}, unk_token="unknown"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "removed")
    tokenizer.add_tokens([token])
    return tokenizer


def _jamo(code: int) -> list[int]:
    lead, rest = divmod(code - 0xAC00, 588)
    vowel, tail = divmod(rest, 28)
    return [0x1100 + lead, 0x1161 + vowel, *([0x11A7 + tail] if tail else [])]


def _hex(*numbers: int) -> str:
    return " ".join(f"{number:x}" for number in numbers)


def _ranges(values: Mapping[int, str]) -> Iterator[str]:
    """``first last value`` for neighbours of one value."""
    ordered = sorted(values.items())
    for _, group in groupby(enumerate(ordered), lambda entry: (entry[1][0] - entry[0], entry[1][1])):
        members = [code for _, (code, _) in group]
        yield f"{_hex(members[0], members[-1])} {values[members[0]]}"


def _lower_lines(lower: Mapping[str, str]) -> Iterator[str]:
    """``first last step to`` where neighbours move by one distance (``to`` is what the first becomes, and
    may be several code points)."""
    ordered = sorted((ord(old), [ord(c) for c in new]) for old, new in lower.items())
    while ordered:
        (first, new), step, count = ordered[0], 1, 1
        if len(new) == 1:
            for step in (1, 2):
                count = 1
                while count < len(ordered) and ordered[count] == (
                    first + count * step,
                    [new[0] + count * step],
                ):
                    count += 1
                if count > 1:
                    break
        yield _hex(first, first + (count - 1) * step, step, *new)
        ordered = ordered[count:]


def _is_private(character: str) -> bool:
    return 0xE000 <= ord(character) < 0xF900 or ord(character) >= 0xF0000
