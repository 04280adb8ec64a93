"""``manage.py fedapay_check|fedapay_parked|fedapay_purge|fedapay_replay|fedapay_worker``."""
