"""The secret of a shop, and whether it is the one that its ledger of erasures was written with."""

from __future__ import annotations

from recsys.errors import Unavailable
from serving.erasure.ledger import Ledger
from serving.settings import ServingSettings
from serving.state.keys import Secret, StateKeys


def keys_of(settings: ServingSettings) -> StateKeys:
    """Return what makes the keys of a shop; its secret is made at the first start.

    Raises Unavailable (SECRET_LOST) where the ledger was written with another one, or names
    somebody and there is none: its hashes would match nobody, and let back in who was erased.
    """
    file, ledger = settings.secret_file, Ledger(settings.erasure_ledger_file)
    if ledger.entries() and not file.exists():
        raise _lost(settings, "is gone that")
    keys = StateKeys(Secret.load_or_create(file))
    if not ledger.is_of(keys):
        raise _lost(settings, "is another than that")
    return keys


def _lost(settings: ServingSettings, what: str) -> Unavailable:
    ledger = settings.erasure_ledger_file
    return Unavailable(
        f"the secret {settings.secret_file} {what} the ledger of erasures {ledger} was "
        "written with: nobody in it can be told any more, and who was erased could come back. Put "
        "the secret back from a backup. Where it is lost for good, move the ledger away, start "
        "again, and erase anew whoever a restored backup may hold",
        reason="SECRET_LOST",
        metadata={"secret": str(settings.secret_file), "ledger": str(ledger)},
    )
