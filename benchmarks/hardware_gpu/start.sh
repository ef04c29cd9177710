#!/bin/sh
# Runs the benchmark of a hardware GPU out of this folder: needs Python @PYTHON@ and the GPU's driver, and nothing else.
# No pip, no network, no root; this folder may be read-only. Arguments go to the benchmark (try --help).
#   PYTHON=...  the interpreter, where it is not found by itself
#   WORK=...    an empty folder to unpack into (about 120 MiB), where the temporary one is small or must not be
#               executed from; it is kept
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
version=@PYTHON@

if [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]; then
    echo "This folder is for Linux on x86_64; this machine is $(uname -s) on $(uname -m)." >&2
    exit 1
fi
python=
for candidate in "${PYTHON:-}" "python$version" python3 python; do
    [ -n "$candidate" ] || continue
    found=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    [ "$found" = "$version" ] && python=$candidate && break
done
if [ -z "$python" ]; then
    echo "Python $version is not found; name its interpreter in PYTHON, or pack again for the Python that is here." >&2
    exit 1
fi

if [ -n "${WORK:-}" ]; then
    work=$WORK
    mkdir -p "$work"
else
    work=$(mktemp -d "${TMPDIR:-/tmp}/hardware-gpu-XXXXXX")
    trap 'trap "" INT TERM HUP; rm -rf "$work"' EXIT
fi
trap 'exit 130' INT TERM HUP
"$python" - "$here" "$work" <<'PYTHON_END'
import pathlib, shutil, sys, zipfile

here, work = map(pathlib.Path, sys.argv[1:])
sys.excepthook = lambda kind, error, _: print(f"The wheels cannot be unpacked: {error}" if str(error) else "stopped",
                                              file=sys.stderr)
for wheel in sorted((here / "wheels").glob("*.whl")):
    zipfile.ZipFile(wheel).extractall(work / "site")
shutil.copytree(here / "code", work / "code", copy_function=shutil.copyfile, dirs_exist_ok=True)
for folder in (work / "code", *(p for p in (work / "code").rglob("*") if p.is_dir())):
    folder.chmod(0o755)
for runner in (work / "code").glob("syncnas_bench/_native/*/syncnas-runner"):
    runner.chmod(0o755)
PYTHON_END

# NVIDIA's driver in a container is often where no loader looks.
if [ -d /usr/local/nvidia/lib64 ]; then
    LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}/usr/local/nvidia/lib64
    export LD_LIBRARY_PATH
fi
# Our Vulkan loader only where the system has none.
if ! "$python" -c 'import ctypes; ctypes.CDLL("libvulkan.so.1")' 2>/dev/null; then
    LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$here/lib
    export LD_LIBRARY_PATH
fi
manifest=/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json
if [ -z "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] && [ -f "$manifest" ] &&
    ! ls /etc/vulkan/icd.d/*.json /usr/share/vulkan/icd.d/*.json >/dev/null 2>&1; then
    VK_DRIVER_FILES=$manifest
    export VK_DRIVER_FILES
fi

PYTHONPATH=$work/code:$work/site
PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH PYTHONDONTWRITEBYTECODE
"$python" -m benchmarks.hardware_gpu "$@" &
child=$!
trap 'kill -TERM "$child" 2>/dev/null' TERM INT HUP
status=0
wait "$child" || status=$?
# A signal ends the wait before the child has printed its table.
while kill -0 "$child" 2>/dev/null; do
    status=0
    wait "$child" || status=$?
done
exit $status
