"""The key of an endpoint: read from the environment, sent to its servers, shown nowhere.

key = Key.of_variable("DISTILL_API_KEY")
key.headers()                      # {"Authorization": "Bearer …"}; {} where the variable is not set
key.hide("bad key sk-123")         # "bad key [key]": what a server says may repeat what it was sent
"""

import os
import re
from urllib.parse import quote

from distill.errors import DistillError

SECRET = 6  # characters; what is shorter is not hidden


class Key:
    """A key and the name of the variable that it came from. Neither ``repr`` nor ``str`` shows it."""

    def __init__(self, variable: str, value: str) -> None:
        self.variable = variable
        self._value = value
        # Echoed as it is, or as it stands in a URL.
        spellings = {value, quote(value, safe="")} - {""}
        self._spellings = re.compile("|".join(map(re.escape, spellings)), re.IGNORECASE)

    @classmethod
    def of_variable(cls, variable: str) -> "Key":
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable):
            # Not repeated: it may be the key itself.
            raise DistillError(
                "'key' of an endpoint is no name of an environment variable (letters, digits and _): put "
                "the key into a variable, DISTILL_API_KEY for one, and name that"
            )
        value = os.environ.get(variable, "").strip()
        if not (value.isascii() and value.isprintable()):
            # An HTTP library would refuse such a header by printing it.
            raise DistillError(
                f"the environment variable {variable} holds characters that no key has: set it again"
            )
        return cls(variable, value)

    @classmethod
    def none(cls) -> "Key":
        """For servers of ours: they listen on this machine only and want none."""
        return cls("", "")

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return f"Key({self.variable!r})"

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._value}"} if self._value else {}

    def hide(self, text: str) -> str:
        """A text without the key, for messages. A very short one ("x", for a server that wants any) is no
        secret, and would be found in every sentence."""
        return self._spellings.sub("[key]", text) if len(self._value) >= SECRET else text
