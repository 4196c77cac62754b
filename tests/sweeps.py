"""What the tests of sweeps and of their store share."""

GRID = {
    "scheme": ["he_normal", "xavier_uniform"],
    "activation": ["tanh", "relu"],
    "depth": [1, 4],
    "width": 12,
    "batch": 10,
    "seed": range(2),
}


def figures(result):
    values = result.to_dict()
    del values["seconds"]
    return values
