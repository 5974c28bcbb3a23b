"""The encoding in which the JVM reads and writes names of files."""

from collections.abc import MutableMapping


def use_utf8_names(environment: MutableMapping[str, str]) -> None:
    """Give processes a locale with UTF-8, unless they have one.

    The JVM takes its encoding from the locale. Without one, as in a container, it would write `?` for each letter
    beyond ASCII, e.g. in the path of a lake. Python uses UTF-8 then.

    Args:
        environment: Environment of the JVM.
    """
    locale = next((environment[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environment.get(name)), "")
    if "utf" not in locale.lower():
        environment["LC_ALL"] = "C.UTF-8"
