"""A rank without TensorFlow for tests of the launcher. Its request's text is a command."""

import os
import signal
import sys
import time

from components.storage.files import Files

if __name__ == "__main__":
    rank = int(os.environ.get("HOROVOD_RANK", "0"))
    print(f"progress: rank {rank} at work", flush=True)
    match Files().read_text(sys.argv[1]):
        case "sleep":
            time.sleep(3600)
        case "stop":
            print("liveness: step 1", flush=True)
            if rank == 1:
                os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(3600)
        case "killed" if rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        case "fail" if rank == 1:
            print("a line before", file=sys.stderr)
            raise OSError("the disk is full")
        case "fail" | "killed":
            time.sleep(3600)
