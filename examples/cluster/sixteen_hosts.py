"""Sixteen processes, each as one host, write one checkpoint of TinyLlama's shapes; any of them may run again.

python sixteen_hosts.py FOLDER [LAYERS]: of the 22 layers the first LAYERS, 2 unless given; all 22 are 2.2 GB.
"""

import hashlib
import multiprocessing
import sys
from pathlib import Path

import fastinit as fi

SHAPES = Path(__file__).parent.parent / "shapes" / "tinyllama.json"
HOSTS = 16


def write(folder, layers, host):
    """What one host does: it writes its own files, and knows of the others' by their names alone."""
    shapes = dict(fi.checkpoint.shapes(SHAPES))
    for name in list(shapes):
        _, _, rest = name.partition(".layers.")
        if rest and int(rest.partition(".")[0]) >= layers:
            del shapes[name]
    plan = fi.Plan.preset("hf")
    options = {"seed": 0, "dtype": "bfloat16", "max_shard_size": "20MB"}
    return fi.checkpoint.write(folder, shapes, plan, **options, hosts=(host, HOSTS)).files


def at_once(folder, layers, hosts):
    """Run these hosts side by side."""
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=write, args=(folder, layers, host)) for host in hosts]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def digest(folder):
    """A hash of all files."""
    parts = [path.name.encode() + path.read_bytes() for path in sorted(Path(folder).glob("model*"))]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def main(folder, layers=2):
    """Write with all hosts, lose the files of three, and let those run again."""
    at_once(folder, layers, range(HOSTS))
    whole, lost = digest(folder), 0
    for host in (3, 7, 8):
        for path in write(folder, layers, host):  # they are there, and it writes none
            Path(path).unlink(missing_ok=True)
            lost += 1
    print(f"{HOSTS} hosts wrote {whole[:16]}; {lost} files are lost: {digest(folder)[:16]}")
    at_once(folder, layers, (3, 7, 8))
    print("a subset that runs again gives the same files:", digest(folder) == whole)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
