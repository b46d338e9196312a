"""One GraphQL operation, from its text to its answer, with the refusals of a tx-indexer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    execute_sync,
    get_operation_ast,
    parse,
    subscribe,
    validate,
)
from graphql.execution.values import get_variable_values

from replay.roots import AnsweringExecutor, ListRequest

Answer = dict[str, Any]
"""``errors`` (when there are any) and then ``data``, in this order, as on the wire."""

PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"


class Refused(Exception):  # it is an answer, not a failure of ours
    """An operation that is not executed at all: HTTP 422. ``errors`` are those of the wire."""

    def __init__(self, errors: Sequence[GraphQLError], code: str = VALIDATION_FAILED) -> None:
        super().__init__()
        self.errors: list[dict[str, Any]] = [{**error.formatted, "extensions": {"code": code}} for error in errors]


@dataclass(frozen=True)
class Operation:
    """An operation that was found valid. ``variables`` are as the client gave them."""

    schema: GraphQLSchema
    document: DocumentNode
    node: OperationDefinitionNode
    variables: dict[str, Any]

    @property
    def is_subscription(self) -> bool:
        """Whether it is to be answered again and again."""
        return self.node.operation is OperationType.SUBSCRIPTION

    @property
    def is_introspection(self) -> bool:
        """Whether it asks for ``__schema`` or ``__type``."""
        fragments = {
            part.name.value: part for part in self.document.definitions if isinstance(part, FragmentDefinitionNode)
        }
        return not {"__schema", "__type"}.isdisjoint(_fields(self.node.selection_set, fragments))


def _fields(selections: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]) -> Iterator[str]:
    """The names of the fields of one level, those in fragments too."""
    for node in selections.selections:
        if isinstance(node, FieldNode):
            yield node.name.value
        elif isinstance(node, FragmentSpreadNode):
            yield from _fields(fragments[node.name.value].selection_set, fragments)
        elif isinstance(node, InlineFragmentNode):
            yield from _fields(node.selection_set, fragments)


def prepare(schema: GraphQLSchema, query: str, name: str | None, variables: dict[str, Any]) -> Operation:
    """Parse, validate, and check the variables. Raises :class:`Refused`."""
    if not query:
        raise Refused([GraphQLError("no operation provided")])
    document = _document(schema, query)
    if isinstance(document, GraphQLSyntaxError):
        raise Refused([document], PARSE_FAILED)
    if isinstance(document, list):
        raise Refused(document)
    node = get_operation_ast(document, name)
    if node is None:
        raise Refused([GraphQLError(f"operation {name or ''} not found")])
    coerced = get_variable_values(schema, node.variable_definitions or (), variables, max_errors=50)
    if isinstance(coerced, list):
        raise Refused(coerced)
    return Operation(schema, document, node, variables)


@lru_cache(maxsize=256)
def _document(schema: GraphQLSchema, query: str) -> DocumentNode | GraphQLSyntaxError | list[GraphQLError]:
    """Clients ask the same text again and again; validating it costs more than answering a small window."""
    try:
        document = parse(query)
    except GraphQLSyntaxError as error:
        return error
    return validate(schema, document) or document


def execute(operation: Operation, asked: ListRequest) -> Answer:
    """The answer to a query, with the rows that could be read when an error comes beside them."""
    result = execute_sync(
        operation.schema,
        operation.document,
        context_value=asked,
        variable_values=operation.variables,
        operation_name=operation.node.name.value if operation.node.name else None,
        executor_class=AnsweringExecutor,
    )
    return answer(result, asked.errors)


def listen(operation: Operation, asked: ListRequest) -> AsyncGenerator[ExecutionResult, None] | ExecutionResult:
    """Start a subscription: a generator of results, or one result of errors. It hears blocks from this call on."""
    started = subscribe(
        operation.schema,
        operation.document,
        context_value=asked,
        variable_values=operation.variables,
        operation_name=operation.node.name.value if operation.node.name else None,
        executor_class=AnsweringExecutor,
    )
    # Awaitable only when a source is a coroutine, and none of ours is.
    return cast("AsyncGenerator[ExecutionResult, None] | ExecutionResult", started)


def answer(result: ExecutionResult, beside: Sequence[GraphQLError] = ()) -> Answer:
    """A result as it goes over the wire; ``beside`` are errors that do not take data away."""
    errors = [error.formatted for error in (*(result.errors or ()), *beside)]
    return {"errors": errors, "data": result.data} if errors else {"data": result.data}


def failure(*errors: dict[str, Any] | str) -> Answer:
    """An answer of nothing but errors."""
    return {"errors": [{"message": error} if isinstance(error, str) else error for error in errors], "data": None}
