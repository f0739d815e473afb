"""The remote parties, without any transport: provisioning server, attestation service, roots and store."""
