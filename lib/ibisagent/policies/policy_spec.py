"""The one string that chooses a policy, options included.

Options stand behind a question mark, as in an address:
``owner/model@revision#sub-folder?four_bit=true&max_pixels=262144``. So whatever takes the string -
the command line, ``--conf policy``, a machine profile - takes the options as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ibisagent.errors import InvalidRequest
from ibisagent.policies.optional_package import require_package

OPTIONS = "behind a question mark max_pixels=N and four_bit=true, joined by '&'"

FOUR_BIT_PACKAGES = ("bitsandbytes", "accelerate")
FEWEST_PIXELS, MOST_PIXELS = 64 * 64, 10**8
_SWITCH = {"true": True, "false": False}


@dataclass(frozen=True)
class PolicySpec:
    """A policy by name, with what shall be different from its usual form.

    Attributes:
        where: As in `ibisagent.policies.load_policy`, without options.
        max_pixels: Larger pictures are scaled down to this; None for what is usual.
        four_bit: Whether to hold the weights in 4 bits.
    """

    where: str
    max_pixels: int | None = None
    four_bit: bool = False

    @classmethod
    def parse(cls, text: str) -> PolicySpec:
        """Read ``WHERE`` or ``WHERE?OPTION=VALUE&...``.

        A folder of exactly that name goes before the options. Of an endpoint, options stand
        behind the model; a question mark in its address is none of ours.

        Raises:
            InvalidRequest: There is no such option, or its value does not fit.
        """
        head, mark, tail = text.rpartition("#")
        where, asked, options = tail.partition("?")
        if not asked or Path(text).is_dir():
            return cls(text)
        spec = cls(head + mark + where)
        for option in options.split("&"):
            name, _, value = option.partition("=")
            spec = spec._with(name, value)
        return spec

    @property
    def options(self) -> str:
        """The options that are not as usual, as they are written; empty for none."""
        written = [f"max_pixels={self.max_pixels}"] if self.max_pixels else []
        written += ["four_bit=true"] if self.four_bit else []
        return f"?{'&'.join(written)}" if written else ""

    def at(self, where: str) -> str:
        """Another policy with the same options, as one string.

        Args:
            where: A checkpoint; see `where`.
        """
        return where + self.options

    @property
    def packages(self) -> tuple[str, ...]:
        """Optional packages that the options need."""
        return FOUR_BIT_PACKAGES if self.four_bit else ()

    def require_packages(self) -> None:
        """Check that what the options need is installed, before anything is fetched.

        Raises:
            MissingPackage: It is not.
        """
        for package in self.packages:
            require_package(package, "Loading weights in 4 bits", "leave four_bit out")

    def _with(self, name: str, value: str) -> PolicySpec:
        if name == "max_pixels" and _is_size(value):
            return PolicySpec(self.where, int(value), self.four_bit)
        if name == "four_bit" and value in _SWITCH:
            return PolicySpec(self.where, self.max_pixels, _SWITCH[value])
        # The value is not repeated: it may be a password that somebody put into an address.
        raise InvalidRequest(
            f"The policy's option {name[:20]!r} is unknown, or its value does not fit.",
            f"Give {OPTIONS}; max_pixels is a number from {FEWEST_PIXELS} to {MOST_PIXELS}.",
        )


def _is_size(value: str) -> bool:
    return value.isdecimal() and len(value) < 10 and FEWEST_PIXELS <= int(value) <= MOST_PIXELS
