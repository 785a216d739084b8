"""First lines of a function's process: die with the local cloud, then become AWS's runtime client.

Run by path with `-S -s -P`, so nothing of the local cloud's own environment can be imported from here.
"""

import ctypes
import os
import runpy
import sys

PR_SET_PDEATHSIG, SIGKILL = 1, 9

if __name__ == "__main__":
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(1)
    sys.argv = ["awslambdaric", sys.argv[2]]
    runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)
