"""Who is calling: a JWT with roles, signed with our secret or by an OIDC provider."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import jwt
from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from libs.runtime.http import Problem
from libs.runtime.settings import ServiceSettings

ROLES = frozenset({"operator", "reviewer", "picker", "sre"})
ISSUER = "ordo"
AUDIENCE = "ordo"
LEEWAY_S = 10
SUBJECT_LIMIT = 200


@dataclass(frozen=True)
class Caller:
    """An authenticated caller; a picker is bound to one `warehouse`."""

    subject: str
    roles: frozenset[str]
    warehouse: str | None = None


class Auth:
    """Checks tokens. Local tokens are HS256 under `ORDO_JWT_SECRET`; an OIDC issuer's are RS256 or ES256."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._secret = settings.jwt_secret
        self._oidc_issuer = settings.oidc_issuer
        self._oidc_audience = settings.oidc_audience
        self._keys = jwt.PyJWKClient(settings.oidc_jwks_url, timeout=5) if settings.oidc_jwks_url else None

    def require(self, *roles: str) -> Callable[..., Awaitable[Caller]]:
        """Return a FastAPI dependency that admits callers with one of `roles`."""
        unknown = set(roles) - ROLES
        assert not unknown, f"no such roles: {unknown}"
        bearer = HTTPBearer(auto_error=False, description="python -m libs.runtime token --role ...")

        async def check(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> Caller:
            if credentials is None:
                raise Problem(401, "a bearer token is needed")
            caller = await self.caller(credentials.credentials)
            if not caller.roles & set(roles):
                raise Problem(403, "your roles do not allow this", needed=sorted(roles))
            return caller

        return check

    async def caller(self, token: str) -> Caller:
        """Return who a token speaks for; raises Problem 401."""
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") == "HS256" and self._secret:
                claims = jwt.decode(
                    token, self._secret, ["HS256"], audience=AUDIENCE, issuer=ISSUER, leeway=LEEWAY_S,
                    options={"require": ["exp", "sub"]},
                )  # fmt: skip
            elif self._keys is not None:
                key = await asyncio.to_thread(self._keys.get_signing_key_from_jwt, token)
                claims = jwt.decode(
                    token, key.key, ["RS256", "ES256"], audience=self._oidc_audience, issuer=self._oidc_issuer,
                    leeway=LEEWAY_S, options={"require": ["exp", "sub"]},
                )  # fmt: skip
            else:
                raise Problem(401, "the token's algorithm is not accepted")
        except (jwt.PyJWTError, ValueError, UnicodeError) as error:
            raise Problem(401, "the token is not valid", type(error).__name__) from error
        subject, roles, warehouse = claims["sub"], claims.get("roles"), claims.get("warehouse")
        if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_LIMIT or not isinstance(roles, list):
            raise Problem(401, "the token names no subject or no roles")
        if warehouse is not None and not isinstance(warehouse, str):
            raise Problem(401, "the token's warehouse is not a text")
        if not subject.isprintable() or not (warehouse or "").isprintable() or len(warehouse or "") > SUBJECT_LIMIT:
            raise Problem(401, "the token's subject or warehouse is not a plain text")
        return Caller(subject, frozenset(str(role) for role in roles) & ROLES, warehouse)


def make_token(
    secret: str, *, subject: str, roles: list[str], warehouse: str | None, now: datetime, lifetime: timedelta
) -> str:
    """Return a signed local token."""
    unknown = set(roles) - ROLES
    if unknown:
        raise ValueError(f"no such role: {', '.join(sorted(unknown))}; there are {', '.join(sorted(ROLES))}")
    if "picker" in roles and not warehouse:
        raise ValueError("a picker is bound to a warehouse: name it")
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "roles": roles, "iat": now, "exp": now + lifetime}
    if warehouse:
        claims["warehouse"] = warehouse
    return jwt.encode(claims, secret, algorithm="HS256")
