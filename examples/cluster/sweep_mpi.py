"""A sweep over MPI: mpiexec -n 9 python -m mpi4py.futures sweep_mpi.py, one process that asks and eight that compute.

Every finished point is in sweep.jsonl: stopped and started again, the sweep goes on where it was.
"""

from mpi4py.futures import MPIPoolExecutor

import fastinit as fi


def main() -> None:
    with MPIPoolExecutor() as executor:
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


if __name__ == "__main__":  # the workers load this file, too
    main()
