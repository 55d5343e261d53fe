"""Read Python stubs of Java classes by ``chaquopy-stubgen``: an ``__init__.pyi`` for each package."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.mobile_demo_android.sdk.model import (
    FLOATS,
    INTEGERS,
    TEXTS,
    Class,
    Field,
    Method,
    Type,
    TypeParameter,
)

OBJECT = Type(("Ljava/lang/Object;",), "Ljava/lang/Object;")
_VOID = Type(("V",), "V")
_PRIMITIVES = {
    "java.jboolean": "Z", "java.jbyte": "B", "java.jshort": "S", "java.jint": "I", "java.jlong": "J",
    "java.jfloat": "F", "java.jdouble": "D", "java.jchar": "C",
}  # fmt: skip
_PYTHON = {"bool": ("Z",), "int": INTEGERS, "float": FLOATS, "str": TEXTS}
_ARRAYS = {
    "java.chaquopy.JavaArrayJBoolean": "[Z", "java.chaquopy.JavaArrayJByte": "[B",
    "java.chaquopy.JavaArrayJShort": "[S", "java.chaquopy.JavaArrayJInt": "[I",
    "java.chaquopy.JavaArrayJLong": "[J", "java.chaquopy.JavaArrayJFloat": "[F",
    "java.chaquopy.JavaArrayJDouble": "[D", "java.chaquopy.JavaArrayJChar": "[C",
}  # fmt: skip


class UnknownType(Exception):
    """A type is written in a way that this does not know."""


def read(folder: Path) -> dict[str, Class]:
    """All classes of the packages below a folder such as ``android-stubs``.

    Raises:
        UnknownType: the stubs are of another kind than these.
    """
    classes: dict[str, Class] = {}
    root = folder.name.removesuffix("-stubs")
    for path in sorted(folder.rglob("__init__.pyi")):
        package = "/".join([root, *path.parent.relative_to(folder).parts])
        module = ast.parse(path.read_text("utf-8"))
        scope = _Scope(
            package, frozenset(node.name for node in module.body if isinstance(node, ast.ClassDef)), {}
        )
        for described in _classes(module, None, scope):
            classes[described.name] = described
    return classes


@dataclass(frozen=True)
class _Scope:
    """What a name may mean in one file."""

    package: str
    classes: frozenset[str]
    variables: Mapping[str, TypeParameter]

    def type(self, node: ast.expr) -> Type:
        """A type as it is annotated."""
        if isinstance(node, ast.BinOp):
            return self._union(node)
        if isinstance(node, ast.Constant) and node.value is None:
            return _VOID
        if isinstance(node, ast.Subscript):
            return self._generic(node)
        name = ast.unparse(node)
        if name in _PYTHON:
            return Type(_PYTHON[name], _PYTHON[name][0])
        for written in (_ARRAYS, _PRIMITIVES):
            if name in written:
                return Type((written[name],), written[name])
        if name in self.variables:
            variable = self.variables[name]
            return Type(variable.bound.descriptors, f"T{variable.name};")
        # A variable of a bound's own argument is nowhere defined.
        if name in ("typing.Any", "T"):
            return OBJECT
        descriptor = f"L{self._class(name)};"
        return Type((descriptor,), descriptor)

    def _union(self, node: ast.BinOp) -> Type:
        parts = list(_parts(node))
        words = [ast.unparse(part) for part in parts]
        for word in words:
            if word in _PRIMITIVES:
                return Type((_PRIMITIVES[word],), _PRIMITIVES[word])
        if words[0] == "java.lang.Object":
            return OBJECT
        if words == ["str", "java.lang.String"]:
            return Type(TEXTS[:1], TEXTS[0])
        if words[-1] == "None" and len(words) == 2:
            inner = self.type(parts[0])
            # A result that may be null is no primitive.
            return Type(TEXTS[:1] if inner.descriptors == TEXTS else inner.descriptors, inner.signature, True)
        raise UnknownType(f"{self.package}: {ast.unparse(node)}")

    def _generic(self, node: ast.Subscript) -> Type:
        name = ast.unparse(node.value)
        arguments = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        inner = [self.type(argument) for argument in arguments]
        if name == "java.chaquopy.JavaArray":
            (element,) = inner
            return Type(tuple(f"[{each}" for each in element.descriptors[:1]), f"[{element.signature}")
        erased = "java/lang/Class" if name == "typing.Type" else self._class(name)
        # A "?" is written as an Object here.
        written = ("*" if each.signature == OBJECT.signature else each.signature for each in inner)
        signature = f"L{erased}<{''.join(written)}>;"
        return Type((f"L{erased};",), signature)

    def _class(self, name: str) -> str:
        words = name.split(".")
        if words[0] in self.classes:
            return f"{self.package}/{'$'.join(words)}"
        # Packages are written small, and classes with a capital, but for classes inside others.
        outer = next((at for at, word in enumerate(words) if word[0].isupper()), None)
        if outer is None or len(words) < 2:
            raise UnknownType(f"{self.package}: {name}")
        return f"{'/'.join(words[:outer])}/{'$'.join(words[outer:])}"


def _parts(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp):
        yield from _parts(node.left)
        yield from _parts(node.right)
    else:
        yield node


def _classes(block: ast.Module | ast.ClassDef, outer: str | None, scope: _Scope) -> Iterator[Class]:
    variables = dict(scope.variables)
    for node in block.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            (target,) = node.targets
            variables.update(
                _variable(ast.unparse(target), node.value, _Scope(scope.package, scope.classes, variables))
            )
    inside = _Scope(scope.package, scope.classes, variables)
    for node in block.body:
        if isinstance(node, ast.ClassDef):
            name = f"{scope.package}/{node.name}" if outer is None else f"{outer}${node.name}"
            yield _class(node, name, inside)
            yield from _classes(node, name, inside)


def _variable(name: str, call: ast.Call, scope: _Scope) -> dict[str, TypeParameter]:
    bound = next((scope.type(keyword.value) for keyword in call.keywords if keyword.arg == "bound"), OBJECT)
    # The part after the last "__" is the name in Java; what is before makes it unique in the file.
    return {name: TypeParameter(name.rsplit("__", 1)[1], bound)}


def _class(node: ast.ClassDef, name: str, outside: _Scope) -> Class:
    variables = dict(outside.variables)
    for child in node.body:
        if isinstance(child, ast.Assign) and isinstance(child.value, ast.Call):
            variables.update(_variable(ast.unparse(child.targets[0]), child.value, outside))
    scope = _Scope(outside.package, outside.classes, variables)
    bases: list[Type] = []
    own: tuple[TypeParameter, ...] = ()
    for base in node.bases:
        if isinstance(base, ast.Subscript) and ast.unparse(base.value) == "typing.Generic":
            names = base.slice.elts if isinstance(base.slice, ast.Tuple) else [base.slice]
            own = tuple(scope.variables[ast.unparse(each)] for each in names)
        else:
            bases.append(scope.type(base))
    described = Class(name, tuple(bases), own)
    owned = {each.name for each in own}
    for child in node.body:
        if isinstance(child, ast.AnnAssign):
            described.fields.append(_field(child, scope))
        elif isinstance(child, ast.FunctionDef):
            described.methods.append(_method(child, scope, owned))
    return described


def _field(node: ast.AnnAssign, scope: _Scope) -> Field:
    annotation, static = node.annotation, False
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "typing.ClassVar":
        annotation, static = annotation.slice, True
    return Field(ast.unparse(node.target), scope.type(annotation), static)


def _method(node: ast.FunctionDef, scope: _Scope, owned: set[str]) -> Method:
    static = any(ast.unparse(each) == "staticmethod" for each in node.decorator_list)
    arguments = [*node.args.posonlyargs, *node.args.args]
    if not static:
        arguments = arguments[1:]
    if node.args.vararg:
        arguments.append(node.args.vararg)
    parameters = [scope.type(each.annotation) for each in arguments if each.annotation]
    if node.args.vararg:
        last = parameters[-1]
        parameters[-1] = Type((f"[{last.descriptors[0]}",), f"[{last.signature}")
    assert node.returns
    constructor = node.name == "__init__"
    result = _VOID if constructor else scope.type(node.returns)
    used = {ast.unparse(each) for each in ast.walk(node) if isinstance(each, ast.Name)}
    generic = tuple(
        parameter
        for name, parameter in scope.variables.items()
        if name in used and name.startswith(f"_{node.name}_") and parameter.name not in owned
    )
    return Method(
        # Python cannot have a method of the name of one of its own words.
        "<init>" if constructor else node.name.removesuffix("_") if node.name[:1] != "_" else node.name,
        tuple(parameters),
        result,
        static=static,
        varargs=node.args.vararg is not None,
        type_parameters=generic,
        named=not any(each.arg.startswith("arg") and each.arg[3:].isdigit() for each in arguments),
    )
