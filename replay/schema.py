"""The executable schema: ariadne's, with 64-bit integers, and less than everything for a server of another age."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ariadne import QueryType, ScalarType, SubscriptionType, make_executable_schema
from graphql import (
    DefinitionNode,
    DocumentNode,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    InputObjectTypeDefinitionNode,
    IntValueNode,
    ObjectTypeDefinitionNode,
    UnionTypeDefinitionNode,
    ValueNode,
    parse,
    print_ast,
)

from replay.moments import Moment, parse_moment
from replay.roots import QUERIES, SUBSCRIPTIONS, event_itself

_TEXTS = ("schema.graphql", "filters.graphql")


@lru_cache(maxsize=32)
def build_schema(removed: frozenset[str] = frozenset()) -> GraphQLSchema:
    """The schema of a server that does not know ``removed``: ``Type.field``, ``InputType.field``, ``Union.Member``.

    Raises ValueError when the schema has nothing of such a name.
    """
    everything = parse("\n".join((Path(__file__).parent / name).read_text() for name in _TEXTS))
    document = _without(everything, removed)
    query, subscription = QueryType(), SubscriptionType()
    for name, resolver in QUERIES.items():
        if f"Query.{name}" not in removed:
            query.set_field(name, resolver)
    for name, source in SUBSCRIPTIONS.items():
        if f"Subscription.{name}" not in removed:
            subscription.set_source(name, source)  # type: ignore[arg-type]  # graphql-core takes any async iterator
            subscription.set_field(name, event_itself)
    time = ScalarType("Time", value_parser=_parse_time)
    schema = make_executable_schema(print_ast(document), query, subscription, time)
    _widen_integers(schema)
    return schema


def _without(document: DocumentNode, removed: frozenset[str]) -> DocumentNode:
    left = set(removed)

    def kept(owner: str, name: str) -> bool:
        path = f"{owner}.{name}"
        left.discard(path)
        return path not in removed

    definitions: list[DefinitionNode] = []
    for definition in document.definitions:
        if isinstance(definition, ObjectTypeDefinitionNode):
            owner = definition.name.value
            fields = tuple(part for part in definition.fields or () if kept(owner, part.name.value))
            definitions.append(replace(definition, fields=fields))
        elif isinstance(definition, InputObjectTypeDefinitionNode):
            owner = definition.name.value
            inputs = tuple(part for part in definition.fields or () if kept(owner, part.name.value))
            definitions.append(replace(definition, fields=inputs))
        elif isinstance(definition, UnionTypeDefinitionNode):
            owner = definition.name.value
            members = tuple(part for part in definition.types or () if kept(owner, part.name.value))
            definitions.append(replace(definition, types=members))
        else:
            definitions.append(definition)
    if left:
        raise ValueError(f"fields_removed: no {min(left)} in the schema; wanted Type.field or Union.Member")
    return DocumentNode(definitions=tuple(definitions))


def _parse_time(value: object) -> Moment:
    try:
        return parse_moment(value)
    except ValueError as error:
        raise GraphQLError(str(error)) from error


def _to_int64(value: object) -> int:
    """An Int of a JSON variable: a whole number, or one written as a string, which real servers also take."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise GraphQLError(f"cannot use {type(value).__name__} as Int")
    if not -(2**63) <= value < 2**63:
        raise GraphQLError(f"Int cannot represent non 64-bit signed integer value: {value}")
    return value


def _literal_to_int64(node: ValueNode, _variables: Any = None) -> int:
    if not isinstance(node, IntValueNode):
        raise GraphQLError("Int cannot represent non-integer value", node)
    return _to_int64(int(node.value))


def _widen_integers(schema: GraphQLSchema) -> None:
    """Put a 64-bit Int in the place of graphql-core's.

    Every schema of the process shares that one object, so it cannot be changed itself: each reference to it is.
    """
    wide = GraphQLScalarType(
        "Int64",
        description="A whole number of 64 bits, as on the servers this one stands in for.",
        coerce_output_value=_to_int64,
        coerce_input_value=_to_int64,
        coerce_input_literal=_literal_to_int64,
    )
    # The constructor refuses the names of built-in types; queries and introspection know it by this one.
    wide.name = "Int"

    def widened(wanted: Any) -> Any:
        if isinstance(wanted, GraphQLNonNull | GraphQLList):
            return type(wanted)(widened(wanted.of_type))
        return wide if wanted is GraphQLInt else wanted

    for named in schema.type_map.values():
        if isinstance(named, GraphQLObjectType | GraphQLInputObjectType):
            for field in named.fields.values():
                field.type = widened(field.type)
    schema.type_map["Int"] = wide
