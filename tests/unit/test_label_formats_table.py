"""Tests of tables: separators, headers and quotes as spreadsheets and people write them."""

import pytest

from components.labeling.formats import Annotation, parse


@pytest.mark.parametrize(
    "text",
    [
        "path,label\na.jpg,1\n",
        "path;label\na.jpg;1\n",
        "path\tlabel\na.jpg\t1\n",
        "Path,LABEL\na.jpg,1\n",
        " path , label \n a.jpg , 1 \n",
        "sep=;\npath;label\na.jpg;1\n",
        '"sep=;"\r\npath;label\r\na.jpg;1\r\n',
        "SEP=,\npath,label\na.jpg,1\n",
        "sep=|\npath|label\na.jpg|1\n",
        "sep=;;\npath;label;\na.jpg;1;\n",
        "\npath,label\n\na.jpg,1\n,\n",
        "path,label\ra.jpg,1\r",
        '"path","label"\n"a.jpg","1"',
        "label,color,path\n1,red,a.jpg\n",
        "path,label,,\na.jpg,1,,\n",
        "path,label\na.jpg,1,,\n",
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".TSV"])
def test_table_is_read_as_people_write_it(text: str, suffix: str) -> None:
    (found,), rejected = parse("labels" + suffix, text.encode())

    assert (found.annotation, rejected) == (Annotation(path="a.jpg", label=1), [])


def test_place_is_the_first_line_of_a_record_with_quoted_newlines() -> None:
    text = 'sep=,\npath,note,label\n\na.jpg,"two\nlines",1\nb.jpg,"three\r\n\r\nlines",x\nc.jpg,"a ""quote""",3\n'

    annotations, rejected = parse("labels.csv", text.encode())

    assert [located.place for located in annotations] == ["labels.csv, line 4", "labels.csv, line 9"]
    assert [rejection.place for rejection in rejected] == ["labels.csv, line 6"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("image,class\na.jpg,1\n", "The header has the columns 'image', 'class'. It needs path with label or name, or"),
        ("path,colour\na.jpg,red\n", "The header has the columns 'path', 'colour'. It needs"),
        ("image;class\na,b;1\n", "The header has the columns 'image', 'class'. It needs"),
        ("path|label\na.jpg|1\n", "The header has the columns 'path|label'. It needs"),
        ("sep=;\npath,label\na.jpg,1\n", "The header has the columns 'path,label'. It needs"),
        ("path,label,Label\na.jpg,1,2\n", "The header has the column 'label' twice. Remove one of them."),
        ('"path,label\na.jpg,1\n', "The file has no header, or a quote in it is never closed."),
        ("a.jpg,1\nb.jpg,2\n", "The header has the columns 'a.jpg', '1'. It needs"),
    ],
)
def test_header_that_is_not_understood_is_named(text: str, reason: str) -> None:
    annotations, (rejected,) = parse("labels.csv", text.encode())

    assert (annotations, rejected.place) == ([], "labels.csv")
    assert rejected.reason.startswith(reason)


def test_bad_quote_costs_its_own_line_only() -> None:
    annotations, rejected = parse("labels.csv", b'path,name\na.jpg,"flag"x\nb.jpg,flag\nc.jpg,"flag\nd.jpg,flag\n')

    assert [located.annotation.path for located in annotations] == ["b.jpg"]
    assert [(rejection.place, rejection.reason.partition(".")[0]) for rejection in rejected] == [
        ("labels.csv, line 2", "The line is not valid CSV: ',' expected after '\"'"),
        ("labels.csv, line 4", "A quote that opens in this line is never closed"),
    ]


def test_empty_file_has_nothing_to_reject() -> None:
    assert parse("labels.csv", b"") == parse("labels.jsonl", b"\n") == parse("labels.json", b"") == ([], [])
