"""The emulator's keys and webhook secrets, printed in its documentation: everybody has them, they protect nothing."""

#: Clé secrète de l'émulateur, règles du sandbox. Publique : elle n'ouvre rien d'autre.
SANDBOX_SECRET_KEY = "sk_sandbox_emulateur_fedapay_sync"
#: Clé secrète de l'émulateur, règles de production.
LIVE_SECRET_KEY = "sk_live_emulateur_fedapay_sync"
#: Secret des webhooks de l'émulateur, règles du sandbox.
SANDBOX_WEBHOOK_SECRET = "wh_sandbox_emulateur_fedapay_sync"
#: Secret des webhooks de l'émulateur, règles de production.
LIVE_WEBHOOK_SECRET = "wh_live_emulateur_fedapay_sync"

PUBLISHED_KEYS = frozenset({SANDBOX_SECRET_KEY, LIVE_SECRET_KEY})
PUBLISHED_SECRETS = frozenset({SANDBOX_WEBHOOK_SECRET, LIVE_WEBHOOK_SECRET})
