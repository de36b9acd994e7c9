"""Settings and JSON records checked by pydantic, whose errors become ours: the name, its value, what was expected."""

import json
from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from bmnas.errors import BmnasError
from bmnas.registry import unknown

Record = TypeVar("Record")

EXPECTED = {
    "missing": "this field",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "True or False",
    "string_type": "a text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a dictionary",
    "dataclass_type": "an object",
    "greater_than_equal": "a number of at least {ge}",
    "greater_than": "a number above {gt}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "literal_error": "one of {expected}",
    "too_short": "at least {min_length} values",
    "too_long": "at most {max_length} values",
    "value_error": "{error}",
}
"""The type of a pydantic error -> what was expected, with the error's own numbers."""
UNKNOWN_FIELD = ("unexpected_keyword_argument", "extra_forbidden")
LONGEST = 200  # characters of a value that a message shows


def validate(adapter: TypeAdapter[Record], value: Any, error: type[BmnasError], where: str = "") -> Record:
    """Converts a JSON value strictly: a text is no number, a boolean is no integer.

    Args:
        adapter: of the record's type.
        value: as `parse_json` gives it.
        error: the class of the error that is raised.
        where: names the record, at the start of the message.

    Raises:
        error: a field is missing, unknown or wrong; names it, its value and what was expected.
    """
    try:
        return adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError as failure:
        raise explained(failure, error, where) from failure


def plain_number(value: Any) -> Any:
    """Returns the Python number of numpy's; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def explained(
    failure: ValidationError, error: type[BmnasError], where: str = "", setting_names: Iterable[str] = ()
) -> BmnasError:
    """Returns our error for pydantic's.

    Args:
        failure: whose first problem is reported.
        error: the class of the error.
        where: names the record, at the start of the message.
        setting_names: the settings there are, for the error of an unknown one.
    """
    problem = _decisive_problem(failure)
    field = _field_name(problem["loc"])
    kind = problem["type"]
    context = problem.get("ctx", {})
    if isinstance(context.get("error"), BmnasError):
        return context["error"]
    if kind in UNKNOWN_FIELD and setting_names:
        return unknown("setting", field, setting_names)
    prefix = f"{where}: " if where else ""
    if kind in UNKNOWN_FIELD:
        return error(f"{prefix}the field {field!r} is unknown; leave it out")
    if kind == "missing":
        return error(f"{prefix}the field {field!r} is missing")
    expected = EXPECTED[kind].format(**context) if kind in EXPECTED else problem["msg"]
    if kind == "literal_error" and _takes_a_dictionary(failure, problem):
        expected += f", or {EXPECTED['dict_type']}"
    value = repr(problem["input"])
    shown = value if len(value) <= LONGEST else f"{value[:LONGEST]}..."
    return error(f"{prefix}{field or 'the value'} is {shown}; expected {expected}")


def _takes_a_dictionary(failure: ValidationError, problem: Any) -> bool:
    """Returns whether the value of a problem could also have been a dictionary."""
    others = failure.errors(include_url=False)
    return any(other["type"] == "dict_type" and other["loc"][:-1] == problem["loc"][:-1] for other in others)


def _decisive_problem(failure: ValidationError) -> Any:
    """Returns, for a value of several types, the problem of the one whose type was right but whose value was not.

    Of those the deepest: NaN in a dictionary of weights, rather than that a dictionary is no text.
    """
    problems = failure.errors(include_url=False)
    of_the_first = [each for each in problems if each["loc"][:1] == problems[0]["loc"][:1]]
    return max(of_the_first, key=lambda each: (len(each["loc"]), not each["type"].endswith("_type")))


def _field_name(location: tuple[int | str, ...]) -> str:
    """Writes `cells[0].inputs`, without the names that pydantic gives to the members of a union."""
    name = ""
    for part in location:
        if isinstance(part, int):
            name += f"[{part}]"
        elif part.isidentifier() and part not in ("int", "float"):
            name += f".{part}" if name else part
    return name
