import { createHash, randomBytes } from 'node:crypto';
import { type Answer, type Handler, handlerOf, methodNotAllowed, plainText, toLook } from '../http/answer.js';
import type { RegistryMaps } from '../maps/collection-types.js';
import { partsOf } from '../registry/internals.js';
import type { Registry } from '../registry/registry.js';
import {
  bearsPass,
  bearsToken,
  cookieFor,
  isSameSecret,
  type Origin,
  whyForeign,
  whyNotLocal,
} from './access.js';
import { act } from './actions.js';
import { type Form, isCutOff, readForm } from './form.js';
import { maskedKeys, shownKeys } from './keys.js';
import { type PageOptions, type PageRequest, readPageOptions, type StatusPageOptions } from './options.js';
import { pageHtml, tokenHtml } from './page-html.js';
import { type PageQuery, readQuery, searchOf } from './query.js';
import { script } from './script.js';
import { style } from './style.js';
import { textOf } from './text.js';
import { type PageView, type Viewer, viewOf } from './view.js';

export type { PageRequest, StatusPageOptions };

/**
 * A page that shows how a registry is doing, to whoever is on call: `createServer(statusPage(registry))` of `node:http`,
 * `app.use('/mapsweep', handler)` of Express, `fastify.all('/mapsweep', handler)` with `fastify.all('/mapsweep/*',
 * handler)`. `report.json` and `report.txt` beside it say the same.
 *
 * Without a `token` or an `authorize` it answers only this machine. It looks at the registry when it is asked, and does
 * nothing in between.
 *
 * @throws MapsweepTypeError or MapsweepRangeError if an argument is wrong
 */
export function statusPage<M extends RegistryMaps>(
  registry: Registry<M>,
  options: StatusPageOptions = {},
): Handler<PageRequest> {
  const parts = partsOf(registry);
  const read = readPageOptions(options);
  // Of this handler alone, so that nobody can guess the key of an ending from its handle.
  const salt = randomBytes(16);
  const viewer: Viewer = {
    parts,
    keys: read.isMasked ? maskedKeys : shownKeys,
    // As JSON, in which no two texts are the same, also such as have halves of a pair in them.
    handleOf: ({ recipient, id }) =>
      createHash('sha256')
        .update(salt)
        .update(JSON.stringify([recipient, id]))
        .digest('base64url'),
  };
  const page = new StatusPage(registry as unknown as Registry, viewer, read);
  return handlerOf((request) => page.answer(request), [...toLook, 'POST']);
}

/** What forms are sent to, by POST. */
const posted = ['token', 'find', 'redeliver', 'sweep'];

/** As a browser is told to keep it: nothing runs or is loaded but what comes from here, and nobody frames it. */
const pageHeaders = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  // With `no-referrer` a form would be sent with the origin `null`.
  'Referrer-Policy': 'same-origin',
};

class StatusPage {
  readonly #registry: Registry;
  readonly #viewer: Viewer;
  readonly #options: PageOptions;

  constructor(registry: Registry, viewer: Viewer, options: PageOptions) {
    this.#registry = registry;
    this.#viewer = viewer;
    this.#options = options;
  }

  async answer(request: PageRequest): Promise<Answer> {
    const { statusCode, headers, body } = await this.#route(request);
    return { statusCode, headers: { ...pageHeaders, ...headers }, body };
  }

  async #route(request: PageRequest): Promise<Answer> {
    const { last, search, base } = placeOf(request);
    const isPost = request.method === 'POST';
    const isTaken = posted.includes(last) || (last === '' && this.#options.token !== undefined);
    if (isPost && !isTaken) return methodNotAllowed(toLook);
    const origin = { remoteAddress: request.socket?.remoteAddress, headers: request.headers };
    const refusal = this.#whyRefused(origin) ?? whyForeign(origin, isPost);
    if (refusal !== undefined) return refused(refusal);
    if (last === 'page.css') return text(style, 'text/css');
    if (last === 'page.js') return text(script, 'text/javascript');
    if (last === 'favicon.ico') return { statusCode: 404, headers: plainText, body: 'There is none\n' };
    // The form for it is sent to the page itself, whose address is left in the browser.
    if (last === 'token' || (isPost && last === '')) return this.#takeToken(request);
    if (!(await this.#isAuthorized(request, origin))) {
      const isPage = !isPost && !last.startsWith('report.');
      if (this.#options.token === undefined) return refused('you may not see this');
      return isPage
        ? page(tokenHtml(base, false).text, 401)
        : { ...refused('the token is missing or wrong'), statusCode: 401 };
    }
    const query = readQuery(search);
    if (isPost) return this.#act(request, last, query);
    const view = viewOf(this.#viewer, query);
    if (last === 'report.json') return text(`${jsonOf(view)}\n`, 'application/json');
    if (last === 'report.txt') return text(textOf(view, query), 'text/plain');
    const { refreshMs, mayAct } = this.#options;
    return page(pageHtml(view, query, { base, refreshMs, mayAct }).text);
  }

  #whyRefused(origin: Origin): string | undefined {
    const { token, authorize } = this.#options;
    if (token !== undefined || authorize !== undefined) return undefined;
    const why = whyNotLocal(origin);
    return why && `without a token only this machine is answered, and ${why}`;
  }

  async #isAuthorized(request: PageRequest, origin: Origin): Promise<boolean> {
    const { token, authorize } = this.#options;
    if (token !== undefined) return bearsPass(origin, token) || bearsToken(origin, token);
    if (authorize === undefined) return true;
    try {
      return (await authorize(request)) === true;
    } catch {
      return false;
    }
  }

  async #takeToken(request: PageRequest): Promise<Answer> {
    const { token } = this.#options;
    if (token === undefined) return refused('there is no token');
    const form = await readForm(request);
    if (form === undefined) return tooLong(request);
    if (!isSameSecret(form.get('token') ?? '', token)) return page(tokenHtml('./', true).text, 401);
    return {
      ...seeOther(''),
      headers: { ...seeOther('').headers, 'Set-Cookie': cookieFor(token, isEncrypted(request)) },
    };
  }

  async #act(request: PageRequest, what: string, query: PageQuery): Promise<Answer> {
    if (what !== 'find' && !this.#options.mayAct) return refused('nothing can be changed here');
    const form: Form | undefined = await readForm(request);
    if (form === undefined) return tooLong(request);
    const next = await act(this.#registry, this.#viewer, { what, map: query.map, form });
    return seeOther(searchOf({ ...query, ...next }));
  }
}

/** As JSON, in which nothing moves the cursor of a terminal or reverses what follows. */
const jsonOf = (view: PageView): string =>
  JSON.stringify(view).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  );

interface Place {
  /** The last part of the path, which says what is asked for; anything else is the page. */
  readonly last: string;
  readonly search: string;
  /** The folder of the page, relative to the address. */
  readonly base: string;
}

const files = [...posted, 'page.css', 'page.js', 'report.json', 'report.txt', 'favicon.ico'];

function placeOf({ method, originalUrl, url }: PageRequest): Place {
  const [path = '', search = ''] = (originalUrl ?? url ?? '').split(/\?(.*)/s);
  const end = path.slice(path.lastIndexOf('/') + 1);
  // What only takes forms may also be where the page itself is mounted.
  const last = method !== 'POST' && posted.includes(end) ? '' : end;
  // The page itself may be asked for without a slash at its end, and then its folder is below it.
  return { last, search, base: end === '' || files.includes(last) ? './' : `./${end}/` };
}

const isEncrypted = ({ socket, headers }: PageRequest): boolean =>
  socket?.encrypted === true || /^https\b/i.test(String(headers['x-forwarded-proto'] ?? ''));

const refused = (why: string): Answer => ({ statusCode: 403, headers: plainText, body: `Refused: ${why}\n` });

const tooLong = (request: PageRequest): Answer => ({
  statusCode: 413,
  // With it the socket is destroyed once that is out.
  headers: isCutOff(request) ? { ...plainText, Connection: 'close' } : plainText,
  body: 'That is too long\n',
});

const page = (body: string, statusCode = 200): Answer => ({ ...text(body, 'text/html'), statusCode });

const text = (body: string, type: string): Answer => ({
  statusCode: 200,
  headers: { 'Content-Type': `${type}; charset=utf-8` },
  body,
});

/** Back to the page, so that to load it again does nothing again. */
const seeOther = (search: string): Answer => ({
  statusCode: 303,
  headers: { ...plainText, Location: `./${search}` },
  body: 'See the page\n',
});
