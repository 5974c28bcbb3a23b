"""Read the results of MLflow's searches."""

from collections.abc import Callable, Iterator
from typing import Any


def pages(search: Callable[..., Any], *arguments: Any) -> Iterator[Any]:
    """Yield the results of a search, page by page.

    Args:
        search: Method of MLflow's client that returns a page.
        *arguments: Its arguments but the token of the page.
    """
    token: str | None = None
    while True:
        page = search(*arguments, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
