"""``python -m fedapay_sync.cli`` : la commande, où qu'elle soit installée."""

from fedapay_sync.cli import main

main()
