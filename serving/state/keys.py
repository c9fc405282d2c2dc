"""Ids as keyed hashes: the one place where what Redis may see is made."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import NewType, Self

from recsys.customers import KINDS_OF_EVENTS, Identifier, IdKind
from recsys.errors import InvalidInput, Unavailable
from recsys.events import Event
from recsys.query import Query
from serving.disk import make_private, synced

StateKey = NewType("StateKey", str)
"""Where one customer's state is kept: prefix, format, and the hashed id as a cluster's hash tag."""

ProfileKey = NewType("ProfileKey", str)
"""Where the profile of one customer's id is kept: beside its state, in the same slot."""

ListKey = NewType("ListKey", str)
"""Where a list that was answered is kept for a while: it says nothing of whoever asked for it."""

FORMAT = 3
"""What the bytes behind keys are: `UserState.to_bytes` and `StoredProfile.to_bytes`, one each.

It is part of every key, so that a server of another format never takes foreign bytes for its own:
it finds no mark either, and fills its own keys from log and lake. Those of older formats expire,
and a rebuild removes them.
"""

SECRET_BYTES = 32
HASH_BYTES = 16

_PROFILE = ":profile"


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """The key of all hashed ids of one installation: 32 random bytes, in no log and no repr.

    Whoever loses it loses the state of every customer, since no key can be found again.
    """

    value: bytes

    def __post_init__(self) -> None:
        if len(self.value) != SECRET_BYTES:
            raise ValueError(f"a secret of {len(self.value)} bytes, wanted {SECRET_BYTES}")

    @classmethod
    def load_or_create(cls, path: Path) -> Self:
        """Return the secret in this file, made at the first start, readable by its owner alone.

        Processes that race all return the same one. Raises Unavailable when the file is damaged
        or cannot be read or written.
        """
        with _explained(path):
            if not path.exists():
                _create(path)
            return cls._checked(path.read_bytes(), path)

    @classmethod
    def _checked(cls, value: bytes, path: Path) -> Self:
        if len(value) == SECRET_BYTES:
            return cls(value)
        raise Unavailable(
            f"{path} holds {len(value)} bytes, wanted {SECRET_BYTES}: put the file back from a "
            "backup; a new one would orphan the state of every customer",
            reason="SECRET_DAMAGED",
        )


@dataclass(frozen=True, slots=True)
class StateKeys:
    """Makes the keys of one shop.

    prefix: of every key, so that shops can share one Redis; without braces.
    """

    secret: Secret
    prefix: str = "recsys:"

    def __post_init__(self) -> None:
        if not self.prefix.isprintable() or set(self.prefix) & set("{}"):
            raise InvalidInput("redis_key_prefix", self.prefix, "printable text without braces")

    def customer(self, kind: IdKind, external_id: str) -> StateKey:
        """Return the key of whoever has this id of this kind."""
        key, person = self.secret.value, kind.value.encode()
        hashed = blake2b(external_id.encode(), digest_size=HASH_BYTES, key=key, person=person)
        return StateKey(f"{self.prefix}{FORMAT}:{{{hashed.hexdigest()}}}")

    def of(self, identifier: Identifier) -> StateKey:
        """Return the key of whoever has this identifier."""
        return self.customer(identifier.kind, identifier.value)

    def of_hash(self, hashed: bytes) -> StateKey:
        """Return the key with this hashed id."""
        return StateKey(f"{self.prefix}{FORMAT}:{{{hashed.hex()}}}")

    @property
    def check(self) -> bytes:
        """16 bytes that another secret would make otherwise, and that tell nothing of this one."""
        key = self.secret.value
        return blake2b(b"recsys", digest_size=HASH_BYTES, key=key, person=b"check").digest()

    def of_event(self, event: Event) -> StateKey:
        """Return the one key an event is applied under: its most durable id's."""
        return self.customer(*most_durable(event))

    def of_query(self, query: Query) -> tuple[StateKey, ...]:
        """Return the keys of every id a query gives, the most durable first; perhaps none."""
        ids = zip(KINDS_OF_EVENTS, (query.user_id, query.visitor_id, query.session_id), strict=True)
        return tuple(self.customer(kind, given) for kind, given in ids if given)

    def shared(self, name: str) -> str:
        """Return the key of a value that belongs to no customer."""
        return f"{self.prefix}{FORMAT}:{name}"

    def listed(self, token: str) -> ListKey:
        """Return the key of the list behind an attribution token."""
        key = self.secret.value
        hashed = blake2b(token.encode(), digest_size=HASH_BYTES, key=key, person=b"list")
        return ListKey(self.shared(f"list:{hashed.hexdigest()}"))

    @property
    def pattern(self) -> str:
        """What the keys of all customers match in Redis, of whatever format, and few others."""
        escaped = re.sub(r"([\\*?\[\]^-])", r"\\\1", self.prefix)
        return f"{escaped}*{{*}}"

    @property
    def profile_pattern(self) -> str:
        """What the keys of all profiles match in Redis."""
        return self.pattern + _PROFILE

    def is_customer(self, key: str) -> bool:
        """Return whether this is the key of a customer of this shop, in this format or an older."""
        named = re.fullmatch(r"(?:(\d+):)?\{[0-9a-f]{32}\}", key.removeprefix(self.prefix))
        if named is None or not key.startswith(self.prefix):
            return False
        return int(named[1] or 1) <= FORMAT

    def is_profile(self, key: str) -> bool:
        """Return whether this is the key of a profile of this shop, in this format or an older."""
        return key.endswith(_PROFILE) and self.is_customer(key.removesuffix(_PROFILE))


def profile_key(key: StateKey) -> ProfileKey:
    """Return where the profile beside a state is kept."""
    return ProfileKey(key + _PROFILE)


def hash_in(key: StateKey) -> bytes:
    """Return the hashed id that a key is made of."""
    return bytes.fromhex(key[-1 - 2 * HASH_BYTES : -1])


def most_durable(event: Event) -> tuple[IdKind, str]:
    """Return the id an event counts for: the user's, else the visitor's, else the session's."""
    if event.user_id:
        return IdKind.USER, event.user_id
    if event.visitor_id:
        return IdKind.VISITOR, event.visitor_id
    if event.session_id:
        return IdKind.SESSION, event.session_id
    raise ValueError("an event of nobody: it has no user_id, visitor_id or session_id")


def _create(path: Path) -> None:
    """Put a new secret at the path, whole and durable, unless another process was first."""
    make_private(path.parent)
    written = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write_durably(written, secrets.token_bytes(SECRET_BYTES))
        with suppress(FileExistsError):  # another process was first: its secret counts
            os.link(written, path)
    finally:
        written.unlink(missing_ok=True)
    synced(path.parent)


def _write_durably(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"the secret {path} cannot be used ({error}): check the data folder's owner"
        raise Unavailable(message, reason="SECRET_UNAVAILABLE") from error
