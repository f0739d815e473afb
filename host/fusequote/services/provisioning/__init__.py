"""The provisioning server, without its transport: whole messages in, whole messages out."""

from fusequote.services.provisioning.keys import ProvisioningKeys, load_provisioning_keys
from fusequote.services.provisioning.members import Members
from fusequote.services.provisioning.server import ProvisioningServer

__all__ = ["Members", "ProvisioningKeys", "ProvisioningServer", "load_provisioning_keys"]
