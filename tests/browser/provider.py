"""A small OpenID provider on this machine, with a key of its own; it can be told to cheat."""

import threading
import time
from urllib.parse import urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.routing import Route

CLIENT, SECRET = "headlamp", "a-secret-of-the-client"


class Provider:
    """Signs in whoever `person` is, at once; `cheat` changes claims, `key` signs."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.own_key = self.key = RSAKey.generate_key(2048, {"kid": "k1"})
        self.person: dict[str, object] = {}
        self.cheat: dict[str, object] = {}
        self.codes: dict[str, str] = {}  # code -> nonce
        routes = [
            Route("/.well-known/openid-configuration", self.about),
            Route("/authorize", self.authorize),
            Route("/token", self.token, methods=["POST"]),
            Route("/jwks", self.keys),
            Route("/end", self.end),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes), host="127.0.0.1", port=port, log_level="warning"
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        end = time.monotonic() + 10
        while not self.server.started:
            assert time.monotonic() < end, "the provider did not start"
            time.sleep(0.02)

    def close(self) -> None:
        """Stop serving."""
        self.server.should_exit = True
        self.thread.join(10)

    def be(self, email: str, **claims: object) -> None:
        """The next sign-in is this person's, and honest."""
        self.cheat, self.key = {}, self.own_key
        self.person = {"sub": f"sub-of-{email}", "email": email, "email_verified": True, **claims}

    async def about(self, request: Request) -> JSONResponse:
        ends = {
            "authorization_endpoint": "authorize",
            "token_endpoint": "token",
            "jwks_uri": "jwks",
            "end_session_endpoint": "end",
        }
        more = {name: f"{self.url}/{path}" for name, path in ends.items()}
        algorithms = {"id_token_signing_alg_values_supported": ["RS256"]}
        pkce = {"code_challenge_methods_supported": ["S256"]}
        return JSONResponse({"issuer": self.url, **more, **algorithms, **pkce})

    async def authorize(self, request: Request) -> RedirectResponse:
        asked = request.query_params
        code = f"code{len(self.codes)}"
        self.codes[code] = asked["nonce"]
        back = urlencode({"code": code, "state": asked["state"]})
        return RedirectResponse(f"{asked['redirect_uri']}?{back}", 302)

    async def token(self, request: Request) -> JSONResponse:
        sent = await request.form()
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": self.codes.pop(sent["code"]),
            **self.person,
            **self.cheat,
        }
        signed = jwt.encode({"alg": "RS256", "kid": "k1"}, claims, self.key)
        return JSONResponse(
            {"access_token": "t", "token_type": "Bearer", "expires_in": 300, "id_token": signed}
        )

    async def keys(self, request: Request) -> JSONResponse:
        return JSONResponse({"keys": [self.own_key.as_dict(private=False)]})

    async def end(self, request: Request) -> PlainTextResponse | RedirectResponse:
        back = request.query_params.get("post_logout_redirect_uri", "")
        return RedirectResponse(back, 302) if back else PlainTextResponse("signed out")
