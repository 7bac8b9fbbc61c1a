"""Typed reading of untrusted JSON documents: every error names the path of the field and what it should be."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import ConfigError
from cybermiles.types.primitives import WEI_PER_CMT, Address

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
"""About a hundred thousand allocations."""
MAX_DEPTH = 8
"""Nesting of objects and lists; documents need three."""
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
_DAYS_BEFORE_MONTH = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)


@dataclass(frozen=True, slots=True)
class _BareNumber:
    """Stands for a JSON number: readers bend those, so a document must not have any."""

    text: str


@dataclass(frozen=True, slots=True)
class _Ambiguous:
    """Stands for an object in which a key stands twice."""

    key: str


def parse_json(source: str | bytes) -> Any:  # noqa: ANN401  (any JSON value; `Field` gives it a type)
    """Return the value of a JSON text for `Field` to read.

    Raises ConfigError for a text that is too large, nested too deep, not UTF-8 or not JSON. Bare numbers and
    duplicate keys are reported by `Field`, which knows their path.
    """
    if len(source) > MAX_DOCUMENT_BYTES:
        raise ConfigError(f"the document is larger than {MAX_DOCUMENT_BYTES} bytes")
    try:
        text = source.decode() if isinstance(source, bytes) else source
    except UnicodeDecodeError as error:
        raise ConfigError(f"the document is not UTF-8 text: {error}") from error
    _check_depth(text)
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique,
            parse_float=_BareNumber,
            parse_int=_BareNumber,
            parse_constant=_BareNumber,
        )
    except json.JSONDecodeError as error:
        raise ConfigError(f"not JSON: {error}") from error


class Field:
    """A value of the document and the path to it."""

    def __init__(self, value: Any, path: str) -> None:  # noqa: ANN401
        self._value = value
        self.path = path

    def object(self, keys: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Field]:
        """Return the fields of an object that has exactly these keys, and any of the optional ones."""
        value = self._expect(dict, "an object")
        for key in value:
            if key not in keys and key not in optional:
                raise ConfigError(f"{self.path}: unknown key {_shown(key)}; {nearest(key, keys)}")
        for key in keys:
            if key not in value:
                raise ConfigError(f'{self.path}: the key "{key}" is missing')
        present = [*keys, *(key for key in optional if key in value)]
        return {key: Field(value[key], f"{self.path}.{key}") for key in present}

    def items(self) -> list[Field]:
        """Return the entries of a list."""
        value = self._expect(list, "a list")
        return [Field(entry, f"{self.path}[{index}]") for index, entry in enumerate(value)]

    def text(self, *, maximum: int) -> str:
        """Return printable ASCII of bounded length."""
        value: str = self._expect(str, "a string")
        if not value or len(value) > maximum or not (value.isascii() and value.isprintable()):
            raise self._error(value, f"1 to {maximum} printable ASCII characters")
        return value

    def boolean(self) -> bool:
        """Return true or false."""
        value: bool = self._expect(bool, "true or false")
        return value

    def integer(self, *, minimum: int, maximum: int) -> int:
        """Return a decimal string's integer within bounds."""
        value: str = self._expect(str, 'a decimal string such as "100"')
        if not _is_decimal(value) or not minimum <= int(value) <= maximum:
            raise self._error(value, f"a decimal integer from {minimum} to {maximum}")
        return int(value)

    def with_unit(self, unit: str) -> str:
        """Return the number of a string "number unit"."""
        value: str = self._expect(str, f'a string such as "100 {unit}"')
        number, _, rest = value.partition(" ")
        if rest != unit:
            raise self._error(value, f'a number and its unit: "{number} {unit}"')
        return number

    def cmt(self) -> int:
        """Return the wei of an exact decimal amount of CMT."""
        value: str = self._expect(str, 'a decimal string such as "1000000.5"')
        whole, dot, fraction = value.partition(".")
        if not _is_decimal(whole) or len(whole) > 18 or (dot and not _is_digits(fraction)):
            raise self._error(value, 'an amount of CMT such as "1000000" or "0.25"')
        if len(fraction) > 18:
            raise self._error(value, "an amount with at most 18 decimal places (whole wei)")
        return int(whole) * WEI_PER_CMT + int(fraction.ljust(18, "0"))

    def ratio(self) -> Fraction:
        """Return the fraction of a string such as "1/5"; parts are at most a million."""
        value: str = self._expect(str, 'a ratio such as "1/5"')
        parts = value.split("/")
        if (
            len(parts) != 2
            or not all(_is_decimal(part) and int(part) <= 1_000_000 for part in parts)
            or parts[1] == "0"
        ):
            raise self._error(value, 'a ratio such as "1/5"')
        return Fraction(int(parts[0]), int(parts[1]))

    def hex(self, *, size: int) -> bytes:
        """Return the bytes of a 0x string of fixed size."""
        value: str = self._expect(str, f"0x and {2 * size} hex digits")
        digits = value.removeprefix("0x")
        if value == digits or len(digits) != 2 * size or not _is_hex(digits):
            raise self._error(value, f"0x and {2 * size} hex digits")
        return bytes.fromhex(digits)

    def address(self) -> Address:
        """Return an address; mixed case must be a correct EIP-55 checksum."""
        address = Address(self.hex(size=20))
        digits = self._value[2:]
        if digits not in (digits.lower(), digits.upper()) and digits != checksum(address)[2:]:
            raise self._error(self._value, f"the checksummed form {checksum(address)}")
        return address

    def time(self) -> int:
        """Return the seconds since 1970 of an ISO 8601 UTC time such as 2026-01-01T00:00:00Z."""
        value: str = self._expect(str, "a time such as 2026-01-01T00:00:00Z")
        seconds = parse_time(value)
        if seconds is None:
            raise self._error(value, "a UTC time such as 2026-01-01T00:00:00Z")
        return seconds

    def _expect(self, kind: type, description: str) -> Any:  # noqa: ANN401
        if isinstance(self._value, _BareNumber):
            number = self._value.text[:40]
            raise ConfigError(f"{self.path}: the bare number {number} must be {description}; numbers stand in quotes")
        if isinstance(self._value, _Ambiguous):
            raise ConfigError(f"{self.path}: the key {_shown(self._value.key)} stands twice in this object")
        if type(self._value) is not kind:
            raise self._error(self._value, description)
        return self._value

    def _error(self, value: Any, expected: str) -> ConfigError:  # noqa: ANN401
        return ConfigError(f"{self.path}: {_shown(value)} must be {expected}")


def nearest(key: str, valid: Sequence[str]) -> str:
    """Return the hint for an unknown key: the valid one it resembles, or all of them."""
    near = difflib.get_close_matches(key[:64], valid, n=1)
    return f'did you mean "{near[0]}"?' if near else f"valid: {', '.join(valid)}"


def _shown(value: Any) -> str:  # noqa: ANN401
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


def checksum(address: bytes) -> str:
    """Return the EIP-55 form of an address."""
    digits = address.hex()
    digest = keccak256(digits.encode()).hex()
    mixed = (d.upper() if int(h, 16) > 7 else d for d, h in zip(digits, digest[:40], strict=True))
    return "0x" + "".join(mixed)


def parse_time(text: str) -> int | None:
    """Return the seconds since 1970 of YYYY-MM-DDTHH:MM:SSZ, None for anything else."""
    if len(text) != 20 or (text[4], text[7], text[10], text[13], text[16], text[19]) != tuple("--T::Z"):
        return None
    parts = [text[a:b] for a, b in ((0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19))]
    if not all(map(_is_digits, parts)):
        return None
    year, month, day, hour, minute, second = map(int, parts)
    if not (1970 <= year <= 9999 and 1 <= month <= 12 and hour < 24 and minute < 60 and second < 60):
        return None
    month_days = (31, 29 if _is_leap(year) else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if not 1 <= day <= month_days[month - 1]:
        return None
    days = _days_before_year(year) - _days_before_year(1970) + _DAYS_BEFORE_MONTH[month - 1] + day - 1
    days += month > 2 and _is_leap(year)
    return ((days * 24 + hour) * 60 + minute) * 60 + second


def format_time(seconds: int) -> str:
    """Return YYYY-MM-DDTHH:MM:SSZ of seconds since 1970."""
    days, rest = divmod(seconds, 86_400)
    year = 1970
    while _days_before_year(year + 1) - _days_before_year(1970) <= days:
        year += 1
    day = days - (_days_before_year(year) - _days_before_year(1970))
    month = 12
    while _days_before_month(year, month) > day:
        month -= 1
    day -= _days_before_month(year, month)
    return f"{year:04}-{month:02}-{day + 1:02}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}Z"


def _days_before_month(year: int, month: int) -> int:
    return _DAYS_BEFORE_MONTH[month - 1] + (month > 2 and _is_leap(year))


def _days_before_year(year: int) -> int:
    past = year - 1
    return past * 365 + past // 4 - past // 100 + past // 400


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _is_decimal(text: str) -> bool:
    return _is_digits(text) and len(text) <= 78 and (text == "0" or text[0] != "0")


def _is_hex(text: str) -> bool:
    return all(character in "0123456789abcdefABCDEF" for character in text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Ambiguous:
    value: dict[str, Any] = {}
    for key, entry in pairs:
        if key in value:
            return _Ambiguous(key)
        value[key] = entry
    return value


def _check_depth(text: str) -> None:
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        if token.group() in ("[", "{"):
            depth += 1
            if depth > MAX_DEPTH:
                raise ConfigError(f"the document is nested more than {MAX_DEPTH} deep")
        elif token.group() in ("]", "}"):
            depth -= 1
