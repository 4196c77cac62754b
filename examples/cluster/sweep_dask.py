"""A sweep on a Dask cluster: python sweep_dask.py tcp://scheduler:8786, or without an address on two local processes.

Every finished point is in sweep.jsonl: stopped and started again, the sweep goes on where it was.
"""

import sys

from distributed import Client

import fastinit as fi


def main() -> None:
    cluster = {"address": sys.argv[1]} if len(sys.argv) > 1 else {"n_workers": 2, "dashboard_address": None}
    with Client(**cluster) as client, client.get_executor() as executor:
        swept = fi.sweep(
            executor=executor,
            store="sweep.jsonl",
            activation=["tanh", "gelu"],
            sigma_w=[1.0, 1.5, 2.0],
            depth=[5, 20],
            width=64,
            batch=32,
        )
    print(swept)
    for point, result in swept:
        print(point["activation"], point["sigma_w"], point["depth"], result.verdict)


if __name__ == "__main__":  # Dask's workers load this file, too
    main()
