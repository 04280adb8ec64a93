"""Reads HTTP requests for waitress, with an exact limit for bodies and an answer for every Content-Length."""

from typing import Any

from waitress.parser import HTTPRequestParser, ParsingError  # type: ignore[import-untyped,unused-ignore]
from waitress.utilities import RequestEntityTooLarge  # type: ignore[import-untyped,unused-ignore]

#: waitress counts what stands between chunks as well: with chunks of one byte each, six bytes for one of the body.
_FRAMING = 8


def limit_bodies(adjustments: Any, max_body: int) -> None:
    """Admit bodies of so many bytes: waitress alone refuses the last of them, and counts what is between chunks."""
    adjustments.admitted_body = max_body
    adjustments.max_request_body_size = _FRAMING * max_body + 1


class RequestParser(HTTPRequestParser):  # type: ignore[misc,unused-ignore]
    """One request. Its limit for the body is what ``limit_bodies`` has set."""

    def received(self, data: bytes) -> int:
        """Take in what has come; the number of bytes that belong to this request."""
        consumed: int = super().received(data)
        if self.error is None and self.body_rcv is not None:
            size = max(self.content_length, len(self.body_rcv))
            if size > self.adj.admitted_body:
                self._refuse_body()
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Read the head. An exception that waitress does not expect would end the connection without an answer."""
        try:
            super().parse_header(header_plus)
        except ValueError:
            # Python refuses to read a number of more than 4300 digits.
            if not self.headers.get("CONTENT_LENGTH", "").isdigit():
                raise ParsingError("HTTP message header invalid") from None
            self._refuse_body()

    def _refuse_body(self) -> None:
        self.error = RequestEntityTooLarge(f"exceeds max_body of {self.adj.admitted_body}")
        self.completed = True
