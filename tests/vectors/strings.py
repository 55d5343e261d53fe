"""Texts that a tokenizer may get wrong: of our own making, or generated from a seed."""

from collections.abc import Iterator, Sequence
from random import Random

from tests.vectors.unicode_tables import all_characters, notable

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

WORDS = """
    the a of and to in is it was for on that with he she they keeper light house lighthouse lighthouses river
    rivers stone stones bridge walk walked walking unwalkable sing singing sung quick quickly quicker small
    smaller smallest morning evening rain rained raining umbrella who what where when why how ada lovelace
    london met number engine engines letter letters wrote written read reading do not don't can't it's we've
""".split()  # noqa: SIM905 - a list of so many strings is hard to read

# Parts of the tokens that some of the tokenizers add, and of what is beside these in a text.
ADDED_PARTS = (
    "[E1]", "[e1]", "[Q]", "<ent>", "light", "Light", "lighthouse", "HOUSE", "é", "e\u0301", "É", "\u0301",
    "_", "-", "1", "中", "ß", "ǅ", "'", " ", "  ", "\t", "\v", "\u3000", "\u2028", "\u200b", "Keeper ", "x",
)  # fmt: skip

HAND_WRITTEN = (
    "",
    " ",
    "\t\n\r",
    "The keeper of the lighthouse walked.",
    "THE KEEPER OF THE LIGHTHOUSE WALKED.",
    "Café, naïve, Zürich — déjà vu! And decomposed: cafe\u0301.",
    "ÀÉÎÕÜ àéîõü Ång\u0153 Łódź Øre ß ẞ Straße STRASSE",
    "İstanbul ISPARTA ırmak Iğdır i\u0307 I\u0307",  # Turkish: dotted and dotless
    "ΟΔΥΣΣΕΥΣ Οδυσσεύς ΣΑΣ σας ς",  # a final sigma is a matter of context, which is not looked at
    "ПРИВЕТ мир Ёлка ёлка Й й Їжак",
    "مرحبا بالعالم لا إِلٰهَ",
    "שָׁלוֹם עולם \u202bאבג\u202c",
    "नमस्ते दुनिया क़लम ड़",
    "สวัสดีชาวโลก กำลัง",
    "안녕하세요 세계 한글 \u1112\u1161\u11ab",
    "東京は日本の首都です。 Tokyo東京 abc中def",
    "\u4dff\u4e00\u9fff\ua000\u3400\u4dbf\uf900\ufaff\U00020000\U0002a6df\U0002a700\U0002ebe0\U0002f800",
    "カタカナ ひらがな が か\u3099 ﾊﾝｶｸ",
    "👍 👍🏽 👩‍👩‍👧 🇩🇪🇫🇷 ❤️ ☺︎ 🏴\U000e0067\U000e0062\U000e007f a👍b",
    "zero\u200bwidth non\u200cjoiner join\u200der word\u2060joiner bom\ufeffinside so\u00adft",
    "\u0000nul \u0001one \u007fdel \u0080pad \u0085next \u009fend \ufffdreplacement",
    "\ufffenoncharacter \U0010ffff",
    "a\u000bb\u000cc\u001cd\u001fe\u2028f\u2029g\u00a0h\u2000i\u2009j\u202fk\u205fl\u3000m\u1680n\u180eo",
    "\ue000private\uf8ff \U000f0000use\U00100000",
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
    "¡¿«»‹›“”‘’„‚—–…·•§¶†‡‰′″※",
    "، ؛ ؟ । ॥ 。、「」『』【】〈〉《》！？（），．：；",
    "+<=>|~^$`´¨¯¸ €£¥₹ ©®™ °±×÷¬ ½¾²³ª º",
    "a.b.c U.S.A. 3.14 1,000 e-mail it's don't CAN'T we've I'm they're",
    "##ing ## # ###  walk##ing",
    "walked walking unwalkable quickest stonebridge lightlight",
    "x" * 99 + " " + "x" * 100 + " " + "x" * 101,
    "é" * 100 + " " + "é" * 101,
    "e\u0301" * 100 + " " + "e\u0301" * 101,
    "İ" * 50 + " " + "İ" * 51,
    "𝔘" * 100 + " " + "𝔘" * 101,
    "walk" * 25 + " " + "walk" * 25 + "s",
    "word " * 40,
    "a\u0301\u0323\u0302 a\u0323\u0301 \u0301a \u0323\u0301 \u0344\u0323 \u0345\u0344",
    "\u0f73\u0f74 \u0f74\u0f73",
    "a" + "\u0300\u0316" * 20,
    "\u1e9b\u0323 \u1e69 s\u0323\u0307 s\u0307\u0323 \u1ed9 o\u0302\u0323",
    "\U0001d15e \U0001d160\U0001d165 \U0001d1bb",  # musical: spacing marks that combine
    "\u0b47\u0b3e \u0b4b \u0cca \u0dd9\u0dcf\u0dca \u0ddd",
    "\u212b \u2126 \u212a \u1fef \u037e \u0387 \u2000 \u1ffd",  # Angstrom and others, which become plain
    "Z̸̡̢̛̗̘͎͔̱̈́̽a̷͓̫͗l̶̨̛g̵̪̈́o̴͇̓",
    "ﬁ ﬂ ﬀ ﬃ ĳ ǆ ǅ Ǆ",
    "ᏣᎳᎩ ꮳꮃꭹ Ⴀ ⴀ Ა ა Ꙁ ꙁ 𐐀 𐐨 𞤀 𞤢 Ⓐ ⓐ Ⅷ ⅷ",
    "[MASK]",
    "the [MASK] of the [MASK].",
    "[CLS]the[SEP]keeper[PAD][UNK]",
    "[MASK",
    "[mask] [Mask] [ MASK ] [MASK]] [[MASK]",
    "the[MASK]keeper [MASK][MASK]",
    "é[MASK]\u0301 a\u0323[SEP]\u0301",
    "<s>the <s>mask </s> <pad><unk>",
    "<s>mas <s>mask<s>",
    "a" * 30 + "中" * 30,
    "the [E1] keeper[E1] [e1] [E1][Q] x[Q]\u3000[Q] \t[E1]",
    "lighthouse Lighthouse LIGHTHOUSE lighthouses x_lighthouse \u0301lighthouse light\u200bhouse",
    "caf\u00e9 caf\u00e9s CAFE\u0301 \u00e9 \u00c9t\u00e9 \u0301\u0301 e\u0301\u0323\v\u00e9",
)

# What a runtime has to refuse, and says so: JSON can escape a lone surrogate, but UTF-8 cannot hold it.
REFUSED = ("\ud800", "a\udc00b", "\udc00\ud800", "the keeper\ud83d")


_COVERED = 24


def covering() -> Iterator[str]:
    """Words with every white space, punctuation, mark, capital, decomposed and dropped character."""
    found = sorted(notable())
    for begin in range(0, len(found), _COVERED):
        yield " ".join(f"a{character}e" for character in found[begin : begin + _COVERED])


def pages(random: Random) -> Iterator[str]:
    """A text of each 256 code points: all of the first two planes and some of every other."""
    for page in sorted({ord(character) >> 8 for character in all_characters()}):
        if page < 0x200 or page % 16 == 0:
            yield mixed(random, [page], 10)


def mixed(random: Random, among: Sequence[int], size: int) -> str:
    """Words of characters from some pages of 256, between words of ours."""
    parts = []
    for _ in range(size):
        code = random.choice(among) << 8 | random.randrange(256)
        parts.append("\ufffd" if 0xD800 <= code < 0xE000 else chr(code))
        parts.append(random.choice(("", "", "", " ", "a", "E", ".", random.choice(WORDS))))
    return "".join(parts)


def sentence(random: Random, words: int) -> str:
    """Words of ours as prose: capitals, punctuation, sometimes an unknown or a composed word."""
    parts = []
    for _ in range(words):
        word = random.choice(WORDS)
        kind = random.randrange(20)
        if kind == 0:
            word = word.upper()
        elif kind == 1:
            word += random.choice(("ing", "s", "est", "qqq", "́"))
        elif kind == 2:
            word += random.choice((",", ".", "!", "?", ";", "-", "'"))
        elif kind == 3:
            word = random.choice(("é", "中", "Ж", "👍", "[MASK]", "\u200b", "ﬁ")) + word
        parts.append(word)
    return " ".join(parts)


def wild(random: Random) -> str:
    """Any text: prose, single code points of any plane, marks upon marks, and parts of special tokens."""
    parts = []
    for _ in range(random.randrange(1, 12)):
        match random.randrange(9):
            case 0 | 1:
                parts.append(sentence(random, random.randrange(1, 4)))
            case 2:
                parts.append(random.choice((*SPECIAL, "[", "]", "<s>", "<s>mask", "</s>", "[MASK", "##")))
            case 3:
                parts.append(
                    random.choice(_MARKED) + "".join(random.choices(_MARKS, k=random.randrange(1, 6)))
                )
            case 4:
                parts.append(mixed(random, range(0x100), 3))
            case 5:
                parts.append(mixed(random, _ASTRAL, 2))
            case 6:
                parts.append(mixed(random, _COMMON, 4))
            case 7:
                parts.append("".join(random.choices(ADDED_PARTS, k=random.randrange(1, 7))))
            case _:
                parts.append(random.choice((" ", "\t", "\u3000", "\u200d", "\n", "")))
    return random.choice(("", " ")).join(parts)


# Pages of 256 code points with much that is changed.
_COMMON = (0, 1, 2, 3, 4, 5, 6, 9, 0x1E, 0x1F, 0x20, 0x30, 0xAC)
_ASTRAL = (0x104, 0x110, 0x114, 0x1D1, 0x1E9, 0x1F6, 0x200, 0x2F8, 0xE00)
_MARKED = "aeiouAEIOUsSéÉộǟ가がのع\U0001d15e\u0344\u0b47中 "
_MARKS = (
    "\u0300\u0301\u0302\u0307\u0308\u0316\u0323\u0327\u0328\u0334\u0338\u0344\u0345\u035d\u0591\u05b0\u064b"
    "\u0e38\u0f71\u0f72\u0f73\u0f74\u0f81\u302a\u302e\u302f\u3099\u20d0\U0001d165\U0001d16d\U0001d242\u1dfa\U0001e8d0"
)
