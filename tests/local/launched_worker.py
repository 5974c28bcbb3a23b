"""A rank without TensorFlow, for tests of the launcher: does what its request's text says."""

import os
import sys
import time

from components.storage import files

if __name__ == "__main__":
    rank = int(os.environ.get("HOROVOD_RANK", "0"))
    print(f"progress: rank {rank} at work", flush=True)
    match files.read_text(sys.argv[1]):
        case "sleep":
            time.sleep(3600)
        case "fail" if rank == 1:
            print("a line before", file=sys.stderr)
            raise OSError("the disk is full")
        case "fail":
            time.sleep(3600)
