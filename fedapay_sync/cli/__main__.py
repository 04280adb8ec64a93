"""``python -m fedapay_sync.cli``: the command, wherever it is installed."""

from fedapay_sync.cli import main

main()
