"""Answers to questions as SQuAD counts them.

Rajpurkar, Zhang, Lopyrev and Liang, "SQuAD: 100,000+ Questions for Machine Comprehension of Text", EMNLP
2016, https://arxiv.org/abs/1606.05250, and its evaluation script, evaluate-v1.1.py.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalized(answer: str) -> str:
    """In lower case, without punctuation (that of ASCII) and English articles, with single spaces."""
    bare = answer.lower().translate(_NO_PUNCTUATION)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def exact_match(answer: str, right: Iterable[str]) -> bool:
    """Whether the answer is one of the right ones, once they are normalized."""
    return normalized(answer) in map(normalized, right)


def f1(answer: str, right: Iterable[str]) -> float:
    """How many words the answer shares with the right one that suits it best: F1 of words, from 0 to 1."""
    return max(_f1(normalized(answer).split(), normalized(one).split()) for one in right)


def _f1(words: list[str], right: list[str]) -> float:
    shared = sum((Counter(words) & Counter(right)).values())
    return 2 * shared / (len(words) + len(right)) if shared else 0.0
