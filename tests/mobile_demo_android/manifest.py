"""Merge the app's manifests as far as they need it, as the Android Gradle plugin does."""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from tests.mobile_demo_android.project import AppFacts

_ANDROID = "http://schemas.android.com/apk/res/android"
_TOOLS = "http://schemas.android.com/tools"
NAME = f"{{{_ANDROID}}}name"
_NODE = f"{{{_TOOLS}}}node"


def merged(facts: AppFacts, build_type: str, manifests: Sequence[Path]) -> bytes:
    """The manifest that is packaged.

    Elements of all manifests are taken together, but for those that one marks with ``tools:node="remove"``;
    the attributes of an earlier manifest win. Any other ``tools:node`` is not known here.

    Args:
        manifests: that of the build type, of the app, and of the libraries, in this order.

    Raises:
        ValueError: a manifest asks for a way to merge that this does not know.
    """
    roots = [ElementTree.parse(path).getroot() for path in manifests]
    result = Element("manifest", {"package": facts.application_id})
    application = Element("application")
    for root in roots:
        for child in root:
            if child.tag == "application":
                application.extend(child)
                application.attrib.update(
                    {k: v for k, v in child.attrib.items() if k not in application.attrib}
                )
            elif child.tag != "uses-sdk":
                result.append(child)
    result.append(application)
    if build_type in facts.profileable and application.find("profileable") is None:
        application.append(Element("profileable", {f"{{{_ANDROID}}}shell": "true"}))
    _remove_marked(result)
    for element in result.iter():
        element.attrib = {name: value for name, value in element.attrib.items() if _TOOLS not in name}
    ElementTree.register_namespace("android", _ANDROID)
    written: bytes = ElementTree.tostring(result, encoding="utf-8", xml_declaration=True)
    return written


def requested_permissions(manifest: Path) -> list[str]:
    """The permissions that a manifest asks for, without those that it takes away from others."""
    root = ElementTree.parse(manifest).getroot()
    asked = [child for child in root if child.tag.startswith("uses-permission")]
    return [child.attrib[NAME] for child in asked if child.get(_NODE) != "remove"]


def _remove_marked(parent: Element) -> None:
    for child in parent:
        _remove_marked(child)
    marks = {child.get(_NODE) for child in parent} - {None}
    if unknown := marks - {"remove"}:
        raise ValueError(f"tools:node={unknown.pop()!r} is not known here")
    removed = {(child.tag, child.get(NAME)) for child in parent if child.get(_NODE) == "remove"}
    for child in [child for child in parent if (child.tag, child.get(NAME)) in removed]:
        parent.remove(child)
