"""Make ``android.jar`` of the three descriptions, and a list of what is newer than the first Android."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from tests.mobile_demo_android.sdk import classfile
from tests.mobile_demo_android.sdk.levels import Levels
from tests.mobile_demo_android.sdk.model import Class, Field, Method, Type, TypeParameter
from tests.mobile_demo_android.sdk.typescript import Declared, Since

API = 36
# No description knows that the caller chooses which kind of View these return.
_CALLERS_CHOICE = ("findViewById", "requireViewById", "findViewWithTag")
_VIEW = "Landroid/view/View;"
# R8's database leaves out what every class has.
_OBJECTS_OWN = ("->hashCode()I", "->toString()Ljava/lang/String;")
_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Descriptions:
    """What the three say of one API."""

    classes: Mapping[str, Class]
    declared: Mapping[str, Declared]
    levels: Levels


class Builder:
    """Puts the descriptions together.

    ``since`` holds the API level of each class (``Landroid/x/Y;``) and member (``Landroid/x/Y;->name()V``),
    and ``unsure`` the members of which a type is only known to be some whole number, floating number or text.
    """

    def __init__(self, descriptions: Descriptions) -> None:
        self._classes = descriptions.classes
        self._declared = descriptions.declared
        self._levels = descriptions.levels
        self._inside: dict[str, list[str]] = {}
        for name in self._classes:
            self._inside.setdefault(name.rpartition("$")[0], []).append(name)
        self.since: dict[str, int] = {}
        self.unsure: set[str] = set()

    def built(self) -> Iterator[tuple[str, bytes]]:
        """The path and the bytes of each class file."""
        for described in self._classes.values():
            declared = self._declared.get(described.name, Declared())
            since = self._levels.type(described.descriptor) or declared.since.added or 1
            self.since[described.descriptor] = since
            finished = replace(
                described,
                fields=[self._field(described, declared, each, since) for each in described.fields],
                methods=[self._method(described, declared, each, since) for each in described.methods],
                interface=declared.interface,
                abstract=declared.abstract,
                deprecated=_deprecated([declared.since]),
            )
            interfaces = [base for base in described.bases if self._is_interface(base)]
            superclass = next((base for base in described.bases if base not in interfaces), None)
            yield (
                f"{described.name}.class",
                classfile.write(finished, superclass, interfaces, self._inside.get(described.name, [])),
            )

    def _is_interface(self, base: Type) -> bool:
        declared = self._declared.get(_internal(base))
        return declared is not None and declared.interface

    def _field(self, owner: Class, declared: Declared, described: Field, since: int) -> Field:
        versions = declared.members.get((described.name, -1), [])
        descriptor, level = described.type.descriptors[0], None
        for each in described.type.descriptors:
            if found := self._levels.field(owner.descriptor, described.name, each):
                descriptor, level = each, found
        self._note(f"{owner.descriptor}->{described.name}", described.type, level, versions, since)
        value = _value(descriptor, declared.values.get(described.name, "")) if described.static else None
        known = described.type.as_descriptor(descriptor)
        return replace(described, type=known, value=value, deprecated=_deprecated(versions))

    def _method(self, owner: Class, declared: Declared, described: Method, since: int) -> Method:
        key = (described.name, len(described.parameters))
        versions = declared.members.get(key, [])
        # Where only one of them says so, it may have read it in the documentation: the compiler is not told.
        nullable = described.result.nullable and key in declared.nullable
        described = replace(described, result=replace(described.result, nullable=nullable))
        described = _generic_result(described)
        known, level = self._exact(owner, described)
        parameters = "".join(each.descriptors[0] for each in known.parameters)
        reference = f"{owner.descriptor}->{known.name}({parameters}){known.result.descriptors[0]}"
        self._note(reference, described.result, level, versions, since)
        # What was added to an interface later has a body, or all who implement it would have broken.
        added_later = max((each.added for each in versions), default=0) > max(since, 1)
        bodiless = not known.named or (declared.interface and not known.parameters and not added_later)
        abstract = bodiless and not known.static and (declared.interface or declared.abstract)
        return replace(known, abstract=abstract, deprecated=_deprecated(versions))

    def _exact(self, owner: Class, described: Method) -> tuple[Method, int | None]:
        """The method as the database has it: in its class, or in one that this extends."""
        types = [*described.parameters, described.result]
        for name in [*self._ancestors(owner.name), "java/lang/Object"]:
            for descriptors in product(*(each.descriptors for each in types)):
                *parameters, result = descriptors
                level = self._levels.method(f"L{name};", described.name, parameters, result)
                if level:
                    exact = [
                        each.as_descriptor(known) for each, known in zip(types, descriptors, strict=True)
                    ]
                    return replace(described, parameters=tuple(exact[:-1]), result=exact[-1]), level
        first = [each.as_descriptor(each.descriptors[0]) for each in types]
        return replace(described, parameters=tuple(first[:-1]), result=first[-1]), None

    def _ancestors(self, name: str) -> Iterator[str]:
        yield name
        if name in self._classes:
            for base in self._classes[name].bases:
                yield from self._ancestors(_internal(base))

    def _note(
        self, reference: str, type_: Type, level: int | None, versions: list[Since], since: int
    ) -> None:
        added = level or max((each.added for each in versions), default=0)
        self.since[reference] = max(added, since)
        if level is None and len(type_.descriptors) > 1 and not reference.endswith(_OBJECTS_OWN):
            self.unsure.add(reference)


def write(descriptions: Descriptions, folder: Path) -> None:
    """Write ``android.jar`` and ``members.json``, which holds ``since`` and ``unsure`` of the builder."""
    builder = Builder(descriptions)
    with ZipFile(folder / "android.jar", "w", ZIP_DEFLATED, compresslevel=1) as jar:
        for path, written in builder.built():
            jar.writestr(ZipInfo(path, _DATE), written)
    members = {"since": builder.since, "unsure": sorted(builder.unsure)}
    (folder / "members.json").write_text(json.dumps(members), "utf-8")


def _generic_result(described: Method) -> Method:
    """``View findViewById(int)`` is ``<T extends View> T findViewById(int)``."""
    bound = described.result
    if described.name not in _CALLERS_CHOICE or bound.descriptors != (_VIEW,):
        return described
    result = Type(bound.descriptors, "TT;", bound.nullable)
    return replace(described, type_parameters=(TypeParameter("T", bound),), result=result)


def _deprecated(versions: list[Since]) -> bool:
    return bool(versions) and all(each.deprecated and each.deprecated <= API for each in versions)


def _value(descriptor: str, written: str) -> int | float | str | bool | None:
    if descriptor == "Ljava/lang/String;":
        return json.loads(written) if written.startswith('"') else None
    if descriptor == "Z":
        return {"true": True, "false": False}.get(written)
    try:
        if descriptor in ("F", "D"):
            return float(written)
        return int(written) if descriptor in ("I", "J", "S", "B") else None
    except ValueError:
        return None


def _internal(base: Type) -> str:
    return base.descriptors[0][1:-1]
