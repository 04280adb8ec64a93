"""``python -m fedapay_sync.cli`` : la commande, où qu'elle soit installée."""

from . import main

main()
