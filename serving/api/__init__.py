"""The gRPC face of the service: wire messages to domain values and back, errors to statuses."""
