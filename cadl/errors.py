"""The one error that is a user's to mend."""


class UserError(ValueError):
    """Something that a user can cause: the message names it, its value and what to do.

    `console.script` prints it as one line. Any other error, but for those of the operating system,
    is a fault of the program.
    """
