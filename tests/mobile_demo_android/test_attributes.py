"""An attribute is taken out of a class file, and nothing else is."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.mobile_demo_android.sdk.attributes import without_attribute

SOURCE = """
public abstract sealed class Shape permits Shape.Round {
    static final long SIZE = 1L << 40;
    static final double HALF = 0.5;
    public static void main(String[] words) {
        System.out.println("PermittedSubclasses " + SIZE * HALF + " " + new Round());
        System.out.println("PermittedSubclasses".length());
    }
    static final class Round extends Shape {
        public String toString() { return "round " + Shape.class.isSealed(); }
    }
}
"""


def test_an_attribute_is_removed_and_a_text_of_its_name_is_not(tmp_path: Path) -> None:
    if not shutil.which("javac"):
        pytest.skip("needs javac")
    (tmp_path / "Shape.java").write_text(SOURCE)
    subprocess.run(["javac", "Shape.java"], cwd=tmp_path, check=True)

    def said() -> list[str]:
        done = subprocess.run(
            ["java", "-cp", tmp_path, "Shape"], check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout.splitlines()

    before = said()
    assert before[0].endswith("round true")
    path = tmp_path / "Shape.class"
    path.write_bytes(without_attribute(path.read_bytes(), "PermittedSubclasses"))
    assert said() == [before[0].replace("round true", "round false"), before[1]]
    (inner,) = tmp_path.glob("Shape$Round.class")
    assert without_attribute(inner.read_bytes(), "PermittedSubclasses") == inner.read_bytes()
