"""HTTP to FedaPay: one call, bounded in time, repeated only where that is safe."""

from fedapay_sync.transport.transport import Transport as Transport
