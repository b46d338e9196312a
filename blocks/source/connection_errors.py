"""Why an endpoint could not be reached, in words that come from the operating system and not from a URL.

The texts of urllib3's and websockets' own errors may hold the address with its credentials, so of these only the names
are used.
"""

from collections.abc import Iterator

from gql.transport.exceptions import TransportError
from websockets.exceptions import ConnectionClosed, InvalidProxyStatus, InvalidStatus


def describe(error: BaseException) -> str:
    """The names of an error and of its innermost cause, and the text of the innermost one that has a safe text."""
    chain = list(_chain(error))
    names = dict.fromkeys([type(error).__name__, type(chain[-1]).__name__])
    text = next((text for each in reversed(chain) if (text := _text(each))), "")
    return ": ".join([*names, text] if text else names)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, what it wraps, what that wraps, and so on: urllib3 wraps in arguments, others by `raise … from`."""
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen:
        seen.append(following)
        yield following
        wrapped = [argument for argument in following.args if isinstance(argument, BaseException)]
        following = wrapped[0] if wrapped else following.__cause__


def _text(error: BaseException) -> str:
    if isinstance(error, InvalidProxyStatus):
        return f"the proxy answered HTTP {error.response.status_code}"
    if isinstance(error, InvalidStatus):
        return f"HTTP {error.response.status_code}"
    return str(error) if isinstance(error, OSError | TransportError | ConnectionClosed) else ""
