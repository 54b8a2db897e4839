"""An action that posts events to an address."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import httpx

from vidcam.errors import UsageError, VidcamError
from vidcam.live.events import Event

__all__ = ["Webhook"]

POST_S = 10.0


class Webhook:
    """Posts every start and end of an event as JSON.

    Args:
        address: An http:// or https:// URL.
        timeout_s: Seconds that an answer may take.

    Raises:
        UsageError: The address is not an http or https URL.
    """

    def __init__(self, address: str, *, timeout_s: float = POST_S) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"events are posted to an http:// or https:// address, got {address!r}")
        self.address, self.timeout_s = address, timeout_s
        self._public = f"{parts.scheme}://{parts.hostname}{parts.path}"  # without a password or a key
        self.name = f"a post to {self._public}"

    def __call__(self, event: Event) -> None:
        """Post the event. VidcamError if the address cannot be reached or refuses it."""
        body, headers = json.dumps(event.to_json()), {"Content-Type": "application/json"}
        try:
            answer = httpx.post(self.address, content=body, headers=headers, timeout=self.timeout_s, follow_redirects=True)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise VidcamError(f"{self._public} cannot be reached: {error or type(error).__name__}") from error
        if answer.is_error:
            raise VidcamError(f"{self._public} refused the event: {answer.status_code} {answer.reason_phrase}")
