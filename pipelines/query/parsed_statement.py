"""The parse tree of a SQL statement, before Spark resolves names or runs anything."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from py4j.java_collections import JavaArray, JavaList
from py4j.java_gateway import JavaObject, is_instance_of
from pyspark.sql import SparkSession


class NodeType(Enum):
    """The kind of a node in a parse tree."""

    PLAN = auto()
    EXPRESSION = auto()
    # Code that creates a plan or an expression later, from a name that is still to be computed.
    CLOSURE = auto()


@dataclass(frozen=True)
class Node:
    """A node in a parse tree.

    Attributes:
        type: Kind of the node.
        name: Name of Spark's class, without its package.
        java: Spark's object.
        parent: The parent node; None for the root.
    """

    type: NodeType
    name: str
    java: Any
    parent: "Node | None"


def parse_statement(spark: SparkSession, statement: str) -> list[Node]:
    """Return all nodes of a SQL statement, at any depth.

    Raises:
        pyspark.errors.ParseException: The text is not one SQL statement.
    """
    return list(_Walk(spark).nodes(spark._jsparkSession.sessionState().sqlParser().parsePlan(statement)))


def elements(sequence: Any) -> list[Any]:
    """Return the elements of a Scala collection or option."""
    iterator = sequence.iterator()
    found = []
    while iterator.hasNext():
        found.append(iterator.next())
    return found


class _Walk:
    """A traversal of Spark's objects: Scala case classes, of which it visits all fields."""

    def __init__(self, spark: SparkSession) -> None:
        self._gateway = spark.sparkContext._gateway
        self._traits: dict[str, str | None] = {}

    def nodes(self, root: Any) -> Iterator[Node]:
        pending: list[tuple[Any, Node | None]] = [(root, None)]
        while pending:
            value, parent = pending.pop()
            if isinstance(value, (JavaArray, JavaList)):
                pending += [(element, parent) for element in value]
            if not isinstance(value, JavaObject):
                continue
            class_name = value.getClass().getName()
            trait = self._trait(value, class_name)
            if (node_type := _NODE_TYPES.get(trait or "")) is not None:
                parent = Node(node_type, class_name.rpartition(".")[2], value, parent)
                yield parent
            if trait == _ITERABLE:
                pending += [(element, parent) for element in elements(value)]
            elif trait in _PRODUCTS:
                pending += [(value.productElement(index), parent) for index in range(value.productArity())]

    def _trait(self, value: JavaObject, class_name: str) -> str | None:
        """Return the first of `_TRAITS` that a value has, or None."""
        if class_name not in self._traits:
            self._traits[class_name] = next(
                (trait for trait in _TRAITS if is_instance_of(self._gateway, value, trait)), None
            )
        return self._traits[class_name]


_PLAN = "org.apache.spark.sql.catalyst.plans.logical.LogicalPlan"
_TREE_NODE = "org.apache.spark.sql.catalyst.trees.TreeNode"
# Data types have many fields, but none that contains a node.
_DATA_TYPE = "org.apache.spark.sql.types.DataType"
# This precedes the functions in `_TRAITS`, because Scala's collections are also functions from index or key to element.
_ITERABLE = "scala.collection.Iterable"
_PRODUCT = "scala.Product"
_FUNCTIONS = tuple(f"scala.Function{arity}" for arity in range(5))
_TRAITS = (_PLAN, _TREE_NODE, _DATA_TYPE, _ITERABLE, _PRODUCT, *_FUNCTIONS)
_PRODUCTS = (_PLAN, _TREE_NODE, _PRODUCT)
_NODE_TYPES = {
    _PLAN: NodeType.PLAN,
    _TREE_NODE: NodeType.EXPRESSION,
    **dict.fromkeys(_FUNCTIONS, NodeType.CLOSURE),
}
