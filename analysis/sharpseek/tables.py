"""Tables as people's programs write them: which separator, which decimal sign, which columns, and what is wrong where.

Nothing is guessed that could be two things: it is refused in one line, with the option that decides it.
"""

from __future__ import annotations

import csv
import gzip
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sharpseek.files import SharpseekFileError, described

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t"}
DECIMALS = {"point": ".", "comma": ","}

_MARKS = ((b"\xff\xfe\0\0", "UTF-32"), (b"\0\0\xfe\xff", "UTF-32"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


@dataclass(frozen=True)
class _Rows:
    """The fields of a file, blanks around them gone."""

    names: list[str]
    fields: list[list[str]]
    lines: list[int]
    """The line on which each row begins, from 1."""


def visible(text: str) -> str:
    """The text on one line, with escapes for what a terminal does not show."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def parse_names(text: str, option: str) -> list[str]:
    """Comma-separated names of columns; one that holds a comma is in quotes. Raises SharpseekFileError."""
    names = [name.strip() for name in next(csv.reader([text], skipinitialspace=True), [])]
    if not names or "" in names:
        raise SharpseekFileError(f"{option} {visible(text)}: must be names of columns, separated by commas")
    return names


def parse_indices(text: str, option: str) -> list[int]:
    """Comma-separated indices. Raises SharpseekFileError."""
    found = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in found):
        raise SharpseekFileError(f"{option} {visible(text)}: must be whole numbers from 0, separated by commas")
    return [int(part) for part in found]


def read_table(
    path: str | Path,
    columns: Sequence[str] | None = None,
    separator: str | None = None,
    decimal: str | None = None,
) -> pd.DataFrame:
    """The numbers of a CSV file with a header (.csv, .csv.gz), or of Parquet (needs pyarrow).

    `columns`: those to read, in this order (all by default); others may hold anything. `separator` and `decimal`: keys
    of SEPARATORS and DECIMALS; what the file says by default. Raises SharpseekFileError naming file, line and column.
    """
    path = Path(path)
    try:
        if path.suffix == ".parquet":
            return _numbers_of(pd.read_parquet(path), path, columns)
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except FileNotFoundError:
        raise SharpseekFileError(f"{path}: no such file") from None
    except ImportError:
        raise SharpseekFileError(f"{path}: reading Parquet needs the package pyarrow") from None
    except OSError as error:
        raise SharpseekFileError(described(error, path)) from None
    except (ValueError, EOFError) as error:
        raise SharpseekFileError(f"{path}: cannot be read ({' '.join(str(error).split())})") from None
    rows = _split(_decode(content, path), path, _chosen("--separator", SEPARATORS, separator))
    chosen = _positions(rows.names, columns, path)
    sign = _chosen("--decimal", DECIMALS, decimal) or _decimal_sign(rows, chosen, path)
    values = [[_number(row[c], sign) for c in chosen] for row in rows.fields]
    for line, row, numbers in zip(rows.lines, rows.fields, values, strict=True):
        for c, number in zip(chosen, numbers, strict=True):
            if not math.isfinite(number):
                advice = "; choose the columns to use by --inputs" if columns is None else ""
                raise SharpseekFileError(
                    f"{path}: line {line}, column {visible(rows.names[c])}: {_fault(row[c], sign)}{advice}"
                )
    return pd.DataFrame(np.array(values, dtype=float).reshape(-1, len(chosen)), columns=[rows.names[c] for c in chosen])


def _decode(content: bytes, path: Path) -> str:
    """The text without a byte order mark, its lines ended by a line feed."""
    for mark, name in _MARKS:
        if content.startswith(mark):
            raise SharpseekFileError(f"{path}: is {name} text; save it as UTF-8")
    if (null := content.find(b"\0")) >= 0:
        kind = "looks like UTF-16 text; save it as UTF-8" if null < 2 else "is not a text file; save the table as CSV"
        raise SharpseekFileError(f"{path}: byte {null + 1} is NUL: it {kind}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The error counts from after the mark, if there is one.
        at = error.start + len(content) - len(error.object)
        line = len(re.findall(rb"\r\n|\r|\n", content[:at])) + 1
        raise SharpseekFileError(
            f"{path}: line {line}: byte {at + 1} of the file, \\x{content[at]:02X}, is not UTF-8 text"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _split(text: str, path: Path, separator: str | None) -> _Rows:
    """Header and rows, all of one length."""
    lines = text.split("\n")
    first = next((i for i, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise SharpseekFileError(f"{path}: is empty")
    # A line of Excel's own, before the header.
    if said := re.fullmatch(r'"?sep=([,;\t])"?\s*', lines[first]):
        separator = separator or said[1]
        first += 1
    separator = separator or _separator_of(lines[first] if first < len(lines) else "", path)
    records = list(_records("\n".join(lines[first:]), separator, first + 1))
    if not records:
        raise SharpseekFileError(f"{path}: has no header")
    (line, names), rows = records[0], records[1:]
    if all(math.isfinite(_number(name, ".")) or math.isfinite(_number(name, ",")) for name in names):
        raise SharpseekFileError(f"{path}: line {line} holds numbers; it must be a header, a name for each column")
    for number, fields in rows:
        if len(fields) != len(names):
            raise SharpseekFileError(
                f"{path}: line {number} has {len(fields)} field{'s' * (len(fields) != 1)}, the header {len(names)} "
                f"(separated by {_name_of(separator)}s)"
            )
    # A separator at the end of every line makes a column of nothing.
    while names and not names[-1] and not any(fields[-1] for _, fields in rows):
        names.pop()
        for _, fields in rows:
            fields.pop()
    return _Rows(names, [fields for _, fields in rows], [number for number, _ in rows])


def _records(text: str, separator: str, line: int) -> Iterator[tuple[int, list[str]]]:
    """Line and fields of every row that is not blank. A field in quotes may hold separators, line ends and, doubled,
    quotes; a quote that does not enclose a whole field is a character."""
    end = rf"({separator}|\n|\Z)"
    field = re.compile(rf' *"((?:[^"]|"")*)" *{end}|([^{separator}\n]*){end}')
    fields: list[str] = []
    at, begin = 0, line
    while at <= len(text):
        found = field.match(text, at)
        assert found is not None  # the second form fits everything
        inside, inside_end, plain, plain_end = found.groups()
        fields.append((plain if inside is None else inside.replace('""', '"')).strip())
        line += found[0].count("\n")
        at = found.end()
        if (plain_end if inside is None else inside_end) == separator:
            continue
        if fields != [""]:
            yield begin, fields
        fields, begin = [], line
        if at == len(text) and not found[0].endswith("\n"):
            return


def _chosen(option: str, signs: dict[str, str], name: str | None) -> str | None:
    """The sign of an option: by its name, or as it is."""
    if name is None or name in signs.values():
        return name
    if name not in signs:
        raise SharpseekFileError(f"{option} {visible(name)}: must be {' | '.join(signs)}")
    return signs[name]


def _name_of(separator: str) -> str:
    return next(name for name, sign in SEPARATORS.items() if sign == separator)


def _separator_of(header: str, path: Path) -> str:
    """The one separator that stands in the header, outside quotes."""
    bare = re.sub(r'"[^"]*("|$)', "", header)
    found = [sign for sign in SEPARATORS.values() if sign in bare]
    if len(found) == 1:
        return found[0]
    names = ", ".join(SEPARATORS)
    if found:
        several = " and ".join(f"{_name_of(sign)}s" for sign in found)
        raise SharpseekFileError(f"{path}: its header has {several}; say which by --separator ({names})")
    raise SharpseekFileError(
        f"{path}: its header is one field, '{visible(header.strip())}'; {names} may separate names"
    )


def _positions(names: Sequence[str], columns: Sequence[str] | None, path: Path) -> list[int]:
    """Where the columns are, each of them once."""
    if columns is None and "" in names:
        raise SharpseekFileError(
            f"{path}: column {names.index('') + 1} has no name; choose the columns to use by --inputs, or name it"
        )
    for name in names if columns is None else columns:
        if name not in names:
            known = ", ".join(visible(name) for name in names)
            raise SharpseekFileError(f"column {visible(name)}: not in the table, which has {known}")
        if names.count(name) > 1:
            at = " and ".join(str(i + 1) for i, other in enumerate(names) if other == name)
            raise SharpseekFileError(
                f"{path}: column {visible(name)}: the header has it {names.count(name)} times: {at}"
            )
    return [names.index(name) for name in (names if columns is None else columns)]


def _decimal_sign(rows: _Rows, chosen: Sequence[int], path: Path) -> str:
    """A comma where fields have one and none has a point; 1,234 alone might be either thousands or thousandths."""
    with_comma = [
        (line, c, row[c]) for line, row in zip(rows.lines, rows.fields, strict=True) for c in chosen if "," in row[c]
    ]
    if not with_comma:
        return "."
    line, c, field = with_comma[0]
    place = f"{path}: line {line}, column {visible(rows.names[c])}: '{visible(field)}'"
    if any("." in row[c] for row in rows.fields for c in chosen):
        raise SharpseekFileError(f"{place} has a comma, others have points; say which is the sign by --decimal")
    if all(_THOUSANDS.fullmatch(field) for _, _, field in with_comma):
        raise SharpseekFileError(f"{place} may be thousands or have a decimal comma; say --decimal comma, or point")
    return ","


def _number(field: str, sign: str) -> float:
    """The number of a field; NaN if it is none. Python's own words and underscores are none."""
    if sign == ",":
        field = "" if "." in field else field.replace(",", ".", 1)
    if "_" in field or not field.isascii():
        return math.nan
    try:
        return float(field)
    except ValueError:
        return math.nan


def _fault(field: str, sign: str) -> str:
    if not field:
        return "is empty"
    hint = "; the decimal sign is a comma here" if sign == "," and "." in field else ""
    return f"'{visible(field)}' is not a finite number{hint}"


def _numbers_of(table: pd.DataFrame, path: Path, columns: Sequence[str] | None) -> pd.DataFrame:
    """The columns of a table that has types."""
    names = [str(name) for name in table.columns]
    found = table.iloc[:, _positions(names, columns, path)]
    for name in found.columns:
        if not pd.api.types.is_numeric_dtype(found[name]):
            raise SharpseekFileError(f"{path}: column {name}: must hold numbers")
        finite = np.isfinite(found[name].to_numpy(dtype=float, na_value=np.nan))
        if not finite.all():
            raise SharpseekFileError(f"{path}: row {int(finite.argmin()) + 1}, column {name}: is not a finite number")
    return found.astype(float)
