/** A size that rises, hour by hour. An hour is the length that the history was made with. */
export interface Growth {
  /** When the hours began that were asked for, monotonic ms. */
  readonly sinceAt: number;
  /** How much it grew in a ms, over those hours and the pauses between them. */
  readonly perMs: number;
  /** How much it grew in all of them. */
  readonly grown: number;
  /** When it had last grown, monotonic ms. */
  readonly lastAt: number;
  /**
   * The last quarter of the hours brought as much as the others did, as far as chance lets one see, and they all have
   * half as much as was usual before. What fills a set of limited size slows down.
   */
  readonly isSteady: boolean;
  /** How much it has fallen, of what it has risen, in all the time that is remembered; from 0 on. */
  readonly fallen: number;
}

/** The smallest size in an hour. */
export interface HourlySize {
  /** When the hour began, monotonic ms. */
  readonly startAt: number;
  readonly floor: number;
}

interface Hour extends HourlySize {
  floor: number;
}

/** So many hours are remembered: a week. */
const rememberedHours = 168;
const leastShare = 0.9;

/**
 * The size of something by hours, each by its smallest: what comes and goes lifts a size, only what stays lifts the
 * minimum. For maps from which nothing leaves, and for sizes of which nothing else is known.
 */
export class SizeHistory {
  readonly #originAt: number;
  /** What is called an hour here, ms. */
  readonly hourMs: number;
  /** By how much a count of as many single events may differ from what is expected; 0 for what is no count. */
  readonly #noise: number;
  readonly #hours: Hour[] = [];
  #isJudged = false;

  /** @param originAt when the first hour began, monotonic ms */
  constructor(originAt: number, hourMs: number, isCount: boolean) {
    this.#originAt = originAt;
    this.hourMs = hourMs;
    this.#noise = isCount ? 1 : 0;
  }

  /** What is remembered, oldest first; of hours in which nothing was judged there is none. */
  get hours(): readonly HourlySize[] {
    return this.#hours;
  }

  /** Goes on with the hours of an earlier life, oldest first; monotonic ms of this one. */
  goOn(hours: readonly HourlySize[]): void {
    if ((this.#hours[0]?.startAt ?? Infinity) < this.#originAt) return;
    const earlier = hours.filter(({ startAt }) => startAt < this.#originAt);
    this.#hours.unshift(...earlier.slice(-rememberedHours).map((hour) => ({ ...hour })));
    this.#hours.splice(0, this.#hours.length - rememberedHours);
  }

  /** Takes the size as it is now. Returns whether an hour is over, or it is the first size of this life. */
  add(at: number, size: number): boolean {
    const latest = this.#hours.at(-1);
    const isFirst = !this.#isJudged;
    this.#isJudged = true;
    // An hour that an earlier life began goes on: lives of minutes are no hours.
    const endAt = latest === undefined ? Number.NEGATIVE_INFINITY : latest.startAt + this.hourMs;
    if (latest !== undefined && at < endAt) {
      latest.floor = Math.min(latest.floor, size);
      return isFirst;
    }
    const startAt = this.#originAt + Math.floor((at - this.#originAt) / this.hourMs) * this.hourMs;
    this.#hours.push({ startAt: Math.max(startAt, endAt), floor: size });
    if (this.#hours.length > rememberedHours) this.#hours.shift();
    return true;
  }

  /** Returns how much it has grown in a ms over so many of the latest hours, or in all that are remembered if those are fewer. */
  risenPerMs(hours: number): number {
    const from = this.#hours.at(-1 - hours) ?? this.#hours[0];
    const to = this.#hours.at(-1);
    if (from === undefined || to === undefined || from === to) return 0;
    return (to.floor - from.floor) / (to.startAt - from.startAt);
  }

  /**
   * Returns how the size grew in the latest spans in which it did; `undefined` if it has not in as many, or by as much.
   *
   * @param count how many spans at least, those in between not counted in which it did not grow
   * @param least by how much it has to grow: where that takes more spans, in as many
   * @param hoursEach how long a span is. In one of 24 hours only what is there at night counts, and not what a load lifts by day
   */
  growth(count: number, least: number, hoursEach = 1): Growth | undefined {
    const spans = hoursEach === 1 ? this.#hours : this.#spansOf(hoursEach * this.hourMs);
    return this.#growthOf(spans, count, least, hoursEach * this.hourMs);
  }

  /** The whole spans that end now, each with its smallest size. */
  #spansOf(spanMs: number): HourlySize[] {
    const [first] = this.#hours;
    const last = this.#hours.at(-1);
    if (first === undefined || last === undefined) return [];
    // The hour that has just begun is the last of its span.
    const endAt = last.startAt + this.hourMs;
    const spans: Hour[] = [];
    for (const { startAt, floor } of this.#hours) {
      const spanAt = endAt - Math.ceil((endAt - startAt) / spanMs) * spanMs;
      if (spanAt < first.startAt) continue;
      const span = spans.at(-1);
      if (span?.startAt === spanAt) span.floor = Math.min(span.floor, floor);
      else spans.push({ startAt: spanAt, floor });
    }
    return spans;
  }

  #growthOf(spans: readonly HourlySize[], count: number, least: number, spanMs: number): Growth | undefined {
    // The span that has just begun is compared with the one before it, so that n spans have n rises.
    const rises: number[] = [];
    const to = spans.at(-1);
    if (to === undefined) return undefined;
    let from = to;
    let lastAt = 0;
    const isEnough = (): boolean => rises.length >= count && to.floor - from.floor >= least;
    for (let index = spans.length - 1; index > 0 && !isEnough(); index -= 1) {
      const span = spans[index] as HourlySize;
      const rise = span.floor - (spans[index - 1] as HourlySize).floor;
      if (rise <= 0) continue;
      if (rises.length === 0) lastAt = span.startAt;
      rises.unshift(rise);
      from = spans[index - 1] as HourlySize;
    }
    if (!isEnough()) return undefined;
    const grown = to.floor - from.floor;
    const perMs = grown / Math.max(spanMs, to.startAt - from.startAt);
    return {
      sinceAt: from.startAt,
      perMs,
      grown,
      lastAt,
      isSteady: this.#isSteady(rises) && perMs >= usualPerMs(spans, spanMs) / 2,
      fallen: fallenOf(spans),
    };
  }

  #isSteady(rises: readonly number[]): boolean {
    const quarter = Math.ceil(rises.length / 4);
    const mean = (sumOf(rises) * quarter) / rises.length;
    return sumOf(rises.slice(-quarter)) >= leastShare * mean - this.#noise * Math.sqrt(mean);
  }
}

/** How fast it rose in all the time that is remembered, no span counted for more than three times the median one. */
function usualPerMs(spans: readonly HourlySize[], spanMs: number): number {
  const rises = risesOf(spans).filter((rise) => rise > 0);
  const most = 3 * (rises.toSorted((a, b) => a - b)[rises.length >> 1] ?? 0);
  const lasted = (spans.at(-1) as HourlySize).startAt - (spans[0] as HourlySize).startAt;
  return sumOf(rises.map((rise) => Math.min(rise, most))) / Math.max(spanMs, lasted);
}

function fallenOf(spans: readonly HourlySize[]): number {
  const rises = risesOf(spans);
  const rose = sumOf(rises.filter((rise) => rise > 0));
  return rose === 0 ? 0 : (rose - sumOf(rises)) / rose;
}

const risesOf = (spans: readonly HourlySize[]): number[] =>
  spans.slice(1).map(({ floor }, index) => floor - (spans[index] as HourlySize).floor);

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
