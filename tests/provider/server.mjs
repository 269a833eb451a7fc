// The certified OpenID Provider (npm oidc-provider), configured as a company's authorization server on loopback.
//
//   node server.mjs [--port N] [--access-token-ttl SECONDS] [--no-revocation] [--no-device] [--require-par] [--lenient]
//
// Standard output says {"ready":true,"issuer":…} once it listens. After that every line on standard input is one
// order as JSON, answered by one line of JSON. The process ends when standard input closes, so it never outlives a test.
//
//   {"do":"requests"}                              what was asked so far: route, grant_type, scope, resource, outcome
//   {"do":"secrets"}                               every code and token given out: what a test must find nowhere else
//   {"do":"rule","path":"/token","delay":500}      answer late; delay -1 never answers
//   {"do":"rule","path":"/token","status":500,"body":"…","type":"text/html","times":1}   answer something else
//   {"do":"rule","path":"/token"}                  behave again
//   {"do":"age","seconds":600}                     from now on people signed in that long ago
//   {"do":"acr","value":"urn:example:mfa"}         from now on they signed in by this class; null: no class is told
//   {"do":"down"} / {"do":"up"}                    close the listener and every connection / listen again, same port
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { generateKeyPair, exportJWK } from 'jose';
import { Provider, errors, interactionPolicy } from 'oidc-provider';

// Standard output belongs to the orders; what the provider has to say goes to standard error.
console.log = console.error;
console.info = console.error;

const { values: flags } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    'access-token-ttl': { type: 'string', default: '300' },
    'no-revocation': { type: 'boolean', default: false },
    'no-device': { type: 'boolean', default: false },
    'require-par': { type: 'boolean', default: false },
    lenient: { type: 'boolean', default: false }, // a native client may find its person without a word
  },
});
const accessTokenTtl = Number(flags['access-token-ttl']);

const deviceGrant = 'urn:ietf:params:oauth:grant-type:device_code';

const resources = {
  'https://payments.example.com': 'payments.read payments.write',
  'https://api.example.com': 'api.read',
};
const people = {
  alice: { name: 'Alice Example', email: 'alice@example.com', email_verified: true },
  bob: { name: 'Bob Example', email: 'bob@example.com', email_verified: true },
};

async function signingKey(alg) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(privateKey)), alg, use: 'sig', kid: `test-${alg.toLowerCase()}` };
}

function configuration(keys) {
  const policy = interactionPolicy.base();
  if (flags.lenient) policy.get('consent').checks.remove('native_client_prompt');
  return {
    interactions: { policy },
    jwks: { keys },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    clients: [
      {
        client_id: 'daypass',
        client_name: 'Daypass',
        application_type: 'native',
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code', 'refresh_token', ...(flags['no-device'] ? [] : [deviceGrant])],
        response_types: ['code'],
        redirect_uris: ['http://127.0.0.1/callback', 'http://[::1]/callback'],
        require_auth_time: true,
      },
      {
        // One that has to show a secret, as some providers want it of desktop clients.
        client_id: 'daypass-secret',
        client_secret: 'not confidential: +/=&%',
        application_type: 'native',
        token_endpoint_auth_method: 'client_secret_basic',
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        redirect_uris: ['http://127.0.0.1/callback'],
      },
    ],
    scopes: ['openid', 'offline_access', 'profile', 'email', ...Object.values(resources).flatMap((s) => s.split(' '))],
    claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
    acrValues: ['urn:example:mfa', 'urn:example:phr'],
    conformIdTokenClaims: false, // the ID token carries name and email, as the providers of most companies do
    pkce: { required: () => true },
    rotateRefreshToken: true,
    features: {
      devInteractions: { enabled: true }, // plain sign-in and consent pages; any password
      claimsParameter: { enabled: true },
      revocation: { enabled: !flags['no-revocation'] },
      deviceFlow: { enabled: !flags['no-device'] },
      pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: flags['require-par'] },
      resourceIndicators: {
        enabled: true,
        // Without `resource` at the token endpoint: the opaque token of the issuer itself.
        defaultResource: () => undefined,
        useGrantedResource: () => false,
        getResourceServerInfo(_ctx, resource) {
          const scope = resources[resource];
          if (!scope) throw new errors.InvalidTarget();
          return { audience: resource, scope, accessTokenFormat: 'jwt', accessTokenTTL: accessTokenTtl, jwt: { sign: { alg: 'RS256' } } };
        },
      },
    },
    ttl: {
      AccessToken: accessTokenTtl,
      AuthorizationCode: 60,
      Grant: 86_400,
      IdToken: Math.max(accessTokenTtl, 120),
      Interaction: 600,
      RefreshToken: 86_400,
      Session: 3_600,
    },
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub, ...(people[sub] ?? { name: sub }) }) }),
  };
}

const server = createServer();
server.listen(Number(flags.port), '127.0.0.1');
await once(server, 'listening');
const { port } = server.address();
const issuer = `http://127.0.0.1:${port}`;
const provider = new Provider(issuer, configuration(await Promise.all([signingKey('RS256'), signingKey('ES256')])));

let age = 0;
let acr;
const { authTime } = provider.Session.prototype;
provider.Session.prototype.authTime = function () {
  const at = authTime.call(this);
  return at && at - age;
};
Object.defineProperty(provider.OIDCContext.prototype, 'acr', { get: () => acr });

const requests = [];
const secrets = new Set();
const rules = new Map();

provider.use(async (ctx, next) => {
  await next();
  const { route, params = {} } = ctx.oidc ?? {};
  if (route === 'token' || route === 'revocation') {
    const { grant_type, scope, resource, token_type_hint } = params;
    requests.push({ route, grant_type, scope, resource, token_type_hint, status: ctx.status, error: ctx.body?.error });
  } else if (route === 'authorization' || route === 'pushed_authorization_request' || route === 'device_authorization') {
    const { prompt, max_age, acr_values, resource } = params;
    const carried = Object.keys(ctx.query);
    requests.push({ route, status: ctx.status, error: ctx.body?.error, carried, prompt, max_age, acr_values, resource });
  } else if (route) {
    requests.push({ route, status: ctx.status });
  }
  for (const name of ['code', 'code_verifier', 'device_code', 'refresh_token', 'token']) if (params[name]) secrets.add(params[name]);
  if (route === 'token') {
    for (const name of ['access_token', 'refresh_token', 'id_token']) if (ctx.body?.[name]) secrets.add(ctx.body[name]);
  }
});
provider.on('server_error', (_ctx, error) => console.error('server_error', error));

const answer = provider.callback();
server.on('request', (request, response) => {
  const { pathname } = new URL(request.url, issuer);
  const rule = rules.get(pathname);
  if (!rule) return answer(request, response);
  requests.push({ route: 'rule', path: pathname });
  if (rule.times !== undefined && --rule.times <= 0) rules.delete(pathname);
  const reply = () => {
    if (rule.status === undefined) return answer(request, response);
    response.writeHead(rule.status, { 'content-type': rule.type ?? 'text/plain', ...rule.headers });
    response.end(rule.body ?? '');
  };
  if (rule.delay === -1) return request.resume();
  setTimeout(reply, rule.delay ?? 0);
});

async function obey(order) {
  switch (order.do) {
    case 'requests':
      return { requests };
    case 'secrets':
      return { secrets: [...secrets] };
    case 'rule': {
      const { do: _, path, ...rule } = order;
      if (Object.keys(rule).length === 0) rules.delete(path);
      else rules.set(path, rule);
      return { ok: true };
    }
    case 'age':
      age = order.seconds;
      return { ok: true };
    case 'acr':
      acr = order.value ?? undefined;
      return { ok: true };
    case 'down':
      server.close();
      server.closeAllConnections();
      return { ok: true };
    case 'up':
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
      return { ok: true };
    default:
      return { error: `no such order: ${order.do}` };
  }
}

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
say({ ready: true, issuer });
for await (const line of createInterface({ input: process.stdin })) {
  say(await obey(JSON.parse(line)).catch((error) => ({ error: String(error) })));
}
process.exit(0);
