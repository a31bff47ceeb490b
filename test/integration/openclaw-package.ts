/**
 * Modules of a published npm package, the agent events and the command queue, loaded as they were published.
 *
 * `npm pack` brings the tarball, a pinned integrity says that it is the one meant, and only the module and what it
 * imports are taken out of it. File names in the bundle carry hashes and exported names are minified aliases, so both
 * are read from the published text instead of being written down here.
 *
 * A registry that cannot be reached is an answer (`unreachable`); whatever else goes wrong throws.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The last release before upstream cleaned these maps up, and the sha512 that the registry's metadata gives for it. */
export const OPENCLAW = {
  name: 'openclaw',
  version: '2026.4.8',
  integrity:
    'sha512-76uLSTMPhSdGTxUnYwah1uwan7/omCBf8fZoQTFQpTeJIroAOz3jxdrCFfx3cSmBhO4crlbsyFNwUnVkq9qy4A==',
} as const;

/** What a run context holds in this release. No instant among them: only its events tell that a run is alive. */
export interface AgentRunContext {
  sessionKey?: string;
  verboseLevel?: 'off' | 'on' | 'full';
  isHeartbeat?: boolean;
  isControlUiVisible?: boolean;
}

/** An event as listeners get it. `seq` counts from 1 in each run; `ts` is epoch ms of the process's own clock. */
export interface AgentEvent {
  runId: string;
  seq: number;
  stream: string;
  ts: number;
  data: Record<string, unknown>;
  sessionKey?: string;
}

type StreamEvent = Pick<AgentEvent, 'runId' | 'data' | 'sessionKey'>;

/** The functions of the module, under the names of its source. */
export interface AgentEventFunctions {
  registerAgentRunContext(runId: string, context: AgentRunContext): void;
  getAgentRunContext(runId: string): AgentRunContext | undefined;
  clearAgentRunContext(runId: string): void;
  emitAgentEvent(event: Omit<AgentEvent, 'seq' | 'ts'>): void;
  emitAgentItemEvent(event: StreamEvent): void;
  emitAgentPlanEvent(event: StreamEvent): void;
  emitAgentApprovalEvent(event: StreamEvent): void;
  emitAgentCommandOutputEvent(event: StreamEvent): void;
  emitAgentPatchSummaryEvent(event: StreamEvent): void;
  onAgentEvent(listener: (event: AgentEvent) => void): () => boolean;
}

const FUNCTION_NAMES = [
  'registerAgentRunContext',
  'getAgentRunContext',
  'clearAgentRunContext',
  'emitAgentEvent',
  'emitAgentItemEvent',
  'emitAgentPlanEvent',
  'emitAgentApprovalEvent',
  'emitAgentCommandOutputEvent',
  'emitAgentPatchSummaryEvent',
  'onAgentEvent',
] as const satisfies ReadonlyArray<keyof AgentEventFunctions>;

/** What the module keeps for the whole process. */
export interface AgentEventState {
  seqByRun: Map<string, number>;
  runContextById: Map<string, AgentRunContext>;
  listeners: Set<(event: AgentEvent) => void>;
}

/** The module with its functions under their source names, and the state that they share. */
export interface AgentEvents extends AgentEventFunctions {
  state: AgentEventState;
}

/** The module on disk: its file, its text and the alias of each exported source name. */
export interface PublishedModule {
  file: string;
  source: string;
  aliases: ReadonlyMap<string, string>;
}

const STATE_KEY = Symbol.for('openclaw.agentEvents.state');
const QUEUE_KEY = Symbol.for('openclaw.commandQueueState');
const CACHE = fileURLToPath(new URL('../../.cache/openclaw/', import.meta.url));

/** One module to be taken out of the package. */
interface Wanted {
  /** Its name before the hash. */
  readonly name: string;
  /** Imports of it that only log, and bring the whole program along: a silent module takes their place. */
  readonly silenced?: RegExp;
}

const AGENT_EVENTS: Wanted = { name: 'agent-events' };
const COMMAND_QUEUE: Wanted = { name: 'command-queue', silenced: /\/diagnostic-[^/]+\.js$/ };

// Codes of Node and of npm's own agent for "no answer from the registry"; ENOTCACHED is npm told to stay offline.
const UNREACHABLE = new Set([
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNECTIONTIMEOUT',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'EIDLETIMEOUT',
  'ENETDOWN',
  'ENETUNREACH',
  'ENOTCACHED',
  'ENOTFOUND',
  'ERESPONSETIMEOUT',
  'ERR_SOCKET_TIMEOUT',
  'ETIMEDOUT',
  'ETRANSFERTIMEOUT',
]);

/** Brings the module of agent events into the cache: see {@link fetchModule}. */
export const fetchAgentEvents = () => fetchModule(AGENT_EVENTS);

/** Brings the module of the command queue into the cache, without what it logs: see {@link fetchModule}. */
export const fetchCommandQueue = () => fetchModule(COMMAND_QUEUE);

/**
 * Brings a module into the cache (once; later calls read it from there).
 *
 * @returns where it is, or why the registry could not be reached.
 * @throws on a wrong integrity, a failing `npm` or `tar`, or a package that has no such module.
 */
async function fetchModule(wanted: Wanted): Promise<PublishedModule | { unreachable: string }> {
  const digest = Buffer.from(OPENCLAW.integrity.replace('sha512-', ''), 'base64').toString('hex');
  // Named after the content that it was checked against: a new pin never meets the files of an old one.
  const folder = path.join(CACHE, `${OPENCLAW.version}-${digest.slice(0, 12)}-${wanted.name}`);
  if (!(await exists(folder))) {
    await mkdir(CACHE, { recursive: true });
    const work = await mkdtemp(path.join(CACHE, 'fetching-'));
    try {
      const packed = await pack(work);
      if ('unreachable' in packed) return packed;
      await verify(packed.tarball);
      const extracted = path.join(work, 'extracted');
      await extract(packed.tarball, extracted, wanted);
      await rename(extracted, folder).catch(async (error: unknown) => {
        // Two first runs at once: whoever was second takes what the other, having checked it too, put there.
        if (!(await exists(folder))) throw error;
      });
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  }
  return describeModule(folder, wanted);
}

/**
 * Evaluates the module with nothing registered in it, as a new process would find it.
 *
 * All of its state hangs on one global symbol that every function looks up anew, and its two imports keep none, so
 * that without the symbol's property and under a query of its own each evaluation starts from zero, in the process of
 * the registry that adopts its maps. What earlier evaluations held is out of reach from then on.
 */
export async function loadAgentEvents(published: PublishedModule): Promise<AgentEvents> {
  Reflect.deleteProperty(globalThis, STATE_KEY);
  evaluations += 1;
  const url = `${pathToFileURL(published.file).href}?evaluation=${evaluations}`;
  const namespace: Record<string, unknown> = await import(/* @vite-ignore */ url);
  const functions = functionsOf<AgentEventFunctions>(published, namespace, FUNCTION_NAMES);
  functions.getAgentRunContext('any'); // a read is enough for the module to create its state
  return { ...functions, state: readState() };
}

let evaluations = 0;

/** Finds functions of a module by the names of its source. */
function functionsOf<Functions>(
  { file, aliases }: PublishedModule,
  namespace: Record<string, unknown>,
  names: ReadonlyArray<keyof Functions & string>,
): Functions {
  const found = names.map((name) => {
    const value = namespace[aliases.get(name) ?? name];
    if (typeof value === 'function') return [name, value];
    throw new Error(`${OPENCLAW.name}@${OPENCLAW.version} exports no function ${name}: ${file}`);
  });
  return Object.fromEntries(found) as Functions;
}

/** A lane of the command queue: its tasks run one after the other, or so many at once. */
export interface Lane {
  readonly queue: readonly unknown[];
  readonly activeTaskIds: ReadonlySet<number>;
  readonly maxConcurrent: number;
}

/** The command queue, and the lanes that it keeps for the whole process. */
export interface CommandQueue {
  enqueueCommandInLane<Result>(lane: string, task: () => Promise<Result>): Promise<Result>;
  setCommandLaneConcurrency(lane: string, maxConcurrent: number): void;
  /** Where it hangs its state, as `globalThis` is of a gateway. */
  readonly root: object;
  readonly lanes: Map<string, Lane>;
}

/** Evaluates the module of the command queue with no lane in it. */
export async function loadCommandQueue(published: PublishedModule): Promise<CommandQueue> {
  Reflect.deleteProperty(globalThis, QUEUE_KEY);
  evaluations += 1;
  const namespace: Record<string, unknown> = await import(
    /* @vite-ignore */ `${pathToFileURL(published.file).href}?evaluation=${evaluations}`
  );
  const names = ['enqueueCommandInLane', 'setCommandLaneConcurrency'] as const;
  const functions = functionsOf<Pick<CommandQueue, (typeof names)[number]>>(published, namespace, names);
  functions.setCommandLaneConcurrency('main', 1); // a write is enough for the module to create its state
  const state = (globalThis as Record<symbol, unknown>)[QUEUE_KEY] as { lanes: Map<string, Lane> };
  return { ...functions, root: { [QUEUE_KEY]: state }, lanes: state.lanes };
}

/** The state that the module keeps at this moment, looked up the way the module does it. */
export function readState(): AgentEventState {
  const state = (globalThis as Record<symbol, unknown>)[STATE_KEY] as Partial<AgentEventState> | undefined;
  if (
    !(state?.seqByRun instanceof Map && state.runContextById instanceof Map && state.listeners instanceof Set)
  ) {
    throw new Error(
      `${OPENCLAW.name}@${OPENCLAW.version} keeps no seqByRun, runContextById and listeners at ${String(STATE_KEY)}`,
    );
  }
  return state as AgentEventState;
}

async function pack(folder: string): Promise<{ tarball: string } | { unreachable: string }> {
  const spec = `${OPENCLAW.name}@${OPENCLAW.version}`;
  const retries = ['--fetch-retries=2', '--fetch-retry-mintimeout=1000', '--fetch-retry-maxtimeout=5000'];
  try {
    await run(
      'npm',
      ['pack', spec, '--json', '--ignore-scripts', `--pack-destination=${folder}`, ...retries],
      {
        cwd: folder,
        shell: process.platform === 'win32', // npm is a script there
        maxBuffer: 256 * 1024 * 1024, // it lists every file of the package
      },
    );
  } catch (error) {
    const { code, summary } = npmError(error);
    if (code !== undefined && UNREACHABLE.has(code)) return { unreachable: `npm pack ${spec}: ${code}` };
    throw new Error(`npm pack ${spec} failed: ${code ?? 'no code'}: ${summary}`, { cause: error });
  }
  const tarballs = (await readdir(folder)).filter((file) => file.endsWith('.tgz'));
  if (tarballs.length !== 1) throw new Error(`npm pack ${spec} left ${tarballs.length} tarballs, expected 1`);
  return { tarball: path.join(folder, tarballs[0]!) };
}

function npmError(error: unknown): { code?: string; summary: string } {
  const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
  try {
    const { code, summary } = (JSON.parse(stdout) as { error: { code?: string; summary?: string } }).error;
    return { code, summary: summary ?? stderr };
  } catch {
    return { code: /^npm (?:error|ERR!) code (\S+)/m.exec(stderr)?.[1], summary: stderr || String(error) };
  }
}

async function verify(tarball: string): Promise<void> {
  const hash = createHash('sha512');
  await pipeline(createReadStream(tarball), hash);
  const received = `sha512-${hash.digest('base64')}`;
  if (received !== OPENCLAW.integrity) {
    throw new Error(
      `integrity of ${OPENCLAW.name}@${OPENCLAW.version} is ${received}, expected ${OPENCLAW.integrity}`,
    );
  }
}

async function extract(tarball: string, folder: string, { name, silenced }: Wanted): Promise<void> {
  await mkdir(folder);
  const { stdout } = await run('tar', ['-tzf', tarball], { maxBuffer: 256 * 1024 * 1024 });
  const entries = stdout.split(/\r?\n/).filter((member) => entryOf(name).test(member));
  if (entries.length !== 1)
    throw new Error(`expected one member ${entryOf(name)}, found ${entries.length}: ${entries.join(', ')}`);
  const taken = new Set<string>();
  let wanted = ['package/package.json', entries[0]!];
  while (wanted.length > 0) {
    await run('tar', ['-xzf', tarball, '-C', folder, ...wanted]);
    for (const member of wanted) taken.add(member);
    const scripts = wanted.filter((member) => member.endsWith('.js'));
    for (const member of scripts) {
      if (silenced !== undefined) await silence(folder, member, silenced);
    }
    const imported = await Promise.all(scripts.map((member) => importsOf(folder, member)));
    wanted = [...new Set(imported.flat())].filter((member) => !taken.has(member));
  }
}

/** Writes, for each import that only logs, a module of the same exports that says nothing, and names it instead. */
async function silence(folder: string, member: string, silenced: RegExp): Promise<void> {
  const file = path.join(folder, member);
  let source = await readFile(file, 'utf8');
  for (const [statement, names, specifier] of source.matchAll(/^import \{([^}]*)\} from "([^"]+)";$/gm)) {
    if (!silenced.test(specifier!)) continue;
    const locals = names!.split(',').map((name) =>
      name
        .trim()
        .split(/\s+as\s+/)
        .at(-1),
    );
    const silent = '(Object.assign(() => {}, { debug() {}, info() {}, warn() {}, error() {} }))';
    source = source.replace(statement, locals.map((local) => `const ${local} = ${silent};`).join('\n'));
  }
  await writeFile(file, source);
}

/** The members that a script of the bundle imports. A package among them is an error: none is installed beside it. */
async function importsOf(folder: string, member: string): Promise<string[]> {
  const source = await readFile(path.join(folder, member), 'utf8');
  const specifiers = [
    ...source.matchAll(/^\s*(?:import|export)\b(?:[^'"();]*?\bfrom)?\s*["']([^"']+)["']/gm),
    ...source.matchAll(/\bimport\s*\(\s*["']([^"']+)["']/g),
  ].map((match) => match[1]!);
  return specifiers
    .filter((specifier) => !specifier.startsWith('node:'))
    .map((specifier) => {
      if (!specifier.startsWith('.')) throw new Error(`${member} imports the package ${specifier}`);
      return path.posix.join(path.posix.dirname(member), specifier);
    });
}

async function describeModule(folder: string, wanted: Wanted): Promise<PublishedModule> {
  const dist = path.join(folder, 'package', 'dist');
  const manifest = JSON.parse(
    await readFile(path.join(folder, 'package', 'package.json'), 'utf8'),
  ) as typeof OPENCLAW;
  if (manifest.version !== OPENCLAW.version)
    throw new Error(`${folder} holds ${manifest.version}, expected ${OPENCLAW.version}`);
  const name = (await readdir(dist)).find((file) => entryOf(wanted.name).test(`package/dist/${file}`));
  if (name === undefined)
    throw new Error(`${dist} holds no ${wanted.name}-*.js: remove the folder, it is fetched again`);
  const file = path.join(dist, name);
  const source = await readFile(file, 'utf8');
  return { file, source, aliases: exportAliases(source) };
}

/** The alias under which each source name is exported: `export { emitAgentEvent as i }` gives `emitAgentEvent -> i`. */
function exportAliases(source: string): Map<string, string> {
  const clauses = [...source.matchAll(/^export\s*\{([^}]*)\}/gm)].flatMap((match) => match[1]!.split(','));
  return new Map(
    clauses
      .map((clause) => clause.trim())
      .filter((clause) => clause !== '')
      .map((clause) => {
        const [name, alias] = clause.split(/\s+as\s+/);
        return [name!, alias ?? name!];
      }),
  );
}

const entryOf = (name: string): RegExp => new RegExp(`^package/dist/${name}-[^/]+\\.js$`);

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );
