"""The one exception that users are meant to read."""


class TrimError(Exception):
    """A mistake in the user's input or files: one line that names it and its cure.

    The command line prints the message alone and exits with status 2.
    """
