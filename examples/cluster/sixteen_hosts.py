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
    kept = {
        n: s for n, s in shapes.items() if ".layers." not in n or int(n.split(".layers.")[1].split(".")[0]) < layers
    }
    plan = fi.Plan.preset("hf")
    fi.checkpoint.write(folder, shapes, plan, seed=0, dtype="bfloat16", max_shard_size="20MB", hosts=(host, HOSTS))


def digest(folder):
    """A hash of all files."""
    parts = [path.name.encode() + path.read_bytes() for path in sorted(Path(folder).glob("model*"))]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def main(folder, layers=2):
    """Write with all hosts at once, then again with some whose files are gone."""
    spawn = multiprocessing.get_context("spawn")
    for hosts in (range(HOSTS), (3, 7, 8)):
        processes = [spawn.Process(target=write, args=(folder, layers, host)) for host in hosts]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        found = digest(folder)
        print(f"{len(hosts)} hosts, {len(list(Path(folder).glob('*.safetensors')))} files: {found[:16]}")
        for path in sorted(Path(folder).glob("*.safetensors"))[3::16]:
            path.unlink()
    write(folder, layers, 3)
    print("a subset that runs again gives the same files:", digest(folder) == found)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
