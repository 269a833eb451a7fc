// "The user's browser" of the end-to-end tests: one long-lived headless Chromium that a test tells how to answer.
//
//   node robot.mjs --socket PATH --profile DIR [--chromium PATH]
//
// An address written to the Unix socket PATH (one a connection) is opened in a new tab, as a system browser would do it.
// Standard output says {"ready":true} once the browser is up. Then every line on standard input is one order as JSON,
// answered by one line of JSON; the browser ends when standard input closes.
//
//   {"do":"mode","consent":"today","sign_in":"approve","user":"alice","pictures":"DIR"}
//       consent: once | today | always | deny | ignore | Escape | Enter (a key, at once)     sign_in: approve | deny | ignore
//       pictures: folder for a screenshot of every page of Daypass, or null
//   {"do":"pages"}     every document shown so far: address without its query, status, title, errors, policy violations
//   {"do":"close"}     close every tab
//
// The sandbox is off: only pages on loopback are opened, and the tests also run as root.
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { mkdirSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';

const { values: flags } = parseArgs({
  options: {
    socket: { type: 'string' },
    profile: { type: 'string' },
    chromium: { type: 'string', default: '/usr/bin/chromium' },
  },
});

const mode = { consent: 'ignore', sign_in: 'approve', user: 'alice', pictures: null };
const pages = [];
const gone = /closed|destroyed|detached|navigat|Timeout/i; // a tab that went on while it was looked at

const browser = await chromium.launchPersistentContext(flags.profile, {
  executablePath: flags.chromium,
  headless: true,
  viewport: { width: 720, height: 640 },
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--disable-dev-shm-usage',
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost', // nothing leaves this machine
  ],
});

const bare = (address) => address.replace(/[?#].*$/, '');

/** Does on a freshly loaded page what the person would do. */
async function tend(tab, record) {
  const choice = tab.locator(`form[method=post] button[name=choice][value="${mode.consent}"]`);
  const asks = tab.locator('form[method=post] button[name=choice]');
  if (await tab.locator('input[name=login], input[name=username]').count()) {
    record.kind = 'sign-in';
    if (mode.sign_in === 'deny') return tab.locator('a[href$="/abort"]').click({ noWaitAfter: true });
    if (mode.sign_in !== 'approve') return undefined;
    await tab.fill('input[name=login], input[name=username]', mode.user);
    if (await tab.locator('input[name=password]').count()) await tab.fill('input[name=password]', 'any');
    return tab.locator('button[type=submit]').first().click({ noWaitAfter: true });
  }
  if (await tab.locator('input[name=prompt][value=consent]').count()) {
    record.kind = 'authorization';
    if (mode.sign_in === 'deny') return tab.locator('a[href$="/abort"]').click({ noWaitAfter: true });
    if (mode.sign_in !== 'approve') return undefined;
    return tab.locator('button[type=submit]').first().click({ noWaitAfter: true });
  }
  if (await asks.count()) {
    record.kind = 'consent';
    record.armed_at_once = await asks.last().isEnabled();
    record.text = await tab.locator('body').innerText();
    await picture(tab, 'consent');
    if (mode.consent === 'ignore') return undefined;
    if (['Escape', 'Enter'].includes(mode.consent)) return tab.keyboard.press(mode.consent);
    await tab.waitForTimeout(1200);
    record.armed_later = await asks.last().isEnabled();
    return choice.click({ timeout: 5000, noWaitAfter: true });
  }
  record.text = await tab.locator('body').innerText();
  record.kind = 'page';
  return picture(tab, (record.title || 'page').toLowerCase().replace(/[^a-z0-9]+/g, '-'));
}

async function picture(tab, name) {
  if (!mode.pictures) return;
  mkdirSync(mode.pictures, { recursive: true });
  await tab.screenshot({ path: join(mode.pictures, `${name}.png`) });
}

browser.on('page', (tab) => {
  let record;
  let status;
  const errors = [];
  tab.on('response', (response) => {
    if (response.request().isNavigationRequest() && response.frame() === tab.mainFrame()) status = response.status();
  });
  tab.on('console', (message) => {
    // Chromium asks every site for a favicon by itself; a missing one is no fault of the page.
    if (message.type() === 'error' && !/favicon/.test(message.location().url ?? '')) (record?.errors ?? errors).push(message.text());
  });
  tab.on('pageerror', (error) => (record?.errors ?? errors).push(String(error)));
  tab.on('domcontentloaded', async () => {
    if (!tab.url().startsWith('http')) return;
    record = { url: bare(tab.url()), status, errors: errors.splice(0) };
    const own = record;
    pages.push(own);
    try {
      own.title = await tab.title();
      await tend(tab, own);
    } catch (error) {
      if (!gone.test(error.message)) own.errors.push(error.message.split('\n')[0]);
    }
  });
});

const door = createServer((connection) => {
  let address = '';
  connection.setEncoding('utf8');
  connection.on('data', (text) => {
    address += text;
  });
  connection.on('end', async () => {
    connection.end();
    const tab = await browser.newPage();
    await tab.goto(address.trim()).catch((error) => pages.push({ url: bare(address.trim()), errors: [error.message.split('\n')[0]] }));
  });
  connection.on('error', () => {});
});
door.listen(flags.socket);
await once(door, 'listening');

async function obey({ do: what, ...order }) {
  switch (what) {
    case 'mode':
      Object.assign(mode, order);
      return { ok: true };
    case 'pages':
      return { pages };
    case 'close':
      await Promise.all(browser.pages().map((tab) => tab.close()));
      return { ok: true };
    default:
      return { error: `no such order: ${what}` };
  }
}

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  say(await obey(JSON.parse(line)).catch((error) => ({ error: String(error) })));
}
door.close();
await browser.close();
process.exit(0);
