"""``python -m fedapay_sync``, where the command is not on the path."""

from fedapay_sync.cli import main

main()
