"""The SIGMA key exchange around an EPID quote, msg0 to msg4, both sides, and the messages after it.

:class:`EnclaveSession` is the platform's side, :class:`ServiceProvider` the relying party's; both are byte strings in
and out. :mod:`fusequote.exchange.tcp` and :mod:`fusequote.exchange.http` carry them.
"""

from fusequote.exchange.channel import Direction, SecureChannel
from fusequote.exchange.enclave import EnclaveSession, Outcome, Quoter
from fusequote.exchange.errors import ExchangeError, Fault
from fusequote.exchange.keys import SessionKeys
from fusequote.exchange.provider import ProviderSession, ServiceProvider

__all__ = [
    "Direction",
    "EnclaveSession",
    "ExchangeError",
    "Fault",
    "Outcome",
    "ProviderSession",
    "Quoter",
    "SecureChannel",
    "ServiceProvider",
    "SessionKeys",
]
