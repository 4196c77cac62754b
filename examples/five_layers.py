"""The experiment of the lecture notes: five sigmoid layers of 100 units, 1000 inputs, three ways to draw weights."""

import fastinit as fi

for words, arguments in {
    "too large": {"scheme": "normal", "std": 1.0},
    "too small": {"scheme": "normal", "std": 0.01},
    "Xavier": {"scheme": "xavier_normal"},
}.items():
    result = fi.probe(activation="sigmoid", depth=5, width=100, batch=1000, **arguments)
    print(f"{words}: {result.verdict}, {result.reason}")
    print(result.table(), end="\n\n")
