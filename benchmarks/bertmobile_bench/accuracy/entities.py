"""Entities as the shared tasks of CoNLL count them."""

from collections.abc import Iterable

Entity = tuple[int, int, str]


def entities(tags: Iterable[str]) -> set[Entity]:
    """The entities of a sentence: (first word, word after the last, type).

    As conlleval does it (Tjong Kim Sang and De Meulder, CoNLL-2003, https://aclanthology.org/W03-0419): a
    word goes on with an entity if its tag is I (or E) with the type of the word before, and that word did
    not end its own (by E or S); any other tag but O begins one. So IOB1, IOB2 and IOBES are all read, and a
    stray I begins an entity. A tag without a prefix counts as I.

    Args:
        tags: one a word.
    """
    found: set[Entity] = set()
    begun, before = 0, ("O", "")
    number = -1
    for number, tag in enumerate(tags):
        now = _parts(tag)
        goes_on = now[0] in "IE" and before[0] in "BI" and now[1] == before[1]
        if not goes_on:
            if before[0] != "O":
                found.add((begun, number, before[1]))
            begun = number
        before = now
    if before[0] != "O":
        found.add((begun, number + 1, before[1]))
    return found


def _parts(tag: str) -> tuple[str, str]:
    """Prefix and type."""
    prefix, dash, kind = tag.partition("-")
    if dash and prefix in ("B", "I", "E", "S"):
        return prefix, kind
    return ("O", "") if tag == "O" else ("I", tag)
