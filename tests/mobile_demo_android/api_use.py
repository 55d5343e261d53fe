"""What compiled classes use of Android, and whether the oldest Android that they run on has it.

A newer class or member may be used where the system's version is asked first. That is taken for done when the
method that uses it (or the one around it, for a lambda) reads ``Build.VERSION.SDK_INT``, or when its class is
marked ``@TargetApi`` with a level that has it; whoever makes an object of such a class has to ask in turn.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import ZipFile

from tests.mobile_demo_android.downloads import run
from tests.mobile_demo_android.sdk.levels import NEWEST, Levels
from tests.mobile_demo_android.sdk.tools import Sdk

# Lines of javap -v -p.
_CLASS = re.compile(r"  this_class: #\d+ +// (\S+)")
_HEADER = re.compile(
    r"(?:\w+ )*(?:class|interface) ([\w.$]+)(?: extends ([\w.$,]+))?(?: implements (\S+))? \{"
)
_METHOD = re.compile(r"  (?! )(?:.* )?([\w$<>.-]+)\(.*\).*;|  static \{\};")
_CONSTANT = re.compile(r" +#\d+ = .*")
_MEMBER = re.compile(
    r'.*(?:// (?:Method|InterfaceMethod|Field)|REF_\w+) (?:"?([\w/$\[;]+)"?\.)?"?([\w$<>-]+)"?:(\S+)'
)
_TYPE = re.compile(r'.*// class "?\[*L?([\w/$]+);?"?')
_TARGET = re.compile(r" +android\.annotation\.TargetApi\(")
_VALUE = re.compile(r" +value=(\d+)")

_VERSION = ("android/os/Build$VERSION", "SDK_INT")
_PLATFORM = re.compile(r"(?:android|dalvik|java|javax)/")
# What D8 replaces with code of its own.
_REPLACED = re.compile(r"java/lang/invoke/(?:LambdaMetafactory|StringConcatFactory|MethodHandles|CallSite)\b")
_UNKNOWN = 10_000
_OBJECT = "java/lang/Object"
# R8's database leaves these out, which every class has.
_OBJECTS_MEMBERS = frozenset({"clone", "equals", "getClass", "hashCode", "toString", "notifyAll", "wait"})


@dataclass
class _Method:
    name: str
    uses: set[tuple[str, str, str]] = field(default_factory=set)
    """Owner, name and descriptor; a class itself has no name."""
    asks: bool = False

    @property
    def outer(self) -> str:
        """The method that a lambda is written in."""
        return self.name.split("$lambda$")[0]


@dataclass
class _Class:
    name: str
    target: int
    methods: list[_Method]


def too_new(sdk: Sdk, folders: Sequence[Path], minimum: int) -> list[str]:
    """One line for each use of something newer than ``minimum`` that no question about the version guards."""
    classes = [each for folder in folders for each in _classes(folder)]
    platform = _Platform(sdk, classes)
    targets = {each.name: each.target for each in classes if each.target}
    found = set()
    for each in classes:
        asking = {method.outer for method in each.methods if method.asks}
        for method in each.methods:
            for owner, name, descriptor in method.uses if method.outer not in asking else ():
                made = targets.get(owner, 1) if name == "<init>" else 1
                level = max(made, platform.level(owner, name, descriptor))
                if level > max(minimum, each.target):
                    used = f"{owner}.{name}" if name else owner
                    there = f"is there from API {level} on" if level < _UNKNOWN else f"API {NEWEST} has not"
                    found.add(f"{each.name}.{method.name} uses {used}, which {there}")
    return sorted(found)


def guessed(sdk: Sdk, folders: Sequence[Path]) -> list[str]:
    """The members of the platform that are used, and of which no description knows the exact types."""
    classes = [each for folder in folders for each in _classes(folder)]
    platform = _Platform(sdk, classes)
    uses = {use for each in classes for method in each.methods for use in method.uses}
    return sorted(
        f"{owner}.{name}:{kind}" for owner, name, kind in uses if platform.is_guessed(owner, name, kind)
    )


class _Platform:
    """Since which level Android has a class or a member."""

    def __init__(self, sdk: Sdk, users: Sequence[_Class]) -> None:
        """
        Args:
            users: the classes that use what will be asked about.
        """
        members = json.loads(sdk.members.read_text("utf-8"))
        self._since: dict[str, int] = members["since"]
        self._unsure = frozenset(members["unsure"])
        used = {owner for each in users for method in each.methods for owner, _, _ in method.uses}
        with ZipFile(sdk.tools.r8) as r8:
            self._levels = Levels(r8)
        self._parents = _hierarchy(sdk.jar, {name for name in used if _PLATFORM.match(name)})

    def level(self, owner: str, name: str, descriptor: str) -> int:
        """The level; what no description knows is newer than all."""
        if not _PLATFORM.match(owner) or _REPLACED.match(owner):
            return 1
        return (self._member(owner, name, descriptor) if name else self._type(owner)) or _UNKNOWN

    def is_guessed(self, owner: str, name: str, descriptor: str) -> bool:
        """Whether no description knows the member's exact types."""
        suffix = descriptor if descriptor.startswith("(") else ""
        return any(f"L{each};->{name}{suffix}" in self._unsure for each in self._with_ancestors(owner))

    def _type(self, name: str) -> int | None:
        return self._since.get(f"L{name};") or self._levels.type(f"L{name};")

    def _member(self, owner: str, name: str, descriptor: str) -> int | None:
        suffix = descriptor if descriptor.startswith("(") else ""
        for each in self._with_ancestors(owner):
            level = self._since.get(f"L{each};->{name}{suffix}")
            if level := level or self._levels.reference(f"L{each};", name, descriptor):
                return level
        return 1 if name in _OBJECTS_MEMBERS or owner == _OBJECT else None

    def _with_ancestors(self, name: str) -> list[str]:
        above = [each for parent in self._parents.get(name, []) for each in self._with_ancestors(parent)]
        return list(dict.fromkeys([name, *above]))


def _hierarchy(jar: Path, names: set[str]) -> dict[str, list[str]]:
    """The superclass and the interfaces of platform classes and of all above them."""
    parents: dict[str, list[str]] = {}
    missing = names
    while missing:
        said = run(
            "javap", "-cp", jar, *(name.replace("/", ".") for name in sorted(names)), check=False
        ).stdout
        parents.update((name, []) for name in missing)
        for line in said.splitlines():
            if match := _HEADER.fullmatch(_without_arguments(line)):
                above = ",".join(each for each in match.group(2, 3) if each)
                parents[match[1].replace(".", "/")] = above.replace(".", "/").split(",") if above else []
        missing = {each for above in parents.values() for each in above} - parents.keys()
    return parents


def _without_arguments(line: str) -> str:
    """A line without the ``<...>`` of generic types."""
    line, count = re.subn(r"<[^<>]*>", "", line)
    return _without_arguments(line) if count else line


def _classes(folder: Path) -> Iterator[_Class]:
    files = sorted(folder.rglob("*.class"))
    if files:
        for text in run("javap", "-v", "-p", *files).stdout.split("\nClassfile "):
            yield _parsed(text.splitlines())


def _parsed(lines: Sequence[str]) -> _Class:
    # What is used outside methods: by references to methods.
    outside = _Method("a reference")
    found = _Class("", 0, [outside])
    method, in_target = outside, False
    for line in lines:
        if _CONSTANT.fullmatch(line):
            continue
        if match := _CLASS.fullmatch(line):
            found.name = match[1]
        elif match := _METHOD.fullmatch(line):
            method = _Method(match[1] or "<clinit>")
            found.methods.append(method)
        elif line == "}":
            method = outside
        elif _TARGET.fullmatch(line):
            in_target = True
        elif in_target and (match := _VALUE.fullmatch(line)):
            found.target, in_target = int(match[1]), False
        elif match := _MEMBER.fullmatch(line):
            method.asks |= match.group(1, 2) == _VERSION
            method.uses.add((match[1] or found.name, match[2], match[3]))
        elif match := _TYPE.fullmatch(line):
            method.uses.add((match[1], "", ""))
    return found
