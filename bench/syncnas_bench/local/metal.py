"""Tell which GPU Metal takes on this Mac. A program of its own, which prints what `vulkan` prints.

Source: Apple's Metal framework, MTLCreateSystemDefaultDevice and MTLDevice.name; objc/message.h.
"""

from __future__ import annotations

import ctypes
import json

_FRAMEWORK = "/System/Library/Frameworks/{0}.framework/{0}"


def _default_gpu() -> str | None:
    """Its name, such as "Apple M2"."""
    ctypes.CDLL(_FRAMEWORK.format("CoreGraphics"))  # Metal finds no GPU in a process without it
    metal, objc = ctypes.CDLL(_FRAMEWORK.format("Metal")), ctypes.CDLL("/usr/lib/libobjc.A.dylib")
    metal.MTLCreateSystemDefaultDevice.restype = ctypes.c_void_p
    objc.sel_registerName.restype = objc.objc_msgSend.restype = ctypes.c_void_p
    objc.sel_registerName.argtypes = (ctypes.c_char_p,)
    objc.objc_msgSend.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    told: int | None = metal.MTLCreateSystemDefaultDevice()
    for message in (b"name", b"UTF8String"):
        told = objc.objc_msgSend(told, objc.sel_registerName(message)) if told else None
    return ctypes.string_at(told).decode("utf-8", "replace") if told else None


def main() -> None:
    """Print the GPU as one line of JSON; an empty list without one."""
    try:
        name = _default_gpu()
    except OSError:
        name = None
    kind = "virtual" if name is not None and "paravirtual" in name.lower() else "integrated"
    print(json.dumps([] if name is None else [{"name": name, "type": kind, "api": "Metal"}]))


if __name__ == "__main__":
    main()
