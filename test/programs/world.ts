import { createRegistry } from '../../src/index.js';
import { createManualClock } from '../../src/testing.js';
import { type Entry, ModelMap, type Value } from './model.js';
import { policyOf, withShape } from './options.js';
import {
  type Act,
  type Answer,
  type Arm,
  type CallbackName,
  callbackNames,
  interval,
  keys,
  type MapConfig,
  mapNames,
  type Name,
  type Program,
  type Step,
} from './program.js';

// Programs call methods by name, with keys that no type allows.
// biome-ignore lint/suspicious/noExplicitAny: see above
export type Loose = any;

/** What the owner's functions throw and reject with. */
class PlannedError extends Error {
  readonly from: CallbackName;

  constructor(from: CallbackName) {
    super(`planned, in ${from}`);
    this.from = from;
  }
}

/** What the owner's own methods throw is for whoever called them. */
const methods: ReadonlySet<CallbackName> = new Set(['delete', 'set', 'clear']);

/** More calls than this in one step, and something goes round in a circle. */
const mostCallsPerStep = 5_000;

const after = (instant: number, ms: number | undefined): number =>
  ms === undefined ? Infinity : instant + ms;

/** How often each step has keys set again by `dispose`. */
const mostResetsPerStep = 50;

const nativeSet = Map.prototype.set;
const nativeDelete = Map.prototype.delete;

const partOf = new Map<Name, 'runs' | 'second' | 'third' | 'set' | 'extra'>([
  ['runs', 'runs'],
  ['__proto__', 'second'],
  ['constructor', 'third'],
  ['toString', 'set'],
  ['extra', 'extra'],
]);

/** Runs one program on a registry and on a plain model, and notes where they differ. */
export class World {
  readonly findings: string[] = [];
  readonly clock: Loose;
  registry: Loose;
  readonly models = new Map<string, ModelMap>();
  readonly #program: Program;
  readonly #maps = new Map<string, Loose>();
  readonly #arms = new Map<CallbackName, Arm[]>();
  readonly #bySerial = new Map<number, Entry>();
  readonly #frames: { readonly map: string; readonly op: 'delete' | 'clear' }[] = [];
  #pendingWrites: { readonly map: string; readonly key: unknown; readonly value: unknown }[] = [];
  readonly #promises: Promise<unknown>[] = [];
  readonly #undo: (() => void)[] = [];
  readonly #holds: { readonly hold: Loose; readonly entry: Entry }[] = [];
  readonly #endedKeys = new Set<unknown>();
  readonly #attempts = new Set<string>();
  readonly #delivered = new Set<string>();
  readonly #told = new Map<string, Loose>();
  readonly #haunted = new Set<string>();
  readonly #manual = createManualClock();
  readonly #wallOffset: number;
  #extraHandle: Loose;
  #skewMs = 0;
  #serial = 0;
  #nonsense = 0;
  #depth = 0;
  #methodDepth = 0;
  #isInMethod = 0;
  #calls = 0;
  #resetsLeft = mostResetsPerStep;
  #acts = 0;
  #isCalm = false;
  #isAdopting = false;
  #isClosed = false;
  #isStopped = false;
  /** Something was done before there were listeners. */
  #isEarly = false;
  #where = 'creation';

  constructor(program: Program) {
    this.#program = program;
    const manual = this.#manual;
    this.#wallOffset = manual.now() - manual.monotonic();
    // Time also passes while callbacks run, so that sweeps give way in the middle.
    this.clock = {
      ...manual,
      now: () => manual.now() + this.#skewMs,
      monotonic: () => manual.monotonic() + this.#skewMs,
    };
    for (const arm of program.before) this.#arm(arm);
  }

  get now(): number {
    return this.clock.monotonic();
  }

  /** Runs it all; the findings are complete after that. */
  async run(): Promise<void> {
    const unhandled = (error: unknown): void => this.find(`unhandled rejection: ${String(error)}`);
    process.on('unhandledRejection', unhandled);
    try {
      this.#create();
      this.#check();
      for (const [index, step] of this.#program.steps.entries()) {
        if (this.findings.length > 0) return;
        this.#where = `step ${index}`;
        this.#calls = 0;
        this.#resetsLeft = mostResetsPerStep;
        await this.#step(step);
        this.#check();
      }
      if (this.findings.length === 0) await this.#calmDown();
      for (let turn = 0; turn < 3; turn += 1) await this.#manual.yield();
    } catch (error) {
      this.find(`the program itself threw: ${(error as Error).stack}`);
    } finally {
      process.off('unhandledRejection', unhandled);
    }
  }

  find(what: string): void {
    if (this.findings.length < 10) this.findings.push(`${this.#where}: ${what}`);
  }

  // --- The owner ----------------------------------------------------------------------------------------------------

  configOf(name: string): MapConfig {
    return this.#program.config.maps[partOf.get(name as Name) as 'runs'];
  }

  get ended(): boolean {
    return this.#program.config.ended;
  }

  /** The entry of a value, or of a member of a Set. */
  entryOf(map: string, value: unknown, key: unknown): Entry | undefined {
    const model = this.models.get(map) as ModelMap;
    if (map === 'toString') {
      for (const entry of model.undisposed) if (Object.is(entry.key, key)) return entry;
      return model.entries.get(key) ?? model.all.findLast((entry) => Object.is(entry.key, key));
    }
    return this.#bySerial.get((value as Value | undefined)?.serial as number);
  }

  /** A removal of the owner's own class is under way. */
  inMethod<T>(run: () => T): T {
    this.#isInMethod += 1;
    try {
      return run();
    } finally {
      this.#isInMethod -= 1;
    }
  }

  /** A callback of the owner's is called: it does what the program has for it, and answers so. */
  call(name: CallbackName, honest: () => unknown): unknown {
    this.#calls += 1;
    if (this.#calls === mostCallsPerStep) this.find(`more than ${mostCallsPerStep} calls in a step: ${name}`);
    const arm = this.#isCalm || this.#calls >= mostCallsPerStep ? undefined : this.#arms.get(name)?.shift();
    if (arm === undefined) return honest();
    this.#depth += 1;
    if (methods.has(name)) this.#methodDepth += 1;
    try {
      for (const act of arm.acts) this.perform(act);
    } finally {
      if (methods.has(name)) this.#methodDepth -= 1;
      this.#depth -= 1;
    }
    return this.#answer(name, arm.answer, honest);
  }

  #answer(name: CallbackName, answer: Answer, honest: () => unknown): unknown {
    if (answer === 'throw') throw new PlannedError(name);
    if (answer === 'honest' || methods.has(name)) return honest();
    if (answer === 'yes') return true;
    if (answer === 'promise') return Promise.resolve(true);
    if (answer === 'reject') return Promise.reject(new PlannedError(name));
    if (answer === 'hang') return new Promise(() => {});
    const hostile = {
      // biome-ignore lint/suspicious/noThenProperty: what looks like a promise and is none is the point
      get then() {
        throw new PlannedError(name);
      },
    };
    const all = [Number.NaN, 'soon', {}, 5, null, Symbol('x'), new Date(Number.NaN), () => 1, 10n, hostile];
    this.#nonsense += 1;
    return all[this.#nonsense % all.length];
  }

  /**
   * A `dispose` sets its key again, so often in a step and no more: with a map over its limit whose entries are due it
   * would go on from eviction to eviction at one instant, each in a turn of its own.
   */
  setAgain(map: string, _key: unknown): void {
    this.#resetsLeft -= 1;
    if (this.#resetsLeft < 0) return;
    const index = keys.indexOf(0);
    this.perform({ act: 'set', map: map as Name, key: index, other: 0 });
  }

  /** A value of the owner's was overwritten, says the library. */
  replaced(map: string, value: unknown, key: unknown): void {
    this.sync();
    const model = this.models.get(map) as ModelMap;
    if (!model.replaced.delete(value) && !model.mayBeReplaced.delete(value))
      this.find(`${map}: a value of ${String(key)} is told of as replaced, and was not`);
  }

  /** A value of the owner's has left, says the library. */
  disposed(map: string, value: unknown, key: unknown, reason: string): void {
    this.sync();
    const model = this.models.get(map) as ModelMap;
    const entry = this.entryOf(map, value, key);
    if (entry === undefined) {
      this.find(`${map}: disposed of an unknown value of ${String(key)}`);
      return;
    }
    if (map !== 'toString' && !entry.isLoose && entry.value !== value)
      this.find(`${map}: disposed of an old value`);
    entry.disposals += 1;
    model.undisposed.delete(entry);
    // A member of a Set does not say of which registration it is.
    const isAmbiguous = map === 'toString' && model.all.some((one) => one.isLoose && Object.is(one.key, key));
    if (entry.disposals > 1 && !isAmbiguous)
      this.find(`${map}: ${String(key)} is disposed of twice (${reason})`);
    if (!Object.is(entry.key, key)) this.find(`${map}: disposed of ${String(entry.key)} as ${String(key)}`);
    if (map !== 'toString' && model.entries.get(entry.key) === entry) {
      this.find(`${map}: ${String(key)} is disposed of and still there (${reason})`);
    }
    this.#checkReason(entry, reason);
  }

  #checkReason(entry: Entry, reason: string): void {
    const { map } = entry;
    const config = this.configOf(map);
    const isByOwner = this.#frames.some((frame) => frame.map === map);
    if (entry.isLoose) return;
    if ((reason === 'deleted' || reason === 'cleared') && !isByOwner && !entry.isOfMethod) {
      this.find(`${map}: ${String(entry.key)} left as ${reason}, and nobody did`);
    }
    if (reason !== 'deleted' && reason !== 'cleared' && config.observe) {
      this.find(`${map}: is observed, and ${String(entry.key)} left as ${reason}`);
    }
    if (reason === 'companion' && !config.follows) this.find(`${map}: follows nothing, and lost a companion`);
    if (reason === 'evicted' && config.maxEntries === undefined) this.find(`${map}: evicted without a limit`);
    // A method of its own may have written to it after it was judged.
    if (reason === 'swept' && !entry.isOfMethod) this.#checkDue(entry, config);
  }

  #checkDue(entry: Entry, config: MapConfig): void {
    const deadlines = this.#deadlines(entry, config);
    const earliest = Math.min(...deadlines.map((set) => set.earliest));
    if (!(earliest <= this.now)) {
      this.find(`${entry.map}: ${String(entry.key)} is swept ${earliest - this.now} ms before its deadline`);
    }
    const isOverAge = deadlines.some((set) => set.maxAge <= this.now);
    if (entry.holds > 0 && !isOverAge) this.find(`${entry.map}: ${String(entry.key)} is swept though held`);
    if (config.keepWhile && entry.answers.isGuarded === true && !isOverAge) {
      this.find(`${entry.map}: ${String(entry.key)} is swept though its guard held`);
    }
  }

  /** When an entry is due: by the lifetimes of its map, or by those of the rule that may be its. */
  #deadlines(entry: Entry, config: MapConfig): { earliest: number; maxAge: number }[] {
    const isFollower = config.follows && entry.map !== 'runs';
    const orphan =
      isFollower && !this.#leaderHas(entry)
        ? after(entry.activeAt, config.orphanAfter ?? 1_800_000)
        : Infinity;
    // An instant in the future counts as now.
    const told = Math.min(this.now, this.#instant(entry.answers.activeAt) ?? -Infinity);
    const activeAt = Math.max(entry.activeAt, told);
    const sinces = {
      registeredAt: entry.registeredAt,
      lastActiveAt: entry.activeAt,
      function: this.#instant(entry.answers.since) ?? Infinity,
    };
    const maxAge = after(entry.registeredAt, config.maxAge);
    const own = Math.min(
      after(sinces[config.since], config.ttl),
      config.expiresAt ? (this.#instant(entry.answers.expiresAt) ?? Infinity) : Infinity,
      after(activeAt, config.maxIdle),
      maxAge,
      orphan,
    );
    const ruled = Math.min(activeAt + 15_000, orphan);
    const byOwn = { earliest: own, maxAge };
    const byRule = { earliest: ruled, maxAge: Infinity };
    if (config.rule === 'text' && entry.key === 'a') return [byRule];
    return config.rule === 'function' ? [byOwn, byRule] : [byOwn];
  }

  #leaderHas(entry: Entry): boolean {
    return this.#maps.get('runs').has(entry.key);
  }

  #instant(answer: unknown): number | undefined {
    const at = answer instanceof Date ? answer.getTime() : answer;
    if (typeof at !== 'number' || !Number.isFinite(at)) return undefined;
    return at <= 0 ? -Infinity : at < 1e12 ? undefined : at - this.#wallOffset;
  }

  // --- Creation -----------------------------------------------------------------------------------------------------

  #create(): void {
    const { config } = this.#program;
    for (const name of mapNames) {
      const { kind, initial, dispose } = this.configOf(name);
      const model = new ModelMap(name, dispose !== 'none', name !== 'extra');
      this.models.set(name, model);
      if (name === 'toString') this.#maps.set(name, kind === 'subclass' ? this.#ownSet(name) : new Set());
      else if (kind === 'subclass') this.#maps.set(name, this.#ownMap(name));
      else if (kind === 'map' || name === 'extra') this.#maps.set(name, new Map());
      const real = this.#maps.get(name);
      for (let key = 0; real !== undefined && key < initial; key += 1) {
        const value = this.#value(name);
        value.announced = key === 0 && config.settled;
        const native = name === 'toString' ? Set.prototype.add : nativeSet;
        this.#writing(name, keys[key], value);
        (native as Loose).call(real, keys[key], value);
        this.#unstampedNow(model.entries.get(keys[key]) as Entry);
      }
      this.#pendingWrites.length = 0;
    }
    const policies = Object.create(null);
    for (const name of mapNames) {
      if (name !== 'extra') policies[name] = this.#policy(name, this.#maps.get(name));
    }
    const ended = this.#endedOptions();
    const shape = config.options;
    const options = withShape(shape, {
      maps: withShape(shape, policies),
      ...(ended && { ended: withShape(shape, ended) }),
      sweepEvery: interval,
      clock: this.clock,
    });
    const before = this.#acts;
    this.registry = createRegistry(options as Loose);
    for (const name of mapNames) if (name !== 'extra') this.#maps.set(name, this.registry.maps[name]);
    this.#isEarly = this.#acts > before;
    if (this.#isEarly) this.#loosenAll();
    this.#listen();
  }

  #policy(name: string, adopt: Loose): Loose {
    const policy = policyOf(this, name);
    return withShape(this.#program.config.options, adopt === undefined ? policy : { ...policy, adopt });
  }

  /** It was there before its map was tracked. */
  #unstampedNow(entry: Entry): void {
    const { unstamped } = this.configOf(entry.map);
    Object.assign(entry, { registeredAt: unstamped === 'now' ? this.now : -Infinity });
    entry.activeAt = entry.registeredAt;
  }

  #endedOptions(): Loose {
    const { config } = this.#program;
    if (!config.ended) return undefined;
    const entryOf = (value: Value) => this.#bySerial.get(value.serial);
    const deliver = (recipient: string) => (event: Loose, context: Loose) =>
      this.#deliver(recipient, event, context);
    return {
      map: 'runs',
      attempts: config.attempts,
      idempotent: config.idempotent,
      ...(config.recipients === 1 && { deliver: deliver('default') }),
      ...(config.recipients === 2 && {
        deliver: withShape(
          config.options,
          Object.assign(Object.create(null), {
            ['__proto__']: deliver('__proto__'),
            constructor: deliver('constructor'),
          }),
        ),
      }),
      ...(config.ids && {
        id: (value: Value) => {
          const honest = `run ${value.serial}`;
          const entry = entryOf(value);
          if (entry !== undefined) entry.isBeingAsked = true;
          try {
            const answer = this.call('id', () => honest);
            if (answer !== honest && entry !== undefined) entry.isUnclear = true;
            return answer;
          } finally {
            if (entry !== undefined) entry.isBeingAsked = false;
          }
        },
      }),
      ...(config.settled && {
        settled: (value: Value) => {
          const acts = this.#acts;
          const entry = entryOf(value);
          if (entry !== undefined) entry.isUnclear = true;
          const answer = this.call('settled', () => value.announced);
          if (entry !== undefined) entry.isUnclear = false;
          if (entry === undefined) return answer;
          if (this.#acts > acts) entry.isUnclear = true;
          if (answer !== true && answer !== false) entry.isUnclear = true;
          if (answer === true) Object.assign(entry, { hasEnded: true, isSilent: true });
          return answer;
        },
      }),
    };
  }

  #ownMap(name: string): Map<unknown, unknown> {
    const world = this;
    return new (class OwnMap extends Map<unknown, unknown> {
      override set(key: unknown, value: unknown): this {
        world.call('set', () => undefined);
        world.#writing(name, key, value);
        return super.set(key, value);
      }
      override delete(key: unknown): boolean {
        return world.inMethod(() => world.call('delete', () => super.delete(key))) as boolean;
      }
      override clear(): void {
        world.inMethod(() => world.call('clear', () => super.clear()));
      }
    })();
  }

  #ownSet(name: string): Set<unknown> {
    const world = this;
    return new (class OwnSet extends Set<unknown> {
      override add(key: unknown): this {
        world.call('set', () => undefined);
        world.#writing(name, key, key);
        return super.add(key);
      }
      override delete(key: unknown): boolean {
        return world.inMethod(() => world.call('delete', () => super.delete(key))) as boolean;
      }
      override clear(): void {
        world.inMethod(() => world.call('clear', () => super.clear()));
      }
    })();
  }

  #listen(): void {
    const { registry } = this;
    registry.on('ended', (event: Loose) => this.#hear(event));
    registry.on('callback-failed', ({ error, callback }: Loose) => {
      if (error instanceof PlannedError || String(error?.code).startsWith('ERR_')) return;
      // What JSON says of an answer of `encode`.
      if (/serialize a BigInt/.test(error?.message)) return;
      this.find(`${callback} is said to have failed with ${error?.stack ?? String(error)}`);
    });
    for (const type of callbackNames) {
      if (/^(ended|swept|evicted|.*-.*)$/.test(type))
        registry.on(type, () => this.call(type, () => undefined));
    }
  }

  #hear(event: Loose): void {
    this.sync();
    if (this.#told.has(event.id)) this.find(`ended is told twice with the id ${event.id}`);
    this.#told.set(event.id, event);
    const entry = this.#bySerial.get(event.value?.serial);
    if (entry === undefined) return;
    entry.told += 1;
    if (entry.told > 1 && !this.#isClosed) this.find(`the end of ${String(entry.key)} is told twice`);
    const isThere = this.models.get('runs')?.entries.get(entry.key) === entry;
    if (isThere && !entry.hasEnded && !entry.isUnclear && this.#methodDepth === 0) {
      this.find(`the end of ${String(entry.key)} is told, and it lives (${event.reason})`);
    }
    if (!this.#isClosed && entry.generation !== undefined && entry.generation !== event.generation) {
      this.find(`ended has the generation ${event.generation}, and stamps had ${entry.generation}`);
    }
  }

  #deliver(recipient: string, event: Loose, { signal }: Loose): unknown {
    const of = `${recipient} ${event.id}`;
    if (this.#attempts.has(of)) this.find(`attempts overlap: ${of}`);
    if (this.#delivered.has(of)) this.find(`delivered before: ${of}`);
    if (!this.#told.has(event.id) && !this.#isEarly) this.find(`delivered before it was told: ${of}`);
    this.#attempts.add(of);
    const over = (): void => void this.#attempts.delete(of);
    const success = (): void => {
      if (signal.aborted) return;
      over();
      this.#delivered.add(of);
    };
    signal.addEventListener('abort', over);
    let answer: Loose;
    try {
      answer = this.call('deliver', () => undefined);
    } catch (error) {
      over();
      throw error;
    }
    if (answer instanceof Promise) answer.then(success, over);
    // What looks like a promise and throws when it is looked at is a failure.
    else if (typeof answer === 'object' && answer !== null && 'then' in answer) over();
    else success();
    return answer;
  }

  // --- Acts ---------------------------------------------------------------------------------------------------------

  async #step(step: Step): Promise<void> {
    if ('advance' in step) await this.#manual.advance(step.advance);
    else if ('turn' in step) await this.#manual.yield();
    else if ('look' in step) await this.#lookAndSweep();
    else if ('in' in step) this.#arm(step);
    else this.perform(step);
  }

  #arm(arm: Arm): void {
    const list = this.#arms.get(arm.in) ?? [];
    this.#arms.set(arm.in, list);
    list.push(arm);
  }

  /** Does one thing, from outside or inside of a callback. What it throws must be what the owner's own method threw. */
  perform(act: Act): void {
    if (this.registry === undefined && !/^(set|delete|clear|get|mutate)$/.test(act.act)) return;
    const real = this.#maps.get(act.map);
    if (real === undefined) return;
    this.#acts += 1;
    this.sync();
    try {
      this.#perform(act, real, keys[act.key], this.models.get(act.map) as ModelMap);
    } catch (error) {
      if (!(error instanceof PlannedError) || !methods.has(error.from)) {
        this.find(`${act.act} of ${act.map} threw ${(error as Error)?.stack ?? String(error)}`);
      }
    }
    this.sync();
  }

  #perform(act: Act, real: Loose, key: unknown, model: ModelMap): unknown {
    const { registry } = this;
    const name = act.map;
    const kept = key === 0 ? 0 : key;
    const entry = model.entries.get(kept);
    // A map that is being adopted has stamps for a part of its entries.
    const isQuiet = this.#methodDepth === 0 && !this.#isAdopting;
    const own = this.configOf(name).kind === 'subclass';
    switch (act.act) {
      case 'set': {
        const value = name === 'toString' ? key : this.#value(name);
        this.#written(() => {
          if (!own) this.#writing(name, key, value);
          return name === 'toString' ? real.add(key) : real.set(key, value);
        });
        return;
      }
      case 'setSame': {
        if (entry === undefined || name === 'toString') return;
        this.#written(() => {
          if (!own) this.#writing(name, key, entry.value);
          real.set(key, entry.value);
        });
        return;
      }
      case 'delete': {
        const acts = this.#acts;
        const arms = this.#armCount;
        const wasThere = this.#framed(name, 'delete', () => real.delete(key));
        if (this.#acts === acts && arms === this.#armCount && wasThere !== (entry !== undefined)) {
          this.find(`delete of ${name} answers ${wasThere}`);
        }
        return;
      }
      case 'clear': {
        const arms = this.#armCount;
        this.#framed(name, 'clear', () => real.clear());
        const resets = this.configOf(name).dispose === 'sets its key again';
        if (arms === this.#armCount && !resets && real.size !== 0 && !this.#resets) {
          this.find(`clear of ${name} leaves ${real.size}`);
        }
        return;
      }
      case 'touch': {
        if (!model.isTracked) return;
        const arms = this.#armCount;
        const byMap = act.other % 2 === 1 && typeof real.touch === 'function';
        const isThere = byMap ? real.touch(key) : this.#released(() => registry.touch(name, key));
        if (isThere === undefined || arms !== this.#armCount) return;
        const isAmiss = isThere !== (entry !== undefined) && entry?.isLoose !== true;
        if (isAmiss && isQuiet && !model.isLoose && !this.#haunted.has(`${name} ${String(kept)}`))
          this.find(`touch of ${name} answers ${isThere}`);
        if (entry !== undefined && isThere) this.#active(entry);
        return;
      }
      case 'get': {
        const isSame = name === 'toString' || Object.is(real.get(key), entry?.value);
        if (real.has(key) !== (entry !== undefined) || !isSame)
          this.find(`${name} has another ${String(key)}`);
        return;
      }
      case 'end':
        return this.#end(key, undefined);
      case 'endGeneration':
        return this.#end(key, this.models.get('runs')?.entries.get(kept)?.generation);
      case 'transfer':
        return this.#transfer(key, keys[act.other]);
      case 'sweep':
        this.#promises.push(registry.sweep());
        return;
      case 'mapSweep':
        if (typeof real.sweep === 'function') this.#promises.push(real.sweep());
        else if (name === 'extra' && this.#extraHandle) this.#promises.push(this.#extraHandle.sweep());
        return;
      case 'adopt':
        return this.#adopt();
      case 'release':
        return this.#release();
      case 'read':
        return this.#read(name, key);
      case 'snapshot':
        JSON.stringify(registry.snapshot());
        return;
      case 'redeliver': {
        const [letter] = registry.deadLetters();
        if (act.other % 2 === 0) registry.redeliver();
        else if (letter !== undefined) registry.redeliver(letter.event?.id ?? letter.id);
        return;
      }
      case 'flushed':
        this.#promises.push(registry.flushed());
        return;
      case 'listen': {
        if (act.other % 3 === 0) this.#undo.shift()?.();
        const type = (
          ['ended', 'swept', 'evicted', 'sweep-finished', 'callback-failed', 'dead-letter'] as const
        )[act.key];
        if (type !== undefined) this.#undo.push(registry.on(type, () => this.call(type, () => undefined)));
        return;
      }
      case 'mutate': {
        if (entry === undefined || name === 'toString') return;
        this.#mutate(entry.value as Value, act.other);
        return;
      }
      case 'iterate': {
        let left = 20;
        for (const one of real.keys()) {
          left -= 1;
          if (left < 0) break;
          if (Object.is(one, kept)) this.#framed(name, 'delete', () => real.delete(one));
        }
        return;
      }
      case 'getOrInsert': {
        if (typeof real.getOrInsert !== 'function') return;
        const value = this.#value(name);
        this.#written(() => {
          if (entry === undefined) this.#writing(name, key, value);
          if (act.other % 2 === 0) real.getOrInsert(key, value);
          else real.getOrInsertComputed(key, () => value);
        });
        return;
      }
      case 'hold': {
        if (typeof registry.hold !== 'function' || !model.isTracked || entry === undefined) return;
        const hold = registry.hold(name, key);
        if (entry.isLoose || !hold.isHeld) return;
        entry.holds += 1;
        this.#active(entry);
        this.#holds.push({ hold, entry });
        return;
      }
      case 'unhold': {
        const held = this.#holds.shift();
        held?.hold.release();
        if (held === undefined) return;
        held.entry.holds -= 1;
        this.#active(held.entry);
        return;
      }
      case 'deleteGeneration': {
        if (typeof registry.delete !== 'function' || !model.isTracked || entry?.generation === undefined)
          return;
        const generation = entry.generation - (act.other % 2);
        this.#framed(name, 'delete', () => registry.delete(name, key, { generation }));
        return;
      }
      case 'bypassSet': {
        if (name === 'runs' || name === 'toString' || entry !== undefined) return;
        const value = this.#value(name);
        this.#written(() => {
          const made = this.#writing(name, key, value, false);
          // A method that is under way may remove it natively too: nobody has seen it then.
          made.isLoose ||= this.#methodDepth > 0 || this.#haunted.has(`${name} ${String(kept)}`);
          nativeSet.call(real, key, value);
        });
        this.#haunted.add(`${name} ${String(kept)}`);
        return;
      }
      case 'bypassDelete': {
        if (name === 'runs' || name === 'toString' || entry === undefined || this.#methodDepth > 0) return;
        entry.isLoose = true;
        this.#haunted.add(`${name} ${String(kept)}`);
        nativeDelete.call(real, key);
        return;
      }
      case 'wrong':
        return this.#wrong(act.other, key);
      case 'burn':
        this.#skewMs += 7;
        return;
      case 'stop':
        this.#isStopped = true;
        registry.stop();
        registry.stop();
        return;
      case 'close':
        this.#isClosed = true;
        this.#loosenAll();
        this.#promises.push(registry.close({ deadline: '20s' }), registry.close());
    }
  }

  /** Whether anything of the owner's sets keys again by itself. */
  get #resets(): boolean {
    return mapNames.some((name) => this.configOf(name).dispose === 'sets its key again');
  }

  get #armCount(): number {
    let count = 0;
    for (const arms of this.#arms.values()) count += arms.length;
    return count;
  }

  #framed<T>(map: string, op: 'delete' | 'clear', run: () => T): T {
    this.#frames.push({ map, op });
    try {
      return run();
    } finally {
      this.#frames.pop();
    }
  }

  /** Answers `undefined` where the map is not tracked any more, or not yet. */
  #released<T>(run: () => T): T | undefined {
    try {
      return run();
    } catch (error) {
      // What is asked in between may release the map.
      const isUnknown = this.#isClosed || this.#isAdopting || !this.models.get('extra')?.isTracked;
      if (isUnknown && (error as Loose)?.code === 'ERR_UNKNOWN_MAP') return undefined;
      throw error;
    }
  }

  #end(key: unknown, generation: number | undefined): void {
    const kept = key === 0 ? 0 : key;
    const entry = this.models.get('runs')?.entries.get(kept);
    const expected = this.#expectedEnd(entry, kept);
    // Before the call, since its listeners call back.
    const before = entry?.hasEnded;
    if (entry !== undefined) entry.hasEnded = true;
    const result = this.registry.end(key, {
      detail: { by: 'program' },
      ...(generation !== undefined && { generation }),
    });
    const isUnclear = this.#methodDepth > 0 || entry?.isUnclear === true || this.#isClosed;
    if (result !== 'claimed' && entry !== undefined && (isUnclear || result === 'unknown')) {
      entry.hasEnded = before ?? false;
    }
    if (expected !== undefined && !isUnclear && result !== expected) {
      this.find(`end of ${String(key)} answers ${result}, not ${expected}`);
    }
    if (result === 'claimed') this.#endedKeys.add(kept);
  }

  #expectedEnd(entry: Entry | undefined, kept: unknown): string | undefined {
    if (!this.ended) return 'unknown';
    if (entry?.isBeingAsked) return 'unknown';
    if (entry !== undefined) return entry.hasEnded ? 'duplicate' : 'claimed';
    const left = this.models.get('runs')?.all.filter((one) => Object.is(one.key, kept)) ?? [];
    if (left.length === 0) return 'unknown';
    return left.some((one) => one.isLoose || one.isUnclear) ? undefined : 'duplicate';
  }

  #transfer(from: unknown, to: unknown): void {
    const entries = this.models.get('runs')?.entries;
    const source = entries?.get(from === 0 ? 0 : from);
    const result = this.registry.transfer(from, to);
    if (result !== 'transferred' || Object.is(from, to) || source === undefined) return;
    if (source.hasEnded && !source.isUnclear && this.#methodDepth === 0) {
      this.find(`transfer of ${String(from)}, which has ended, answers ${result}`);
    }
    Object.assign(source, { hasEnded: true, isSilent: true });
  }

  #adopt(): void {
    const model = this.models.get('extra') as ModelMap;
    const wasTracked = model.isTracked;
    const real = this.#maps.get('extra');
    if (!wasTracked && !this.#isClosed) {
      model.isTracked = true;
      model.generations.clear();
      for (const entry of model.entries.values()) {
        entry.isLoose = false;
        entry.generation = undefined;
        this.#unstampedNow(entry);
      }
    }
    const acts = this.#acts;
    const wasAdopting = this.#isAdopting;
    this.#isAdopting = true;
    try {
      this.#extraHandle = this.registry.adopt('extra', real, this.#policy('extra', undefined));
      if (wasTracked) this.find('a map is adopted twice');
    } catch (error) {
      const isExpected = wasTracked || this.#isClosed;
      if (!isExpected || !String((error as Loose)?.code).startsWith('ERR_')) throw error;
    } finally {
      this.#isAdopting = wasAdopting;
    }
    if (this.#acts > acts) this.#loosen(model);
    // A method of its own is under way, and writes past the wrapper that it has just got.
    if (this.#methodDepth === 0) return;
    model.isLoose = true;
    this.#loosen(model);
  }

  #release(): void {
    const model = this.models.get('extra') as ModelMap;
    const handle = this.#extraHandle;
    if (handle === undefined) return;
    this.#extraHandle = undefined;
    this.#loosen(model);
    model.isTracked = false;
    handle.release();
    handle.release();
    // All holds of its entries are over, also once it is adopted anew.
    for (const held of this.#holds.splice(0)) {
      const { hold, entry } = held;
      if (entry.map !== 'extra') this.#holds.push(held);
      else {
        if (hold.isHeld) this.find('a hold outlasts the release of its map');
        entry.holds -= 1;
      }
    }
    if (Object.getOwnPropertyNames(handle.map).length > 0) this.find('release leaves a trace');
  }

  /** Everything that only says something: it says what is so. From outside of callbacks it must change nothing. */
  #read(name: string, key: unknown): void {
    const { registry } = this;
    const isOutside = this.#depth === 0;
    const wasCalm = this.#isCalm;
    if (isOutside) this.#isCalm = true;
    const before = isOutside ? this.#state() : '';
    const report = registry.report();
    String(report);
    JSON.stringify(report);
    for (const { name: of, size } of report.maps) {
      if (isOutside && size !== this.#maps.get(of).size) this.find(`report says ${size} for ${of}`);
    }
    registry.health();
    registry.deadLetters();
    if (this.models.get(name)?.isTracked) {
      this.#released(() => {
        const { state } = registry.explain(name, key);
        const isThere = this.#maps.get(name).has(key);
        if (isOutside && (state === 'absent') === isThere) this.find(`explain says ${state} in ${name}`);
        registry.stamps(name, key);
        if (registry.isDue) registry.isDue(name, key);
        if (registry.hasRoom) registry.hasRoom(name);
      });
    }
    if (isOutside && this.#state() !== before) this.find('reading changes something');
    this.#isCalm = wasCalm;
  }

  #state(): string {
    const { maps, callbackErrors } = this.registry.report();
    const counts = maps.map(({ oldest, ...rest }: Loose) => rest);
    return JSON.stringify([this.registry.snapshot(), counts, callbackErrors]);
  }

  #wrong(which: number, key: unknown): void {
    const { registry } = this;
    const calls = [
      () => registry.touch('nope', key),
      () => registry.end(key, { reson: 'x' }),
      () => registry.on('end', () => {}),
      () => registry.adopt('', new Map()),
      () => registry.adopt('other', new WeakMap()),
      () => registry.close({ deadlin: 1 }),
    ];
    try {
      calls[which]?.();
    } catch (error) {
      if (/^ERR_/.test((error as Loose)?.code)) return;
      throw error;
    }
    this.find(`wrong call ${which} is no error`);
  }

  #value(map: string): Value {
    this.#serial += 1;
    void map;
    return {
      serial: this.#serial,
      endedAt: undefined,
      expiresAt: undefined,
      activeAt: undefined,
      kept: false,
      announced: false,
    };
  }

  #mutate(value: Value, how: number): void {
    const now = this.clock.now();
    if (how === 0) value.endedAt = now;
    else if (how === 1) value.endedAt = new Date(now - 60_000);
    else if (how === 2) value.expiresAt = now + 5_000;
    else if (how === 3) value.kept = !value.kept;
    else if (how === 4) value.activeAt = now + 1_000;
    else value.expiresAt = value.expiresAt === null ? 0 : null;
  }

  // --- The model ----------------------------------------------------------------------------------------------------

  /** A write to a map is about to reach the native one. */
  #writing(map: string, given: unknown, value: unknown, isSeen = true): Entry {
    this.sync();
    const model = this.models.get(map) as ModelMap;
    const key = given === 0 ? 0 : given;
    let entry = model.entries.get(key);
    if (entry === undefined) {
      entry = model.register(key, map === 'toString' ? key : value, this.now);
      if (this.registry === undefined && this.#depth > 0) entry.isLoose = true;
      if (model.isLoose) entry.isLoose = true;
    } else if (!Object.is(entry.value, value) && map !== 'toString') {
      if (model.disposes) (entry.isLoose ? model.mayBeReplaced : model.replaced).add(entry.value);
      entry.value = value;
    }
    if (map !== 'toString' && value !== null) this.#bySerial.set((value as Value).serial, entry);
    if (isSeen) this.#active(entry);
    if (map === 'runs' && this.#isInMethod + this.#methodDepth > 0) this.#joinInMethod(key);
    this.#pendingWrites.push({ map, key, value });
    return entry;
  }

  /** A method of an orphan's class may set its leader after the orphan was judged. */
  #joinInMethod(key: unknown): void {
    for (const [name, model] of this.models) {
      const companion = this.configOf(name).follows ? model.entries.get(key) : undefined;
      if (companion !== undefined) companion.isOfMethod = true;
    }
  }

  /** Runs a write. What is written in it is not about to be written afterwards. */
  #written(run: () => unknown): void {
    const before = new Set(this.#pendingWrites);
    try {
      run();
    } finally {
      this.#pendingWrites = this.#pendingWrites.filter((write) => before.has(write));
    }
  }

  #active(entry: Entry): void {
    this.#activeAt(entry);
    if (!this.configOf(entry.map).follows || entry.map === 'runs' || this.registry === undefined) return;
    const leader = this.models.get('runs')?.entries.get(entry.key);
    if (leader === undefined || !this.models.get(entry.map)?.isTracked) return;
    if (entry.isLoose) leader.mayBeActiveAt = this.now;
    else this.#activeAt(leader);
  }

  #activeAt(entry: Entry): void {
    entry.activeAt = Math.max(entry.activeAt, this.now);
    if (this.#isInMethod > 0 || this.#methodDepth > 0) entry.isOfMethod = true;
  }

  /** Has the model lose what the maps have lost. Nothing may be in a map that nobody set. */
  sync(): void {
    for (const [name, model] of this.models) {
      const real = this.#maps.get(name);
      if (real === undefined) continue;
      const isSet = name === 'toString';
      for (const entry of [...model.entries.values()]) {
        const isThere = real.has(entry.key) && (isSet || real.get(entry.key) === entry.value);
        const pending = this.#pendingWrites.findLastIndex(
          (write) => write.map === name && Object.is(write.key, entry.key),
        );
        if (isThere && pending >= 0) this.#pendingWrites.splice(pending, 1);
        if (isThere || pending >= 0) continue;
        model.leave(entry);
        entry.hasLeft = true;
      }
      for (const key of real.keys()) {
        if (!model.entries.has(key)) this.find(`${name} has ${String(key)}, which nobody set`);
      }
    }
  }

  #loosenAll(): void {
    for (const model of this.models.values()) {
      this.#loosen(model);
      if (this.#isClosed) model.isTracked = false;
    }
  }

  /** What becomes of the entries of a map is not foretold any more. */
  #loosen(model: ModelMap): void {
    for (const entry of model.all) entry.isLoose = true;
    for (const value of model.replaced) model.mayBeReplaced.add(value);
    model.undisposed.clear();
    model.replaced.clear();
  }

  /** What holds whenever the library is not in the middle of something. */
  #check(): void {
    this.#pendingWrites.length = 0;
    this.sync();
    for (const [name, model] of this.models) {
      const real = this.#maps.get(name);
      const order = [...model.entries.keys()];
      const isSame = [...real.keys()].every((key, index) => Object.is(key, order[index]));
      if (real.size !== order.length || !isSame) this.find(`${name} has other keys, or in another order`);
      for (const entry of model.undisposed) this.find(`${name}: ${String(entry.key)} is not disposed of`);
      if (model.replaced.size > 0) this.find(`${name}: nobody is told of a replaced value`);
      if (model.isTracked && !this.#isClosed) this.#checkStamps(name, model);
    }
    if (this.ended && !this.#isClosed) this.#checkTold();
  }

  #checkStamps(name: string, model: ModelMap): void {
    for (const entry of model.entries.values()) {
      const stamps = this.registry.stamps(name, entry.key);
      if (entry.isLoose || (stamps === undefined && this.#haunted.size > 0)) continue;
      if (stamps === undefined) {
        this.find(`${name}: ${String(entry.key)} has no stamps`);
        continue;
      }
      const { registeredAt, lastActiveAt, generation } = stamps;
      if (!(registeredAt <= lastActiveAt && lastActiveAt <= this.clock.now())) {
        this.find(`${name}: ${String(entry.key)} has stamps out of order: ${registeredAt}, ${lastActiveAt}`);
      }
      const seen = entry.generation;
      if (seen === undefined) {
        const last = model.generations.get(entry.key) ?? 0;
        if (generation <= last) this.find(`${name}: generation ${generation} after ${last}`);
        model.generations.set(entry.key, generation);
        entry.generation = generation;
        entry.shownRegisteredAt = registeredAt;
      } else if (seen !== generation || entry.shownRegisteredAt !== registeredAt) {
        this.find(`${name}: ${String(entry.key)} has changed its registration`);
      }
    }
  }

  #checkTold(): void {
    for (const entry of this.models.get('runs')?.all ?? []) {
      if (entry.isLoose || entry.isUnclear) continue;
      const expected = (entry.hasEnded || entry.hasLeft) && !entry.isSilent ? 1 : 0;
      if (entry.told !== expected) {
        this.find(
          `the end of ${String(entry.key)} (${entry.value && (entry.value as Value).serial}) is told ${entry.told} times, not ${expected}`,
        );
      }
    }
  }

  /** What `explain` says will happen is what a sweep does. */
  async #lookAndSweep(): Promise<void> {
    if (this.#isClosed) return;
    const wasCalm = this.#isCalm;
    this.#isCalm = true;
    // A sweep that is under way has judged entries before this moment.
    await this.registry.sweep();
    this.sync();
    const said: { entry: Entry; state: string }[] = [];
    for (const [name, model] of this.models) {
      if (!model.isTracked) continue;
      for (const entry of model.entries.values()) {
        if (!entry.isLoose) said.push({ entry, state: this.registry.explain(name, entry.key).state });
      }
    }
    await this.registry.sweep();
    this.sync();
    for (const { entry, state } of said) {
      const { follows, observe, beforeSweep, maxEntries } = this.configOf(entry.map);
      const isGone = entry.hasLeft === true;
      if (state === 'due' && !observe && !isGone && !beforeSweep) {
        this.find(`${entry.map}: ${String(entry.key)} was said to be due, and a sweep leaves it`);
      }
      const mayGo =
        state === 'due' || state === 'waiting' || follows || maxEntries !== undefined || beforeSweep;
      if (isGone && !mayGo)
        this.find(`${entry.map}: ${String(entry.key)} was said to be ${state}, and a sweep took it`);
    }
    this.#isCalm = wasCalm;
  }

  // --- The end ------------------------------------------------------------------------------------------------------

  /** Every callback behaves from now on: what is due goes, everybody is told, and nothing is left over. */
  async #calmDown(): Promise<void> {
    this.#where = 'calm';
    this.#isCalm = true;
    this.#calls = Number.NEGATIVE_INFINITY;
    for (const { hold, entry } of this.#holds.splice(0)) {
      hold.release();
      entry.holds -= 1;
    }
    for (const model of this.models.values()) {
      for (const { value } of model.entries.values()) {
        if (typeof value !== 'object' || value === null) continue;
        Object.assign(value, {
          endedAt: this.clock.now(),
          expiresAt: this.clock.now(),
          activeAt: undefined,
          kept: false,
        });
      }
    }
    const there = [...this.models.values()].flatMap((model) =>
      model.isTracked ? [...model.entries.values()] : [],
    );
    if (!this.#isClosed && !this.#isStopped) {
      await this.#manual.advance(12 * interval);
      this.#check();
      for (const entry of there) this.#checkGone(entry);
    }
    await this.#close();
  }

  #checkGone(entry: Entry): void {
    const config = this.configOf(entry.map);
    if (entry.hasLeft || entry.isLoose || config.observe) return;
    const latest = Math.max(...this.#deadlines(entry, config).map((set) => set.earliest));
    if (latest > this.now - 3 * interval) return;
    // Of what is not foretold nobody knows whether its activity counts.
    if (entry.mayBeActiveAt > this.now - 12 * interval) return;
    const { state, why } = this.registry.explain(entry.map, entry.key);
    if (state === 'waiting') return;
    this.find(`${entry.map}: ${String(entry.key)} is due and stays: ${state}, ${why}`);
  }

  async #close(): Promise<void> {
    this.#where = 'close';
    this.#isClosed = true;
    const closed = this.registry.close({ deadline: '20s' });
    this.#promises.push(closed);
    await this.#manual.advance(60_000);
    let isAll = false;
    void Promise.all(this.#promises).then(
      () => {
        isAll = true;
      },
      (error) => this.find(`a promise of the registry's rejects: ${String(error)}`),
    );
    await this.#manual.advance(0);
    if (!isAll && this.findings.length === 0) this.find('a promise of the registry never settles');
    if (this.#manual.pendingTimers > 0)
      this.find(`${this.#manual.pendingTimers} timers are left after close`);
  }
}
