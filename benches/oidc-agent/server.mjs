// The provider oidc-agent is measured with: the certified npm oidc-provider of tests/provider behind https, because
// oidc-agent wants an https issuer, with one confidential client and one sign-in that is there from the start.
//
//   node server.mjs PROVIDER-FOLDER KEY-FILE CERTIFICATE-FILE
//
// Standard output says {"issuer":…,"client_id":…,"client_secret":…,"redirect_uri":…,"scope":…,"refresh_token":…} once it
// listens. The process ends when standard input closes.
import { createServer } from 'node:https';
import { readFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { once } from 'node:events';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

console.log = console.error;
console.info = console.error;

const [folder, key, cert] = process.argv.slice(2);
const from = createRequire(join(folder, 'package.json'));
const load = (name) => import(pathToFileURL(from.resolve(name)));
const { generateKeyPair, exportJWK } = await load('jose');
const { Provider } = await load('oidc-provider');

const scope = 'openid profile email offline_access';
const redirect = 'http://localhost:4242';
const secret = randomBytes(24).toString('hex');
const { privateKey } = await generateKeyPair('RS256', { extractable: true });

const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) });
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `https://localhost:${server.address().port}`;
const provider = new Provider(issuer, {
  jwks: { keys: [{ ...(await exportJWK(privateKey)), alg: 'RS256', use: 'sig', kid: 'bench' }] },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  clients: [
    {
      client_id: 'bench',
      client_secret: secret,
      application_type: 'native',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      redirect_uris: [redirect],
    },
  ],
  scopes: scope.split(' '),
  rotateRefreshToken: false,
  ttl: { AccessToken: 3600, Grant: 86_400, RefreshToken: 86_400 },
  findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
});
server.on('request', provider.callback());

// What a sign-in in the browser would have left.
const client = await provider.Client.find('bench');
const grant = new provider.Grant({ accountId: 'alice', clientId: client.clientId });
grant.addOIDCScope(scope);
const grantId = await grant.save();
const refresh = await new provider.RefreshToken({
  accountId: 'alice',
  client,
  grantId,
  scope,
  gty: 'authorization_code',
  authTime: Math.floor(Date.now() / 1000),
}).save();

const said = { issuer, client_id: 'bench', client_secret: secret, redirect_uri: redirect, scope, refresh_token: refresh };
process.stdout.write(`${JSON.stringify(said)}\n`);
process.stdin.resume();
await once(process.stdin, 'end');
process.exit(0);
