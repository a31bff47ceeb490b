import { fileURLToPath } from 'node:url';
import { shownText } from '../events/shown.js';

/** The library's own frames, a few of the engine such as that of a `forEach`, and room for a wrapper or two. */
const mostFrames = 25;

/** A longer line is none that a path and a name make: somebody has named a function so. */
const longestLine = 8_192;

/** Stands for a site if nothing outside the library is on the stack, as in a bundle of both without a source map. */
const unknownSite = 'unknown';

interface Frame {
  /** As a person reads it: `startRun (/app/runs.ts:12:8)`. */
  readonly text: string;
  /** File, line and column; in code made of a string, who made it. */
  readonly place: string;
}

/**
 * Returns the first frame of the present stack that is neither the library's nor the engine's, as a stack trace shows it:
 * `startRun (/app/runs.ts:12:8)`. If the process has source maps enabled, they count. Escaped and cut, since functions
 * can have any name.
 */
export function callSite(): string {
  const holder: { stack?: unknown } = {};
  const limit: unknown = Error.stackTraceLimit;
  // It cannot be set if the process has frozen its intrinsics; then the frames that there are must do.
  Reflect.set(Error, 'stackTraceLimit', mostFrames);
  try {
    Error.captureStackTrace(holder);
    return shownText(firstForeignFrame(String(holder.stack)));
  } catch {
    // A `prepareStackTrace` of somebody threw.
    return unknownSite;
  } finally {
    Reflect.set(Error, 'stackTraceLimit', limit);
  }
}

/**
 * Returns the first frame of a stack trace that is in no file of this package. The first of all is `callSite` itself,
 * and says where those are: in `src` or `dist`, in `node_modules` or elsewhere, before or behind source maps.
 */
export function firstForeignFrame(stack: string): string {
  const [own, ...frames] = stack
    .split('\n')
    .map(parsed)
    .filter((frame) => frame !== undefined);
  const place = own?.place ?? '';
  const packageRoot = /^(.*[\\/])diagnosis[\\/]call-site\.[jt]s:\d+:\d+$/.exec(place)?.[1];
  // Under another name this file has become part of a bundle, of which only source maps could tell the parts.
  const prefix = packageRoot ?? place.replace(/\d+:\d+$/, '');
  return frames.find(({ place }) => !place.startsWith(prefix))?.text ?? unknownSite;
}

/** Reads one line of a stack trace; `undefined` for a line that is no frame, and for one of the engine or of Node. */
function parsed(line: string): Frame | undefined {
  const text = line.length > longestLine ? undefined : /^ *at (?:async )?(.+)$/.exec(line)?.[1];
  if (text === undefined) return undefined;
  const [, name, location] = /^(?:(.*?) \()?(.+:\d+:\d+)\)?$/.exec(text) ?? [];
  if (location === undefined || location.startsWith('node:')) return undefined;
  const place = placeOf(location);
  return { text: name === undefined ? place : `${name} (${place})`, place };
}

function placeOf(location: string): string {
  if (!location.startsWith('file:')) return location;
  // A loader may have added a query to the URL; the line and column stand behind it.
  const [, url = location, , place = ''] = /^(.*?)(\?.*?)?((?::\d+){2})?$/.exec(location) ?? [];
  return fileURLToPath(url) + place;
}
