"""The entrypoint of the Spark image.

It runs a Spark executor, or else the given command. Spark's driver starts an executor with the single argument
`executor`, and passes the rest in the environment. The pip distribution of pyspark lacks an entrypoint for this.
"""

import os
import re
import sys
from collections.abc import Mapping

_JAVA_OPTION = re.compile(r"SPARK_JAVA_OPT_(\d+)")


def executor_command(environment: Mapping[str, str]) -> list[str]:
    """Return the command of an executor.

    Args:
        environment: Environment variables of the image and of the driver.
    """
    options = {int(match[1]): environment[match[0]] for match in map(_JAVA_OPTION.fullmatch, environment) if match}
    memory = environment["SPARK_EXECUTOR_MEMORY"]
    return [
        "java",
        *(options[number] for number in sorted(options)),
        *(f"-Xms{memory}", f"-Xmx{memory}"),
        *("-cp", f"{environment['SPARK_HOME']}/jars/*"),
        "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend",
        *("--driver-url", environment["SPARK_DRIVER_URL"]),
        *("--executor-id", environment["SPARK_EXECUTOR_ID"]),
        *("--cores", environment["SPARK_EXECUTOR_CORES"]),
        *("--app-id", environment["SPARK_APPLICATION_ID"]),
        *("--hostname", environment["SPARK_EXECUTOR_POD_IP"]),
        *("--resourceProfileId", environment["SPARK_RESOURCE_PROFILE_ID"]),
        *("--podName", environment["SPARK_EXECUTOR_POD_NAME"]),
    ]


def main() -> None:
    """Replace this process by the command."""
    command = sys.argv[1:]
    if command == ["executor"]:
        command = executor_command(os.environ)
    os.execvp(command[0], command)  # noqa: S606 - replaces this process on purpose


if __name__ == "__main__":
    main()
