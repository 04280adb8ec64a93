"""The flow of a payment: asked for, waited for, told by webhooks, reconciled with FedaPay."""
