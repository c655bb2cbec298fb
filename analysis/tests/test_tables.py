"""Tables as programs write them: what is read, and what is refused where."""

import gzip
from pathlib import Path

import pandas as pd
import pytest
from sharpseek.files import SharpseekFileError
from sharpseek.tables import parse_names, read_table


def read(folder: Path, content: str | bytes, *arguments: object, **options: str) -> pd.DataFrame:
    file = folder / "t.csv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(file, *arguments, **options)


def refusal(folder: Path, content: str | bytes, *arguments: object, **options: str) -> str:
    with pytest.raises(SharpseekFileError) as error:
        read(folder, content, *arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(f"{folder}/")


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n1.5,-2\n30,0.25\n",
        "\ufeffa,b\r\n1.5,-2\r\n30,.25\r\n\r\n",
        "a,b\r1.5,-2\r3e1,0.25",
        " a , b \n1.5, -2\n 30 ,0.25\n",
        '\ufeff"a" , "b"\n"1.5","-2"\n30,0.25\n',
        "a;b\n1,5;-2\n30;0,25\n",
        "a;b\n1.5;-2\n30;0.25\n",
        "a\tb\n1,5\t-2\n30\t0,25\n",
        'a,b\n"1,5",-2\n30,"0,25"\n',
        "sep=;\r\na;b\r\n1,5;-2\r\n30;0,25\r\n",
        "a,b,\n1.5,-2,\n30,0.25,\n",
        "a,\u00a0b\n1.5,-2\n30,0.25\n",
    ],
)
def test_the_same_table_in_many_dialects(tmp_path: Path, content: str) -> None:
    found = read(tmp_path, content)
    assert list(found.columns) == ["a", "b"]
    assert found.to_numpy().tolist() == [[1.5, -2], [30, 0.25]]


def test_columns_that_are_not_used_may_hold_anything(tmp_path: Path) -> None:
    content = ',id,a,x,b,x\n0,"q, ""r""\ns",1,,2,\n1,NA,3,text,4,inf\n'
    assert read(tmp_path, content, ["b", "a"]).to_numpy().tolist() == [[2, 1], [4, 3]]
    assert (
        refusal(tmp_path, content) == "t.csv: column 1 has no name; choose the columns to use by --inputs, or name it"
    )
    assert refusal(tmp_path, content, ["a", "x"]) == "t.csv: column x: the header has it 2 times: 4 and 6"
    assert refusal(tmp_path, content, ["a", "c"]) == "column c: not in the table, which has , id, a, x, b, x"
    # The line of a row is the one on which it begins, whatever its fields hold.
    assert refusal(tmp_path, content, ["id"]).startswith("t.csv: line 2, column id: 'q, \"r\"\\u000as' is not")
    assert refusal(tmp_path, content + "2,z,y,,,\n", ["a"]) == "t.csv: line 5, column a: 'y' is not a finite number"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n3,4,5\n", "t.csv: line 3 has 3 fields, the header 2 (separated by commas)"),
        ("a;b\n1;2\n\n3\n", "t.csv: line 4 has 1 field, the header 2 (separated by semicolons)"),
        ("a,b\n1,2,\n", "t.csv: line 2 has 3 fields, the header 2 (separated by commas)"),
        ("a,b\n1,\n", "t.csv: line 2, column b: is empty; choose the columns to use by --inputs"),
        ("a,b\n1,2\n,\n", "t.csv: line 3, column a: is empty; choose the columns to use by --inputs"),
        ("a,b\n1,NaN\n", "t.csv: line 2, column b: 'NaN' is not a finite number; choose the columns"),
        ("a,b\n1,-inf\n", "t.csv: line 2, column b: '-inf' is not a finite number; choose the columns"),
        ("a,b\n1,1e999\n", "t.csv: line 2, column b: '1e999' is not a finite number; choose the columns"),
        ("a,b\n1,1_0\n", "t.csv: line 2, column b: '1_0' is not a finite number; choose the columns"),
        ('a,b\n1,"2\n3,4\n', "t.csv: line 2, column b: '\"2' is not a finite number; choose the columns"),
        ("a,b,a\n1,2,3\n", "t.csv: column a: the header has it 2 times: 1 and 3"),
        ("1,2\n3,4\n", "t.csv: line 1 holds numbers; it must be a header, a name for each column"),
        (
            "0,5;1\n2;3\n",
            "t.csv: its header has commas and semicolons; say which by --separator (comma, semicolon, tab)",
        ),
        ("a b\n1 2\n", "t.csv: its header is one field, 'a b'; comma, semicolon, tab may separate names"),
        ("a;b\n1,2;3.4\n", "t.csv: line 2, column a: '1,2' has a comma, others have points; say which is the sign"),
        ("a;b\n1,234;22,000\n", "t.csv: line 2, column a: '1,234' may be thousands or have a decimal comma; say"),
        ("", "t.csv: is empty"),
        ("a,b\n".encode("utf-16"), "t.csv: is UTF-16 text; save it as UTF-8"),
        ("a,b\n".encode("utf-16-le"), "t.csv: byte 2 is NUL: it looks like UTF-16 text; save it as UTF-8"),
        (b"PK\x03\x04\x14\0", "t.csv: byte 6 is NUL: it is not a text file; save the table as CSV"),
        (b"\xef\xbb\xbfa,b\r\n1,\xe9\r\n", "t.csv: line 2: byte 11 of the file, \\xE9, is not UTF-8 text"),
    ],
)
def test_what_could_be_two_things_is_refused_where_it_stands(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    assert refusal(tmp_path, content).startswith(message)


def test_options_decide_what_the_file_does_not(tmp_path: Path) -> None:
    thousand = "a;b\n1,234;22,000\n"
    assert read(tmp_path, thousand, decimal="comma").to_numpy().tolist() == [[1.234, 22]]
    assert "'1,234' is not a finite number" in refusal(tmp_path, thousand, decimal="point")
    assert read(tmp_path, "m, kg;b\n1;2\n", separator="semicolon").columns.tolist() == ["m, kg", "b"]
    assert read(tmp_path, "a;b\n0,5;2\n", separator=";", decimal=",").to_numpy().tolist() == [[0.5, 2]]
    assert refusal(tmp_path, thousand, separator="pipe") == "--separator pipe: must be comma | semicolon | tab"
    assert refusal(tmp_path, thousand, decimal="dot") == "--decimal dot: must be point | comma"
    assert "'1.5' is not a finite number; the decimal sign is a comma" in refusal(tmp_path, "a;b\n1.5;2\n", decimal=",")


def test_names_of_columns_may_be_in_quotes() -> None:
    assert parse_names('u, "mass, kg" ,v', "--targets") == ["u", "mass, kg", "v"]
    for text in ("", "u,,v", " "):
        with pytest.raises(SharpseekFileError, match=r"--targets .*: must be names of columns"):
            parse_names(text, "--targets")


def test_a_compressed_table_is_read_or_refused(tmp_path: Path) -> None:
    file = tmp_path / "t.csv.gz"
    file.write_bytes(gzip.compress(b"a,b\n1,2\n"))
    assert read_table(file).to_numpy().tolist() == [[1, 2]]
    file.write_bytes(gzip.compress(b"a,b\n1,2\n")[:-4])
    with pytest.raises(SharpseekFileError, match=r"t\.csv\.gz: "):
        read_table(file)
