"""Read NativeScript's TypeScript declarations of a platform, for what the Python stubs do not say."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_MODULE = re.compile(r"(?:declare|export) module (\w+) \{")
_CLASS = re.compile(r"export (abstract )?class (\w+)(?:<.*?>)?\s+extends ")
_FIELD = re.compile(r"public (?:static )?(\w+): (.*);")
_METHOD = re.compile(r"public (?:static )?(\w+)(?:<.*?>)?\((.*)\): (.*);")
_CONSTRUCTOR = re.compile(r"public constructor\((.*)\);")
_SINCE = re.compile(r"@since (\d+)")
_DEPRECATED = re.compile(r"[Dd]eprecated in API (\d+)")
_INTERFACE = "public constructor(implementation: {"


@dataclass(frozen=True)
class Since:
    """The API levels from which on something is there, and is better not used."""

    added: int = 0
    deprecated: int | None = None


@dataclass
class Declared:
    """A class; a member's key is its name and how many parameters it has, -1 for a field."""

    interface: bool = False
    abstract: bool = False
    since: Since = Since()
    values: dict[str, str] = field(default_factory=dict)
    members: dict[tuple[str, int], list[Since]] = field(default_factory=dict)
    nullable: set[tuple[str, int]] = field(default_factory=set)
    """Methods whose result may be null."""


def read(lines: Iterable[str]) -> dict[str, Declared]:
    """All classes by their names as in class files, such as ``android/view/View$OnClickListener``."""
    classes: dict[str, Declared] = {}
    path: list[str] = []
    comment, inside = "", False
    for line in map(str.strip, lines):
        if inside or line.startswith("/**"):
            comment += line
            inside = not line.endswith("*/")
            continue
        since, comment = _since(comment), ""
        if match := _MODULE.match(line):
            path.append(match[1])
        elif match := _CLASS.match(line):
            path.append(match[2])
            current = Declared(abstract=bool(match[1]), since=since)
            classes[_name(path)] = current
        elif line == _INTERFACE:
            current.interface = True
            path.append("")
        elif line.startswith("}"):
            # Declarations of types that are written in braces, too, end on their own line.
            path.pop()
        elif line.endswith("{"):
            path.append("")
        elif path and path[-1]:
            _member(current, line, since)
    return classes


def _since(comment: str) -> Since:
    added, deprecated = _SINCE.search(comment), _DEPRECATED.search(comment)
    return Since(int(added[1]) if added else 0, int(deprecated[1]) if deprecated else None)


def _name(path: list[str]) -> str:
    outer = next((at for at, word in enumerate(path) if word[:1].isupper()), len(path) - 1)
    return "/".join([*path[:outer], "$".join(path[outer:])])


def _member(declared: Declared, line: str, since: Since) -> None:
    if match := _CONSTRUCTOR.match(line):
        key = ("<init>", _count(match[1]))
    elif match := _METHOD.match(line):
        key = (match[1].removesuffix("_"), _count(match[2]))
        if match[3].endswith("| null"):
            declared.nullable.add(key)
    elif match := _FIELD.match(line):
        key = (match[1], -1)
        declared.values.setdefault(match[1], match[2])
    else:
        return
    declared.members.setdefault(key, []).append(since)


def _count(parameters: str) -> int:
    """How many parameters there are; a comma in a type's own arguments separates none."""
    depth, count = 0, 1 if parameters.strip() else 0
    for character in parameters.replace("=>", ""):
        depth += (character in "<({[") - (character in ">)}]")
        count += character == "," and depth == 0
    return count
