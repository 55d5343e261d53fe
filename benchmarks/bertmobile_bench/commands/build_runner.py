"""``bertmobile-bench build-runner``."""

import click

from bertmobile.console import print_json, verbose_option

EXAMPLES = """\b
Examples:
  bertmobile-bench build-runner --ndk $ANDROID_HOME/ndk/28.2.13676358 \\
      --runtime litert-2.3.0.aar --runtime onnxruntime-android-1.28.0.aar
      For phones and for the Android emulator on this machine.
  bertmobile-bench build-runner --abi linux-aarch64 --runtime ai_edge_litert-2.3.0-(...)_aarch64.whl
      For an arm64 device with Linux; compiled with Debian's gcc-aarch64-linux-gnu.

\b
Exit codes: 0 done, 1 failed, 2 usage, 4 a compiler is missing.
"""


@click.command("build-runner", epilog=EXAMPLES)
@click.option(
    "--abi", "abis", multiple=True, metavar="ABI",
    help="arm64-v8a and x86_64 (the default with --ndk), linux-aarch64, linux-x86_64.",
)  # fmt: skip
@click.option("--ndk", type=click.Path(), metavar="DIR", help="Android's native development kit.")
@click.option("--cc", metavar="COMPILER", help="For a Linux device; by default the GNU compiler of its ABI.")
@click.option(
    "--runtime", "--runtime-aar", "runtimes", multiple=True, type=click.Path(), metavar="FILE",
    help="A runtime's .aar, .whl or .so file, for each engine that bundles need.",
)  # fmt: skip
@click.option("--output", type=click.Path(), default="runner", show_default=True, metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@verbose_option
def command(
    abis: tuple[str, ...],
    ndk: str | None,
    cc: str | None,
    runtimes: tuple[str, ...],
    output: str,
    as_json: bool,
) -> None:
    """Compile the native runner for a device, and put the runtime libraries beside it.

    The runner opens a runtime library when it starts: one program for every engine and release.
    """
    from pathlib import Path

    from bertmobile.errors import MissingToolError, UsageError
    from bertmobile_bench.device.build import ABIS, ANDROID, build, linux_compiler, ndk_compiler

    chosen = abis or tuple(ANDROID)
    for abi in chosen:
        if abi not in ABIS:
            raise UsageError(f"no ABI is called {abi}; known: {', '.join(ABIS)}")
        if abi in ANDROID and not ndk:
            raise MissingToolError(
                "an NDK", "install one (sdkmanager 'ndk;28.2.13676358') and give its folder with --ndk"
            )
    folders = []
    for abi in chosen:
        compiler = ndk_compiler(Path(ndk), abi) if ndk and abi in ANDROID else linux_compiler(abi, cc)
        folders.append(build(abi, compiler, [Path(each) for each in runtimes], Path(output)))
    if as_json:
        print_json({"folders": [str(folder) for folder in folders]})
    else:
        for folder in folders:
            click.echo(f"{folder}: {', '.join(sorted(file.name for file in folder.iterdir()))}")
