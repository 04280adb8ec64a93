"""``python -m fedapay_sync``, where the command is not on the path."""

from .cli import main

main()
