"""The ``finepruner`` command."""

import signal
import sys

from . import _native


def main() -> int:
    """Runs the command line of this process and returns its exit code."""
    # Python only notes a signal and acts when its own code runs next; the command ends, or
    # has its own handlers.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _native.main(["finepruner", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
