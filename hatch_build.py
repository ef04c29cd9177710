"""Build hook: compile the native runner and the library for apps with zig's C compiler, or with the NDK's for Android.

`python hatch_build.py` builds in place. A target is rebuilt only when its sources or its commands changed.
"""

from __future__ import annotations

import getpass
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand, outside a build
    BuildHookInterface = object  # type: ignore[assignment, misc]

ROOT = Path(__file__).resolve().parent
SOURCES = ROOT / "bench" / "native"
JAVA = ROOT / "bench" / "java"
OUTPUT = ROOT / "bench" / "syncnas_bench" / "_native"
PROGRAM = "syncnas-runner"
LIBRARY = "libsyncnas.so"
MEASURER = "libmeasure.so"  # the library with an app around it
RUNNER_ALONE = {"runner.c", "host_link.c", "power.c"}
"""What the runner has and the library has not; what the library alone has is in its folder."""
SYSTEMS = {"linux": ("_linux.c", "_posix.c"), "darwin": ("_darwin.c", "_posix.c"), "windows": ("_windows.c",)}
"""How the names of the source files end that are for that system, and not for all. Android is a Linux."""
NDK_VARIABLE = "ANDROID_NDK_HOME"

FLAGS = ("-std=c11", "-D_GNU_SOURCE", "-O2", "-g0", "-Wall", "-Wextra", "-Werror")
ZIG = "{zig}"  # stands for the compiler in a command, which so has no path of this machine in it
ZIG_HEADERS = "{zig headers}"  # and this for the folder of the headers that belong to the compiler

# All that Android wants of a program: position-independent, nothing writable that need not be, 16 KB pages.
_ANDROID_LINK = ("-z", "now", "-z", "relro", "-z", "noexecstack", "-z", "nocopyreloc",
                 "-z", "max-page-size=16384", "-z", "common-page-size=16384", "--hash-style=both", "--build-id=sha1",
                 "--gc-sections", "--no-undefined", "--as-needed")  # fmt: skip


class Recipe(NamedTuple):
    """How one target is built: files to write into a work folder, then commands to run in `SOURCES`.

    In a command, `{zig}` is the compiler, `{work}` the work folder and `{out}` the program or the library.
    """

    files: dict[str, str]
    commands: tuple[tuple[str, ...], ...]


def c_files(name: str, system: str = "linux") -> list[str]:
    """The sources of a program or a library, relative to `SOURCES`."""
    others = tuple({end for ends in SYSTEMS.values() for end in ends} - set(SYSTEMS[system]))
    files = sorted(path.name for path in SOURCES.glob("*.c") if not path.name.endswith(others))
    if name == PROGRAM:
        return files
    folders = ("library", "apk") if name == MEASURER else ("library",)
    own = sorted(path.relative_to(SOURCES).as_posix() for folder in folders for path in SOURCES.glob(f"{folder}/*.c"))
    return [file for file in files if file not in RUNNER_ALONE] + own


def _code_flags(name: str) -> tuple[str, ...]:
    return (*FLAGS, "-fPIE") if name == PROGRAM else (*FLAGS, "-fPIC", "-fvisibility=hidden")


def _link_flags(name: str) -> tuple[str, ...]:
    """For the linker itself."""
    return ("-pie",) if name == PROGRAM else ("-shared", "-soname", name)


def zig_recipe(target: str, name: str) -> Recipe:
    """A program or a library for a system whose C library zig brings, glibc or macOS's: one command."""
    system = "darwin" if "-macos" in target else "linux"
    link = ("-pie",) if name == PROGRAM else ("-shared", f"-Wl,-soname,{name},-z,now,-z,relro")
    command = (ZIG, "cc", "-target", target, *_code_flags(name), *link, "-s", "-pthread", *c_files(name, system),
               "-o", "{out}", "-ldl", "-lm")  # fmt: skip
    return Recipe({}, (command,))


def windows_recipe(target: str, _name: str) -> Recipe:
    """The runner for Windows, which asks for DLLs of the system alone."""
    files = c_files(PROGRAM, "windows")
    return Recipe({}, ((ZIG, "cc", "-target", target, *FLAGS, "-s", "-pthread", *files, "-o", "{out}"),))


def android_recipe(target: str, name: str) -> Recipe:
    """The same for Android: with the NDK where ANDROID_NDK_HOME names one, else with zig alone."""
    ndk = os.environ.get(NDK_VARIABLE)
    return _ndk_recipe(Path(ndk), target, name) if ndk else _bionic_recipe(target, name)


def _atomics(target: str) -> tuple[str, ...]:
    return ("-mno-outline-atomics",) if target.startswith("aarch64") else ()


def _ndk_recipe(ndk: Path, target: str, name: str) -> Recipe:
    clangs = sorted(ndk.glob("toolchains/llvm/prebuilt/*/bin/clang"))
    if not clangs:
        raise RuntimeError(f"{NDK_VARIABLE} names {str(ndk)!r}, which holds no NDK; correct or unset it.")
    kind = ("-pie",) if name == PROGRAM else ("-shared", f"-Wl,-soname,{name}")
    system = ("-landroid", "-llog") if name == MEASURER else ()
    link = [f"-Wl,{','.join(_ANDROID_LINK)}", *kind, "-s", "-ldl", "-lm", *system]
    clang = (str(clangs[0]), f"--target={target}", *_code_flags(name), *_atomics(target))
    return Recipe({}, ((*clang, *c_files(name), "-o", "{out}", *link),))


def _bionic_recipe(target: str, name: str) -> Recipe:
    """Without the NDK: own headers, own start-up, and libraries of nothing but the names that bionic exports."""
    # The bare compiler: `zig cc` looks for a C library, and drops the option about atomics.
    compiler = (ZIG, "clang", f"--target={target}", "-nostdinc")
    code = (*compiler, *_code_flags(name), "-fno-stack-protector", *_atomics(target), "-ffunction-sections",
            "-isystem", "android/include", "-isystem", ZIG_HEADERS)  # fmt: skip
    commands: list[tuple[str, ...]] = []
    symbols = sorted(SOURCES.glob("android/*.symbols"))
    for stem in (path.stem for path in symbols):
        stub, library = f"{{work}}/{stem}.o", f"{{work}}/{stem}.so"
        commands.append((*compiler, "-w", "-O1", "-fno-builtin", "-fPIC", "-c", f"{{work}}/{stem}.c", "-o", stub))
        commands.append((ZIG, "ld.lld", "-shared", "-soname", f"{stem}.so", stub, "-o", library))
    start = ("android/crt.c",) if name == PROGRAM else ()
    objects = []
    for source in (*start, "android/note.c", *c_files(name)):
        objects.append(f"{{work}}/{Path(source).stem}.program.o")
        commands.append((*code, "-c", source, "-o", objects[-1]))
    loader = ("--dynamic-linker", "/system/bin/linker64") if name == PROGRAM else ()
    libraries = [f"{{work}}/{path.stem}.so" for path in symbols]
    commands.append(
        (ZIG, "ld.lld", *_link_flags(name), "-s", *loader, *_ANDROID_LINK, *objects, *libraries, "-o", "{out}")
    )
    return Recipe({f"{path.stem}.c": _stub(path.read_text()) for path in symbols}, tuple(commands))


def _stub(symbols: str) -> str:
    """C source with an empty definition for each line, "NAME" or "NAME object"."""
    lines = (line.split() for line in symbols.splitlines())
    return "".join(f"void *{name};\n" if kind else f"void {name}(void) {{}}\n" for name, *kind in lines)


class Target(NamedTuple):
    """Folder and name of what is built, the compiler's name of the target, and what makes its recipe."""

    folder: str
    name: str
    triple: str
    make_recipe: Callable[[str, str], Recipe]

    @property
    def recipe(self) -> Recipe:
        """How it is built here."""
        return self.make_recipe(self.triple, self.name)


# glibc 2.17 lets a program start on old distributions too; Android's number is the API level. macOS 14 is what LiteRT's
# own library asks for; zig signs the program. An app's library is for the emulator, too, and for Linux and Android.
TARGETS = (
    Target("x86_64-linux", PROGRAM, "x86_64-linux-gnu.2.17", zig_recipe),
    Target("aarch64-linux", PROGRAM, "aarch64-linux-gnu.2.17", zig_recipe),
    Target("aarch64-android", PROGRAM, "aarch64-linux-android28", android_recipe),
    Target("arm64-darwin", PROGRAM, "aarch64-macos.14.0", zig_recipe),
    Target("x86_64-linux", LIBRARY, "x86_64-linux-gnu.2.17", zig_recipe),
    Target("aarch64-linux", LIBRARY, "aarch64-linux-gnu.2.17", zig_recipe),
    Target("aarch64-android", LIBRARY, "aarch64-linux-android24", android_recipe),
    Target("x86_64-android", LIBRARY, "x86_64-linux-android24", android_recipe),
    Target("aarch64-android", MEASURER, "aarch64-linux-android24", android_recipe),
    Target("x86_64-android", MEASURER, "x86_64-linux-android24", android_recipe),
)

# In no wheel: its host units have no one who asks for them yet. A test builds it and runs it under wine.
TRIAL = Target("AMD64-win32", "syncnas-runner.exe", "x86_64-windows-gnu", windows_recipe)


def source_hash(recipe: Recipe) -> str:
    """What a built program depends on: the sources and the recipe."""
    digest = hashlib.sha256(repr((recipe.files, recipe.commands)).encode())
    for path in sorted(SOURCES.rglob("*.[ch]")):
        digest.update(path.relative_to(SOURCES).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _zig_headers() -> str:
    spec = importlib.util.find_spec("ziglang")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the native code needs a compiler: pip install ziglang.")
    return str(Path(spec.submodule_search_locations[0]) / "lib" / "include")


def _follow(recipe: Recipe, target: Target, fresh: Path) -> None:
    """Build in a work folder under the target's own name, which macOS's signature holds, and copy it to `fresh`."""
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or tempfile.gettempdir()) / f"syncnas-zig-{user}"
    environment = {"ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": str(cache), **os.environ}
    with tempfile.TemporaryDirectory(prefix="syncnas-build-") as work:
        for name, text in recipe.files.items():
            (Path(work) / name).write_text(text)
        for command in recipe.commands:
            words = [word.replace("{work}", work).replace("{out}", f"{work}/{target.name}") for word in command]
            words = [_zig_headers() if word == ZIG_HEADERS else word for word in words]
            if words[0] == ZIG:
                words[:1] = [sys.executable, "-m", "ziglang"]
            result = subprocess.run(words, cwd=SOURCES, env=environment, capture_output=True, text=True, check=False)
            if result.returncode != 0:
                raise RuntimeError(f"the native code does not compile for {target.folder}:\n{result.stderr}")
        shutil.copy(Path(work) / target.name, fresh)


def build(target: Target) -> Path:
    """Compile one target, unless it is up to date. Raises RuntimeError with the compiler's words."""
    program = OUTPUT / target.folder / target.name
    stamp = program.with_suffix(".sha256")
    recipe = target.recipe
    wanted = source_hash(recipe)
    if program.is_file() and stamp.is_file() and stamp.read_text() == wanted:
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    fresh = program.with_suffix(f".{os.getpid()}.new")
    try:
        _follow(recipe, target, fresh)
        fresh.chmod(0o755)
        fresh.replace(program)
    finally:
        fresh.unlink(missing_ok=True)
    stamp.write_text(wanted)
    return program


def build_all() -> list[Path]:
    """Compile all targets and return what was built."""
    return [build(target) for target in TARGETS]


def build_classes() -> Path | None:
    """Compile the Java face into classes.jar, the same bytes each time; None where there is no JDK."""
    javac = shutil.which("javac")
    if javac is None:
        return None
    sources = sorted(JAVA.rglob("*.java"))
    wanted = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()
    jar = OUTPUT / "java" / "classes.jar"
    stamp = jar.with_suffix(".sha256")
    if jar.is_file() and stamp.is_file() and stamp.read_text() == wanted:
        return jar
    jar.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="syncnas-build-") as work:
        face = [str(path) for path in sources if path.is_relative_to(JAVA / "org")]
        command = [javac, "--release", "8", "-Xlint:-options", "-g:source,lines", "-encoding", "UTF-8",
                   "-sourcepath", str(JAVA / "stubs"), "-d", work, *face]  # fmt: skip
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise RuntimeError(f"the Java face does not compile:\n{result.stderr}")
        fresh = jar.with_suffix(f".{os.getpid()}.new")
        with zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(Path(work, "org").rglob("*.class")):
                name = path.relative_to(work).as_posix()
                archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), path.read_bytes(), zipfile.ZIP_DEFLATED)
        fresh.replace(jar)
    stamp.write_text(wanted)
    return jar


def copy_header() -> Path:
    """The header of the library, for apps in C."""
    header = OUTPUT / "include" / "syncnas.h"
    header.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(SOURCES / "library" / "syncnas.h", header)
    return header


class RunnerBuildHook(BuildHookInterface):  # type: ignore[type-arg, misc]
    """Puts runners and libraries into the package before hatchling collects its files."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile for wheels and editable installs; a source distribution holds sources alone."""
        if self.target_name != "sdist":
            build_all()
            build_classes()
            copy_header()


if __name__ == "__main__":
    for built in filter(None, [*build_all(), build_classes(), copy_header()]):
        print(built.relative_to(ROOT), built.stat().st_size, "bytes")
