"""Foreign text in our messages: on one line, quoted, with the line of the user's code that raised an error."""

from __future__ import annotations

import traceback

from dosimeter.foundation.keys.own_code import is_own_file

PROMPTS = ("<stdin>", "<ipython-input", "<python-input")
"""Names that Python gives to the file of code that was typed at a prompt."""


def one_line(value: object, limit: int = 300) -> str:
    r"""Any text as one printable line: control characters are escaped, long text is cut in the middle.

    >>> one_line("a\nb\x1b[31m")
    'a\\nb\\x1b[31m'
    """
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(value))
    half = limit // 2 - 2
    return text if len(text) <= limit else f"{text[:half]} ... {text[-half:]}"


def quote(value: object, limit: int = 100) -> str:
    """A value from the user's files as one printable line in quotes.

    >>> print(quote("two words"))
    'two words'
    """
    return one_line(repr(value), limit)


def describe(caught: BaseException) -> str:
    """An exception from the user's code in one line: type, message, and the line of their file where it arose."""
    if isinstance(caught, SyntaxError) and caught.filename:
        return f"{type(caught).__name__}: {one_line(caught.msg)} ({caught.filename}:{caught.lineno})"
    place = users_line(caught)
    return f"{type(caught).__name__}: {one_line(caught) or 'no message'}" + (f" ({place})" if place else "")


def users_line(caught: BaseException) -> str | None:
    """`file:line` of the deepest frame that is neither ours nor an installed package's, if there is one."""
    return next((f"{file}:{line}" for file, line in reversed(frames_of(caught)) if is_users_frame(file)), None)


def frames_of(caught: BaseException) -> list[tuple[str, int | None]]:
    """File and line of each frame that an exception passed, the deepest last."""
    return [(frame.filename, frame.lineno) for frame in traceback.extract_tb(caught.__traceback__)]


def is_users_frame(file: str) -> bool:
    """Returns whether a frame's file is the user's; code from a prompt is, other code without a file is not."""
    return file.startswith(PROMPTS) or (not file.startswith("<") and is_own_file(file))


def sentence(note: str) -> str:
    """A note with a capital letter and a full stop."""
    return note[:1].upper() + note[1:] + ("" if note.endswith(".") else ".")
