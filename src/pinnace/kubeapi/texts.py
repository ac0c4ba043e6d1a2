"""Makes text of what stands in a request's head, which may be any bytes. Pure."""


def clean(text: str) -> str:
    """Return the text with a sign in place of each byte that is no UTF-8 (aiohttp keeps those as lone surrogates)."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
