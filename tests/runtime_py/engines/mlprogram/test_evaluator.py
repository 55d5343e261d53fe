"""How a program is run: rounding, observing, errors, and whose memory is whose."""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bertmobile import BundleError, UsageError
from bertmobile.engines.mlprogram import Evaluator, Operation, Program, Tensor
from tests.messages import error_of

from .programs import build, mb, observe

X = np.array([[1.0, 2.0, 3.0]], np.float32)
WEIGHT = np.arange(12, dtype=np.float32).reshape(4, 3)


def linear_program() -> Program:
    def program(x: Any) -> Any:
        moved = mb.add(x=x, y=np.float32(1), name="moved")
        return mb.linear(x=moved, weight=WEIGHT, bias=np.ones(4, np.float32), name="answer")

    return build(program, {"x": X})


def test_rounding_happens_after_every_float16_operator_and_only_there() -> None:
    """1 + 2^-11 is 1 in float16, and stays what it is where the program declares float32."""
    tiny = np.float16(2**-11)

    def program(x: Any, wide: Any) -> Any:
        first = mb.add(x=x, y=tiny, name="first")
        second = mb.add(x=first, y=tiny, name="second")
        mb.add(x=wide, y=np.float32(tiny), name="single")
        return mb.cast(x=second, dtype="fp32", name="answer")

    inputs = {"x": np.ones(3, np.float16), "wide": np.ones(3, np.float32)}
    read = build(program, inputs)
    rounded, plain = observe(read, inputs, rounding=True), observe(read, inputs, rounding=False)
    assert (rounded["first"] == 1).all() and (rounded["second"] == 1).all() and (rounded["answer"] == 1).all()
    assert (plain["answer"] == 1 + 2**-10).all()
    assert (rounded["single"] == 1 + 2**-11).all()
    assert all(value.dtype == np.float32 for value in (*rounded.values(), *plain.values()))


def test_beyond_float16_there_is_infinity_only_where_rounding() -> None:
    def program(x: Any) -> Any:
        squared = mb.mul(x=x, y=x, name="squared")
        return mb.real_div(x=squared, y=squared, name="answer")

    inputs = {"x": np.array([300, -300, 2], np.float16)}
    read = build(program, inputs)
    rounded, plain = observe(read, inputs, rounding=True), observe(read, inputs, rounding=False)
    np.testing.assert_array_equal(rounded["squared"], [np.inf, np.inf, 4])
    np.testing.assert_array_equal(rounded["answer"], [np.nan, np.nan, 1])
    np.testing.assert_array_equal(plain["squared"], [90000, 90000, 4])
    np.testing.assert_array_equal(plain["answer"], [1, 1, 1])


def test_a_float32_program_is_the_same_in_both_modes() -> None:
    read = linear_program()
    rounded, plain = observe(read, {"x": X / 3}, rounding=True), observe(read, {"x": X / 3}, rounding=False)
    assert (rounded["answer"] != rounded["answer"].astype(np.float16)).any()
    np.testing.assert_array_equal(rounded["answer"], plain["answer"])


def test_operations_tell_what_an_observer_meets() -> None:
    evaluator = Evaluator(linear_program(), rounding=False)
    seen: list[tuple[str, NDArray[Any]]] = []
    outputs = evaluator.run({"x": X}, observe=lambda name, value: seen.append((name, value.copy())))
    add, linear = evaluator.program.operations
    assert (add.type, add.name, add.inputs["x"]) == ("add", "moved", ("x",))
    assert add.outputs == (Tensor("moved", "fp32", (1, 3)),)
    assert (linear.type, linear.inputs["x"]) == ("linear", ("moved",))
    (weight,) = linear.inputs["weight"]
    np.testing.assert_array_equal(evaluator.program.constants[weight], WEIGHT)
    # Neither inputs nor constants: what is computed, in order.
    assert [name for name, _ in seen] == ["moved", "answer"]
    np.testing.assert_array_equal(seen[0][1], X + 1)
    np.testing.assert_array_equal(seen[1][1], (X + 1) @ WEIGHT.T + 1)
    assert outputs.keys() == {"answer"}
    np.testing.assert_array_equal(outputs["answer"], seen[1][1])


def test_outputs_belong_to_the_caller() -> None:
    table = np.arange(20, dtype=np.float32).reshape(4, 5)

    def program(x: Any) -> Any:
        doubled = mb.add(x=x, y=x)
        return (
            mb.identity(x=x, name="input"),
            mb.slice_by_index(x=table, begin=[1, 0], end=[2, 5], name="part"),
            mb.identity(x=doubled, name="one"),
            mb.reshape(x=doubled, shape=[3], name="other"),
        )

    given = X.copy()
    evaluator = Evaluator(build(program, {"x": X}), rounding=False)
    first = evaluator.run({"x": given})
    kept = {name: value.copy() for name, value in first.items()}
    assert first.keys() == {"input", "part", "one", "other"}
    untouched = dict(first)
    while untouched:
        untouched.popitem()[1][...] += 100
        for name, value in untouched.items():
            np.testing.assert_array_equal(value, kept[name])
    np.testing.assert_array_equal(given, X)
    again = evaluator.run({"x": X})
    for name, value in kept.items():
        np.testing.assert_array_equal(again[name], value)


def test_values_are_let_go_after_their_last_use() -> None:
    def program(x: Any) -> Any:
        for index in range(6):
            x = mb.add(x=x, y=np.float32(1), name=f"value{index}")
        return x

    alive: dict[str, weakref.ref[NDArray[Any]]] = {}
    most = 0

    def watch(name: str, value: NDArray[Any]) -> None:
        nonlocal most
        alive[name] = weakref.ref(value)
        most = max(most, sum(reference() is not None for reference in alive.values()))

    gc.collect()
    Evaluator(build(program, {"x": X}), rounding=False).run({"x": X}, observe=watch)
    assert len(alive) == 6 and most == 2


def test_several_threads_may_run_at_once() -> None:
    evaluator = Evaluator(linear_program(), rounding=True)
    inputs = [np.full((1, 3), index, np.float32) for index in range(40)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda x: evaluator.run({"x": x})["answer"], inputs))
    for x, answer in zip(inputs, answers, strict=True):
        np.testing.assert_array_equal(answer, (x + 1) @ WEIGHT.T + 1)


def test_unknown_operators_are_all_named_when_a_program_is_loaded() -> None:
    def program(x: Any) -> Any:
        tangent = mb.tan(x=x)
        return mb.sin(x=mb.add(x=tangent, y=mb.tan(x=x)))

    read = build(program, {"x": X})
    message = error_of(BundleError, Evaluator, read, rounding=False)
    assert "does not know the operators sin, tan of this program" in message


def test_unknown_parameters_are_named() -> None:
    read = linear_program()
    first = read.operations[0]
    odd = replace(first, inputs={**first.inputs, "alpha": ("x",)})
    message = error_of(BundleError, Evaluator, replace(read, operations=(odd,)), rounding=False)
    assert "add(alpha=)" in message


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        ({}, "takes the inputs x, not "),
        ({"x": X, "y": X}, "takes the inputs x, not x, y"),
        ({"x": X[:, :2]}, "x must have shape (1, 3), not (1, 2)"),
        ({"x": X[0]}, "x must have shape (1, 3), not (3,)"),
        ({"x": X.astype(np.int32)}, "x must be float32, not int32"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs: dict[str, NDArray[Any]], complaint: str) -> None:
    evaluator = Evaluator(linear_program(), rounding=False)
    assert complaint in error_of(UsageError, evaluator.run, inputs)


def test_float32_values_given_for_a_float16_input_are_cast() -> None:
    read = build(lambda x: mb.identity(x=x, name="answer"), {"x": X.astype(np.float16)})
    for rounding in (False, True):
        answer = Evaluator(read, rounding=rounding).run({"x": X / 3})["answer"]
        np.testing.assert_array_equal(answer, (X / 3).astype(np.float16).astype(np.float32))


def test_an_index_outside_of_a_table_is_named() -> None:
    ids = np.array([1, 2], np.int32)
    read = build(lambda ids: mb.gather(x=WEIGHT, indices=ids, axis=0, name="words"), {"ids": ids})
    evaluator = Evaluator(read, rounding=False)
    np.testing.assert_array_equal(evaluator.run({"ids": ids})["words"], WEIGHT[[1, 2]])
    message = error_of(UsageError, evaluator.run, {"ids": ids + 2})
    assert "gather words" in message and "out of bounds" in message


def test_an_operation_that_cannot_be_computed_is_named() -> None:
    read = linear_program()
    wrong = Operation("matmul", "product", {"x": ("x",), "y": ("x",)}, read.operations[0].outputs)
    evaluator = Evaluator(replace(read, operations=(wrong, *read.operations[1:])), rounding=False)
    message = error_of(BundleError, evaluator.run, {"x": X})
    assert "matmul product cannot be computed" in message
