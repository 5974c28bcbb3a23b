"""The errors of Google's clients."""

import sys


def google_errors() -> tuple[type[Exception], ...]:
    """Return the base classes of the errors that Google's loaded clients raise.

    The clients take a second to load, so only processes that use them do. Call this function in an `except` clause,
    which is evaluated when an error occurs.
    """
    errors: list[type[Exception]] = []
    if "google.auth" in sys.modules:
        from google.auth.exceptions import GoogleAuthError

        errors.append(GoogleAuthError)
    if "google.api_core" in sys.modules:
        from google.api_core.exceptions import GoogleAPIError

        errors.append(GoogleAPIError)
    if "gcsfs" in sys.modules:
        from gcsfs.retry import HttpError, NonRetryableError

        errors += [HttpError, NonRetryableError]
    return tuple(errors)
