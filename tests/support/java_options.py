"""Options of the JVM for tests. Spark's bytecode does not have to be verified in each session."""

_ANY_SESSION = "-XX:+UseSerialGC -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"

# For a session of many tests: Spark plans queries most of the time, and Java's optimizing compiler makes that faster.
# But with its default thresholds, compiling takes more processor time than planning. Delta keeps the plans of 10,000
# tables for an hour: those of a hundred lakes fill the heap, and collecting garbage takes most of the time then.
LONG_SESSION = (
    f"{_ANY_SESSION} -XX:Tier4InvocationThreshold=20000 -XX:Tier4MinInvocationThreshold=2400"
    " -XX:Tier4CompileThreshold=60000 -XX:Tier4BackEdgeThreshold=160000"
    " -Dspark.databricks.delta.delta.log.cacheSize=100"
)

# For the session of one task, the optimizing compiler does not pay off.
SHORT_SESSION = f"-XX:TieredStopAtLevel=1 {_ANY_SESSION}"
