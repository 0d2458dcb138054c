"""Say how a connection ended, in the same words for all devices."""


def how_ended(error: Exception | None, by: str) -> str:
    """Return how a connection with the other side (`by`) ended, from what its socket reported."""
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return f"the connection was reset by {by} or by the network"
    if isinstance(error, TimeoutError):
        return "the connection was lost: the network took nothing any more"
    if error is not None and not isinstance(error, ConnectionError):
        return f"the connection was lost: {error}"
    return f"the connection was closed by {by}"
