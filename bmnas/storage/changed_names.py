"""What code changes by itself while it runs: counters, caches and logs, which say nothing of what it computes."""

import dis
from dataclasses import dataclass, field
from types import CodeType

OUTER = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF")
ATTRIBUTE = ("LOAD_ATTR", "LOAD_METHOD")
ASSIGNED = ("STORE_GLOBAL", "STORE_DEREF", "DELETE_GLOBAL", "DELETE_DEREF")
CHANGING = {
    "add", "append", "appendleft", "clear", "discard", "extend", "extendleft", "insert", "move_to_end", "pop",
    "popitem", "popleft", "remove", "reverse", "rotate", "setdefault", "sort", "update",
}  # fmt: skip
SET_UP = ("__init__", "__new__", "__post_init__", "__setstate__")


@dataclass
class ChangedNames:
    """Names of what code changes.

    Attributes:
        variables: globals, and variables of functions around it.
        attributes: of any object.
        fields: of an object by its own methods, once it is made.
    """

    variables: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)

    def add(self, code: CodeType, is_set_up: bool = False) -> None:
        """Adds what a code and the functions within it change.

        Args:
            is_set_up: whether it belongs to what makes an object.
        """
        is_set_up = is_set_up or code.co_name in SET_UP
        starts: dict[tuple[int | None, int | None], list[dis.Instruction]] = {}
        before: dis.Instruction | None = None
        for step in dis.get_instructions(code):
            place = (None, None) if step.positions is None else (step.positions.lineno, step.positions.col_offset)
            if step.opname in OUTER or step.opname in ATTRIBUTE:
                starts.setdefault(place, []).append(step)
            if step.opname in ATTRIBUTE and step.argval in CHANGING and before is not None:
                self._note(before)
            elif step.opname in ASSIGNED and not (step.opname == "STORE_DEREF" and step.argval in code.co_cellvars):
                self.variables.add(step.argval)
            elif step.opname in ("STORE_SUBSCR", "DELETE_SUBSCR", "STORE_SLICE"):  # a place starts with its container
                for earlier in starts.get(place, []):
                    self._note(earlier)
            elif step.opname in ("STORE_ATTR", "DELETE_ATTR"):
                is_outer = any(earlier.opname in OUTER for earlier in starts.get(place, []))
                if is_outer:
                    self.attributes.add(step.argval)
                elif not is_set_up:
                    self.fields.add(step.argval)
            before = step
        for constant in code.co_consts:
            if isinstance(constant, CodeType):  # a function within
                self.add(constant, is_set_up)

    def _note(self, step: dis.Instruction) -> None:
        if step.opname in OUTER:
            self.variables.add(step.argval)
        elif step.opname in ATTRIBUTE:
            self.attributes.add(step.argval)
