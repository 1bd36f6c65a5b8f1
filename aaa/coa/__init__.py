"""CoA- and Disconnect-Requests towards the NAS (RFC 5176): send, retransmit, verify, and say what came of it."""

from aaa.coa.client import CoaClient, Outcome, OutcomeKind, Target
from aaa.coa.error_cause import ErrorCause

__all__ = ["CoaClient", "ErrorCause", "Outcome", "OutcomeKind", "Target"]
