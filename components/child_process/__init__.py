"""A child process for work that one bad input could crash, hang or let grow beyond the memory.

`multiprocessing` has neither a memory limit nor a time limit for a call, and its children inherit open sockets. Hence
`os.fork`: a child starts in milliseconds and shares the memory of the libraries that its parent has imported, which
for TensorFlow saves 4 s and 300 MB. A parent whose libraries have already started threads must not fork (TensorFlow
does at its first operation); `fork=False` starts a new interpreter instead.
"""

from components.child_process.process import ChildDied, ChildProcess
from components.child_process.serve import end_with_parent

__all__ = ["ChildDied", "ChildProcess", "end_with_parent"]
