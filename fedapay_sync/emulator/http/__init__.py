"""Requests to the API parsed and validated, answers serialized: no state."""
