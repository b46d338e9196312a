"""Projection: from a recorded row to exactly what a selection set asks of it.

graphql-core parses, validates and coerces every query, and answers the roots; below a row it would spend about
10 microseconds a field on resolvers that only look into a dict. A selection is compiled once a query instead. Every
field has an answer, so nothing can fail here: what a recording lacks is null, or empty, zero or false where the type
does not allow null.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLIncludeDirective,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLSchema,
    GraphQLSkipDirective,
    GraphQLUnionType,
    InlineFragmentNode,
    SelectionNode,
    SelectionSetNode,
    get_directive_values,
    get_named_type,
    type_from_ast,
)

from replay.members import FALLBACKS, event_member, message_member, raw_text
from replay.moments import ZERO_TIME
from replay.recording import Row

Reader = Callable[[Row], Any]
Completer = Callable[[Any], Any]

_ZEROS: dict[str, Any] = {"Int": 0, "String": "", "Boolean": False, "Time": ZERO_TIME}
_MEMBER_OF = {"MessageValue": message_member, "Event": event_member}
# MsgAddPackage renamed deposit to send; servers answer both names with one value, whichever was recorded.
_SPECIAL: dict[tuple[str, str], Reader] = {
    ("MsgAddPackage", "send"): lambda row: row.get("send") or row.get("deposit") or "",
    ("MsgAddPackage", "deposit"): lambda row: row.get("deposit") or row.get("send") or "",
    ("UnexpectedMessage", "raw"): lambda row: raw_text(row, "raw"),
    ("UnknownEvent", "value"): lambda row: raw_text(row, "value"),
}


def compile_projection(info: GraphQLResolveInfo[Any]) -> Reader:
    """What the field being resolved asks of one row of its type."""
    row_type = get_named_type(info.return_type)
    assert isinstance(row_type, GraphQLObjectType)
    return _Compiler(info).object(row_type, [node.selection_set for node in info.field_nodes if node.selection_set])


class _Compiler:
    """Compiles the selections of one query; fragments and variables come from it."""

    def __init__(self, info: GraphQLResolveInfo[Any]) -> None:
        self._schema: GraphQLSchema = info.schema
        self._fragments = info.fragments
        self._variables = info.variable_values

    def object(self, object_type: GraphQLObjectType, selections: Iterable[SelectionSetNode]) -> Reader:
        """A reader of one object: the fields asked of it, under their aliases, in the order of the query."""
        asked: dict[str, list[FieldNode]] = {}
        for selection_set in selections:
            self._collect(object_type, selection_set.selections, asked)
        readers = [(key, self._field(object_type, nodes)) for key, nodes in asked.items()]
        return lambda row: {key: reader(row) for key, reader in readers}

    def _collect(
        self, object_type: GraphQLObjectType, selections: Iterable[SelectionNode], asked: dict[str, list[FieldNode]]
    ) -> None:
        for node in selections:
            if not self._included(node):
                continue
            if isinstance(node, FieldNode):
                key = node.alias.value if node.alias else node.name.value
                asked.setdefault(key, []).append(node)
                continue
            assert isinstance(node, InlineFragmentNode | FragmentSpreadNode)
            fragment = self._fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
            if fragment.type_condition is None or self._applies(object_type, fragment.type_condition):
                self._collect(object_type, fragment.selection_set.selections, asked)

    def _included(self, node: SelectionNode) -> bool:
        if not node.directives:
            return True
        skip = get_directive_values(GraphQLSkipDirective, node, self._variables)
        include = get_directive_values(GraphQLIncludeDirective, node, self._variables)
        return not (skip and skip["if"]) and not (include and not include["if"])

    def _applies(self, object_type: GraphQLObjectType, condition: Any) -> bool:
        wanted = type_from_ast(self._schema, condition)
        return wanted is object_type or (isinstance(wanted, GraphQLUnionType) and object_type in wanted.types)

    def _field(self, object_type: GraphQLObjectType, nodes: list[FieldNode]) -> Reader:
        name = nodes[0].name.value
        if name == "__typename":
            return lambda _row: object_type.name
        special = _SPECIAL.get((object_type.name, name))
        if special is not None:
            return special
        field_type = object_type.fields[name].type
        selections = [node.selection_set for node in nodes if node.selection_set]
        if (
            not selections
            and isinstance(field_type, GraphQLNonNull)
            and not isinstance(field_type.of_type, GraphQLList)
        ):
            zero = _ZEROS[get_named_type(field_type).name]

            def read_leaf(row: Row) -> Any:
                value = row.get(name)
                return zero if value is None else value

            return read_leaf
        complete = self._completer(field_type, selections)
        return lambda row: complete(row.get(name))

    def _completer(self, field_type: GraphQLOutputType, selections: list[SelectionSetNode]) -> Completer:
        """What makes an answer of a recorded value of ``field_type``, null included."""
        if not isinstance(field_type, GraphQLNonNull):
            complete = self._completer(GraphQLNonNull(field_type), selections)
            return lambda value: None if value is None else complete(value)
        inner = field_type.of_type
        if isinstance(inner, GraphQLList):
            element = self._completer(inner.of_type, selections)
            return lambda value: [element(part) for part in value or ()]
        if isinstance(inner, GraphQLObjectType):
            read = self.object(inner, selections)
            return lambda value: read(value or {})
        if isinstance(inner, GraphQLUnionType):
            return self._union(inner, selections)
        zero = _ZEROS[inner.name]
        return lambda value: zero if value is None else value

    def _union(self, union: GraphQLUnionType, selections: list[SelectionSetNode]) -> Completer:
        readers: Mapping[str, Reader] = {member.name: self.object(member, selections) for member in union.types}
        member_of = _MEMBER_OF[union.name]
        fallback = readers[FALLBACKS[union.name]]
        return lambda value: readers.get(member_of(value or {}), fallback)(value or {})
