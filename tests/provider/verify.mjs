// Verifies a minted token as a stranger would: npm jose, the published keys, the claims the verifier expects.
//
//   node verify.mjs ISSUER AUDIENCE        the token on standard input, the claims on standard output
import { createLocalJWKSet, jwtVerify } from 'jose';

const [issuer, audience] = process.argv.slice(2);
let token = '';
for await (const text of process.stdin) token += text;
const keys = await (await fetch(`${issuer}/.well-known/jwks.json`)).json();
const { payload, protectedHeader } = await jwtVerify(token.trim(), createLocalJWKSet(keys), {
  issuer,
  audience,
  algorithms: ['ES256'],
  typ: 'at+jwt',
  requiredClaims: ['sub', 'exp', 'iat', 'nbf', 'jti', 'client_id'],
});
console.log(JSON.stringify({ header: protectedHeader, claims: payload }));
