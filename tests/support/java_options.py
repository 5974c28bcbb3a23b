"""Options of the JVM for tests. Spark's bytecode does not have to be verified in each session."""

# For a session of many tests: Spark plans queries most of the time, and Java's optimizing compiler makes that faster.
LONG_SESSION = "-XX:+UseSerialGC -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"

# For the session of one task, the optimizing compiler does not pay off.
SHORT_SESSION = f"-XX:TieredStopAtLevel=1 {LONG_SESSION}"
