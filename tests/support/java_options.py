"""Options of the JVM for tests, whose sessions are short."""

# Java's optimizing compiler does not pay off in short sessions. Without it, Java reserves only 48 MB for compiled code.
# A session of many tests would exceed this, so that Java would discard code and compile it again. Spark's bytecode does
# not have to be verified in each session.
JAVA_OPTIONS = (
    "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC"
    " -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
)
