"""Accept only statements that read: each node of the parse tree must be in a list of allowed nodes.

This prevents accidents. It does not control access: for that, use credentials that can only read the lake.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pyspark.sql import SparkSession

from components.errors import InputError
from pipelines.query.parsed_statement import Node, NodeType, elements

_QUERIES = """
    Aggregate Distinct Except Filter Generate GlobalLimit Intersect Join LateralJoin LimitAll LocalLimit LocalRelation
    Offset OneRowRelation PipeOperator Pivot Project RelationTimeTravel Repartition RepartitionByExpression Sample Sort
    SubqueryAlias Union Unpivot UnresolvedHaving UnresolvedHint UnresolvedInlineTable UnresolvedQualify
    UnresolvedRelation UnresolvedSubqueryColumnAliases UnresolvedTVFAliases UnresolvedTableValuedFunction
    UnresolvedWith WithWindowDefinition
"""
_STATEMENTS = """
    DescribeColumn DescribeDeltaDetailCommand DescribeDeltaHistory DescribeFunction DescribeNamespace
    DescribeQueryCommand DescribeRelation DescribeRelationJsonCommand ExplainCommand ShowCatalogsCommand
    ShowCollationsCommand ShowColumns ShowCreateTable ShowCurrentNamespaceCommand ShowFunctions ShowNamespacesCommand
    ShowPartitions ShowTableProperties ShowTables ShowTablesExtended ShowViews
"""
# Nodes for the objects of these statements, e.g. tables.
_NAMES = """
    CurrentNamespace$ UnresolvedFunctionName UnresolvedNamespace UnresolvedPathBasedDeltaTable UnresolvedPathBasedTable
    UnresolvedTable UnresolvedTableOrView
"""
_ALLOWED_PLANS = frozenset(f"{_QUERIES} {_STATEMENTS} {_NAMES}".split())

# Spark's built-in functions that can call any Java method or read any file, e.g. a schema by its URL.
_REFUSED_FUNCTION_CLASSES = frozenset(
    f"org.apache.spark.sql.catalyst.expressions.{name}"
    for name in ("CallMethodViaReflection", "FromAvro", "FromProtobuf", "SchemaOfAvro", "ToProtobuf", "TryReflect")
)
_BUILT_IN = "built-in"
_BUILT_IN_NAMESPACES = ((), ("builtin",), ("system", "builtin"))
# The only format that can be read by path: `delta.<path>`. Others could read any file of this machine.
_DELTA = "delta"


def check_read_only(spark: SparkSession, nodes: Iterable[Node]) -> None:
    """Require that a statement changes nothing and runs no external code.

    Args:
        spark: The session that will run it.
        nodes: All nodes of the parsed statement.

    Raises:
        InputError: A node is not allowed.
    """
    catalog = spark._jsparkSession.sessionState().catalog()
    for node in nodes:
        if node.type is NodeType.CLOSURE or node.name == "PlanWithUnresolvedIdentifier":
            raise _refused("IDENTIFIER(...) is not supported", "Write the name itself.")
        if node.type is NodeType.PLAN and node.name not in _ALLOWED_PLANS:
            kind = node.name.removesuffix("Command").removesuffix("Statement").removesuffix("$")
            raise _refused(f"{kind} is refused", "Use SELECT, WITH, SHOW, DESCRIBE or EXPLAIN.")
        if (names_of := _TABLE_NAMES.get(node.name)) is not None:
            _check_table(names_of(node.java))
        if (names_of := _FUNCTION_NAMES.get(node.name)) is not None:
            _check_function(catalog, names_of(node.java))


def _refused(reason: str, remedy: str) -> InputError:
    return InputError(f"query: only statements that read are allowed; {reason}. {remedy}")


def _check_table(names: list[str]) -> None:
    if len(names) > 1 and names[0].lower() != _DELTA:
        raise _refused(
            f"'{'.'.join(names)}' is not a table of the lake",
            "SHOW TABLES lists the tables. Read other Delta tables as delta.`URI`.",
        )


def _check_function(catalog: Any, names: list[str]) -> None:
    """Refuse functions that are not built in, run code or open files.

    Spark itself reports unknown functions.
    """
    *namespace, name = names
    found = [catalog.lookupBuiltinOrTempFunction(name), catalog.lookupBuiltinOrTempTableFunction(name)]
    infos = [option.get() for option in found if option.isDefined()]
    is_allowed = tuple(part.lower() for part in namespace) in _BUILT_IN_NAMESPACES and all(
        info.getSource() == _BUILT_IN and info.getClassName() not in _REFUSED_FUNCTION_CLASSES for info in infos
    )
    if not is_allowed:
        raise _refused(f"function {'.'.join(names)} is refused", "Leave it out.")


_TABLE_NAMES: Mapping[str, Callable[[Any], list[str]]] = {
    name: lambda node: elements(node.multipartIdentifier())
    for name in ("UnresolvedRelation", "UnresolvedTable", "UnresolvedTableOrView")
}
_FUNCTION_NAMES: Mapping[str, Callable[[Any], list[str]]] = {
    "UnresolvedFunction": lambda node: elements(node.nameParts()),
    "UnresolvedGenerator": lambda node: [node.name().funcName()],
    "UnresolvedTableValuedFunction": lambda node: elements(node.name()),
}
