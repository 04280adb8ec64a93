"""What a person sees of the emulated FedaPay in a browser: the payment page and the payer's phone."""

from .doors import two_doors
from .site import Site

__all__ = ["Site", "two_doors"]
