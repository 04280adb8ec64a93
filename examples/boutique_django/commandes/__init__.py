"""Les commandes de la boutique."""
