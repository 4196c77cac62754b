"""What the guards of vector code look for in a listing, machine by machine."""

import platform

# Per machine: multiplications of words and fused multiply-adds of floats on whole registers, and what must not be
# there at all: float arithmetic on single values, and calls of the C library's functions.
LIBRARY = r"\b(?:log|exp|sin|cos|pow|fma)[12]?f?\b"
PATTERNS = {
    "x86_64": {
        "words": r"vpmuludq\s.*%[yz]mm",
        "float32": r"vfn?m(?:add|sub)\d*ps\s.*%[yz]mm",
        "float64": r"vfn?m(?:add|sub)\d*pd\s.*%[yz]mm",
        "single": r"v(?:mul|add|sub|div|sqrt|fn?m(?:add|sub)\d*)s[sd]\s",
        "library": LIBRARY,
    },
    "aarch64": {
        "words": r"\b(?:umull2?|mul)\s+v\d+\.",
        "float32": r"\bfml[as]\s+v\d+\.4s",
        "float64": r"\bfml[as]\s+v\d+\.2d",
        "single": r"\bf(?:mul|add|sub|div|sqrt|n?madd|n?msub)\s+[sd]\d",
        "library": LIBRARY,
    },
}
MACHINE = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
