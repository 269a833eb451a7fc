"""Verifies a minted token as a stranger would: PyJWT, the published keys, the claims the verifier expects.

    python3 verify.py ISSUER AUDIENCE       the token on standard input, the claims on standard output
"""

import json
import sys
import urllib.request

import jwt

issuer, audience = sys.argv[1:]
token = sys.stdin.read().strip()
no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
with no_proxy.open(f"{issuer}/.well-known/jwks.json", timeout=10) as answer:
    keys = json.load(answer)["keys"]
header = jwt.get_unverified_header(token)
assert header["typ"] == "at+jwt", header
key = next(k for k in keys if k["kid"] == header["kid"])
claims = jwt.decode(
    token,
    jwt.PyJWK(key).key,
    algorithms=["ES256"],
    audience=audience,
    issuer=issuer,
    options={"require": ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id"]},
)
print(json.dumps({"header": header, "claims": claims}))
