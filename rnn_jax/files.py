"""Files that are read whole, and files that are written completely or not at all. Imports nothing of the project."""

import os
import secrets
from pathlib import Path


def expanded(path: str | Path) -> Path:
    """Returns a path with `~` and `~NAME` replaced by the home folder.

    Raises:
      ValueError: if there is no such home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path}: cannot be read: no such home folder") from error


def read_bytes(path: str | Path) -> bytes:
    """Returns the content of a file; `~` is the home folder.

    Raises:
      ValueError: with the path, if the file cannot be read.
    """
    try:
        return expanded(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}") from error


def write(path: Path, content: str | bytes) -> None:
    """Writes a file atomically, by renaming a temporary file beside it; text is UTF-8.

    Args:
      path: file to write; replaced if it exists.
      content: whole content of the file.
    """
    # Not `tempfile`, whose files have mode 0600: opened like this, a file has the mode that the umask leaves.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
