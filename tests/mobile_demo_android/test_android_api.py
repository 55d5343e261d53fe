"""The stubs of Android's API let through what Android has, and nothing else."""

import json
import re
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.mobile_demo_android.android import AndroidBuild
from tests.mobile_demo_android.api_use import guessed, too_new
from tests.mobile_demo_android.downloads import Refused, run
from tests.mobile_demo_android.kotlin import Toolchain
from tests.mobile_demo_android.sdk.levels import NEWEST, Levels

pytestmark = pytest.mark.slow

GOOD = """
import android.app.Activity
import android.content.Intent
import android.os.Build
import android.os.Bundle
import android.os.PowerManager
import android.os.StatFs
import android.view.View
import android.widget.ArrayAdapter
import android.widget.TextView

class Page : Activity() {
    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        val text = findViewById<TextView>(1)
        text.text = getString(android.R.string.ok)
        text.setOnClickListener { it.visibility = View.GONE }
        text.setOnLongClickListener { true }
        val free: Long = StatFs("/").availableBytes
        startActivity(Intent(this, Page::class.java).putExtra("free", free))
        val names: ArrayAdapter<String> = ArrayAdapter(this, 1, listOf("a"))
        names.getItem(0)
    }

    private val power by lazy { getSystemService(PowerManager::class.java) }

    fun status() = if (Build.VERSION.SDK_INT >= 29) power.currentThermalStatus else 0

    fun asked() = if (Build.VERSION.SDK_INT >= 29) listOf(1).map { power.currentThermalStatus } else listOf()

    fun unasked() = power.currentThermalStatus

    fun reference(power: PowerManager): () -> Int = power::getCurrentThermalStatus

    fun java() = java.util.List.of(1)
}
"""
# Each line is wrong in another way.
BAD = """
import android.view.NoSuchView
fun invented(view: android.view.View) { view.makeCoffee() }
fun argument(view: android.view.View) { view.setVisibility("gone") }
fun result(files: android.os.StatFs): Int = files.availableBytes
fun constant() = android.view.View.SHINING
fun nested(): android.view.View.OnCoffeeListener? = null
fun superclass(text: android.widget.TextView): android.view.ViewGroup = text
fun instance() = android.os.StatFs.getTotalBytes()
fun static(view: android.view.View) = view.generateViewId()
fun constructor() = android.widget.TextView()
fun abstract() = android.view.ViewGroup(null)
class Unimplemented : android.text.TextWatcher
class Incomplete : android.widget.BaseAdapter()
fun nullable(files: android.content.ContentResolver, uri: android.net.Uri) = files.openInputStream(uri).read()
fun tooNew(): android.os.vibrator.FromTheFuture? = null
"""


# The compiler says so only where there is no error.
DEPRECATED = "fun deprecated(context: android.content.Context) = context.resources.getColor(1)"


@pytest.fixture(scope="module")
def page(android: AndroidBuild, toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Classes of a source that uses Android as it is."""
    folder = tmp_path_factory.mktemp("good")
    (folder / "Page.kt").write_text(GOOD)
    toolchain.compile(folder / "Page.kt", folder / "classes", beside=[android.sdk.jar])
    return folder / "classes"


def test_each_line_that_android_does_not_have_is_refused(
    android: AndroidBuild, toolchain: Toolchain, tmp_path: Path
) -> None:
    source = tmp_path / "Bad.kt"
    source.write_text(BAD)
    with pytest.raises(Refused) as refused:
        toolchain.compile(source, tmp_path / "classes", beside=[android.sdk.jar])
    reported = {int(line) for line in re.findall(r"Bad\.kt:(\d+):\d+: (?:error|warning)", str(refused.value))}
    assert reported == {number for number, line in enumerate(BAD.splitlines(), 1) if line}, refused.value


def test_what_is_better_not_used_any_more_is_refused(
    android: AndroidBuild, toolchain: Toolchain, tmp_path: Path
) -> None:
    (tmp_path / "Old.kt").write_text(DEPRECATED)
    with pytest.raises(Refused, match=r"'fun getColor\(p0: Int\): Int' is deprecated"):
        toolchain.compile(tmp_path / "Old.kt", tmp_path / "classes", beside=[android.sdk.jar])


def test_what_is_newer_than_the_oldest_android_has_to_be_asked_for(android: AndroidBuild, page: Path) -> None:
    thermal = "uses android/os/PowerManager.getCurrentThermalStatus, which is there from API 29 on"
    assert too_new(android.sdk, [page], 26) == [
        f"Page$reference$1.invoke {thermal}",
        "Page.java uses java/util/List.of, which is there from API 30 on",
        f"Page.unasked {thermal}",
    ]
    assert too_new(android.sdk, [page], 30) == []


def test_members_whose_types_are_guessed_are_found(android: AndroidBuild, page: Path) -> None:
    # All that the source uses is older than API 32, so R8's database confirms it.
    assert guessed(android.sdk, [page]) == []
    members = json.loads(android.sdk.members.read_text("utf-8"))
    assert all(members["since"][each] > 0 for each in members["unsure"])


def test_the_descriptions_agree_about_methods_that_all_of_them_know(android: AndroidBuild) -> None:
    since = json.loads(android.sdk.members.read_text("utf-8"))["since"]
    with ZipFile(android.sdk.tools.r8) as r8:
        levels = Levels(r8)
    known = confirmed = 0
    for reference, level in since.items():
        owner, _, member = reference.partition("->")
        name, bracket, descriptor = member.partition("(")
        if bracket and level <= NEWEST:
            known += 1
            confirmed += levels.reference(owner, name, f"({descriptor}") is not None
    # The rest are methods of superclasses that a class has anew, of which R8 knows the first.
    assert known > 30_000
    assert confirmed / known > 0.94


def test_stubs_are_what_javap_says_of_a_class(android: AndroidBuild) -> None:
    said = run("javap", "-constants", "-cp", android.sdk.jar, "android.os.Build$VERSION_CODES").stdout
    assert "public static final int BAKLAVA = 36;" in said
    said = run("javap", "-cp", android.sdk.jar, "android.view.View$OnLongClickListener").stdout
    assert "public abstract boolean onLongClick(android.view.View);" in said
    assert "public default boolean onLongClickUseDefaultHapticFeedback(android.view.View);" in said
