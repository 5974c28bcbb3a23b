"""Spark's errors about statements, in one sentence with the nearest name."""

import pytest

from pipelines.query.explain_error import explain_error, find_error

TABLES = ("files", "images", "predictions", "labeling_requests", "image_data")


@pytest.mark.parametrize(
    ("condition", "parameters", "sentence"),
    [
        (
            "UNRESOLVED_COLUMN.WITH_SUGGESTION",
            {"objectName": "`lable`", "proposal": "`path`, `label`, `length`"},
            "unknown column 'lable'. Did you mean label? DESCRIBE <table> lists the columns.",
        ),
        (
            "UNRESOLVED_COLUMN.WITH_SUGGESTION",
            {"objectName": "`i`.`Lable`", "proposal": "`i`.`path`, `c`.`label`"},
            "unknown column 'i.Lable'. Did you mean c.label? DESCRIBE <table> lists the columns.",
        ),
        (
            "UNRESOLVED_COLUMN.WITH_SUGGESTION",
            {"objectName": "`nothing`", "proposal": "`path`, `etag`"},
            "unknown column 'nothing'. Use one of path, etag. DESCRIBE <table> lists the columns.",
        ),
        (
            "UNRESOLVED_COLUMN.WITHOUT_SUGGESTION",
            {"objectName": "`a``b`"},
            "unknown column 'a`b'. DESCRIBE <table> lists the columns.",
        ),
        (
            "FIELD_NOT_FOUND",
            {"fieldName": "`nam`", "fields": "`name`, `age`"},
            "unknown column 'nam'. Did you mean name? DESCRIBE <table> lists the columns.",
        ),
        (
            "TABLE_OR_VIEW_NOT_FOUND",
            {"relationName": "`imagedata`"},
            "unknown table 'imagedata'. Did you mean image_data? SHOW TABLES lists all.",
        ),
        (
            "TABLE_OR_VIEW_NOT_FOUND",
            {"relationName": "`xyz`"},
            f"unknown table 'xyz'. Use one of {', '.join(TABLES)}. SHOW TABLES lists all.",
        ),
        (
            "UNRESOLVED_ROUTINE",
            {"routineName": "`cuont`", "searchPath": "[...]"},
            "unknown function 'cuont'. Did you mean count? SHOW FUNCTIONS lists all.",
        ),
        ("DIVIDE_BY_ZERO", {"config": "..."}, "[DIVIDE_BY_ZERO] Division by zero. Use `try_divide`."),
    ],
)
def test_error_names_what_is_wrong_and_the_nearest_name(
    condition: str, parameters: dict[str, str], sentence: str
) -> None:
    message = f"[{condition}] Division by zero. Use `try_divide`.\n== SQL ==\nSELECT"

    assert explain_error(condition, parameters, message, TABLES, lambda: ["count", "sum"]) == sentence


def test_error_of_a_task_is_found_in_the_text_of_another_error() -> None:
    message = (
        "An error occurred while calling o1.\n: org.apache.spark.SparkException: Job aborted: task 0.0 (TID 7) [host]:"
        " org.apache.spark.SparkArithmeticException: [DIVIDE_BY_ZERO] Division by zero. SQLSTATE: 22012\n== SQL ==\n"
    )

    assert find_error(message) == "[DIVIDE_BY_ZERO] Division by zero. SQLSTATE: 22012"
