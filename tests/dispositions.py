"""What a process that a test starts does with signals. The tests themselves may run under nohup, or behind a script's `&`:
what is ignored there, a process would inherit, and ignore what the test sends it."""

import signal


def with_signals(ignored=()):
    """For Popen's preexec_fn: as a shell starts what runs in front of a terminal, but that these are ignored."""
    def set_signals():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
    return set_signals
