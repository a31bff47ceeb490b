import type { Readable } from 'node:stream';

/** A form has a key, a token or nothing in it. */
const longestFormBytes = 8_192;
/** So much is read of what is too long, for the next request of the connection, which stands behind it. */
const longestReadBytes = 1_000_000;

/** A request whose body a parser has read, or that is still to be read. */
export interface FormRequest {
  /** What a parser of Express or Fastify has made of it. */
  readonly body?: unknown;
  /** The request of `node:http`, in Fastify. */
  readonly raw?: unknown;
}

/** The fields of a form, by name. */
export type Form = ReadonlyMap<string, string>;

/**
 * Reads what a form of the page has sent. They are sent as plain text, which every framework takes without a parser;
 * what a parser has made of one is taken too.
 *
 * @returns `undefined` if it is too long
 */
export async function readForm(request: FormRequest): Promise<Form | undefined> {
  const { body: given } = request;
  const body = given instanceof Uint8Array ? Buffer.from(given).toString('utf8') : given;
  if (typeof body === 'string') return body.length > longestFormBytes ? undefined : fieldsOf(body);
  if (typeof body === 'object' && body !== null && Object.keys(body).length > 0) {
    return new Map(
      Object.entries(body).filter((field): field is [string, string] => typeof field[1] === 'string'),
    );
  }
  const text = await textOf((request.raw ?? request) as Readable);
  return text === undefined ? undefined : fieldsOf(text);
}

async function textOf(stream: Readable): Promise<string | undefined> {
  if (stream.readableEnded) return '';
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    length += (chunk as Buffer).length;
    if (length <= longestFormBytes) chunks.push(chunk as Buffer);
    if (length > longestReadBytes) break;
  }
  return length > longestFormBytes ? undefined : Buffer.concat(chunks).toString('utf8');
}

/** Returns whether something of a form was left unread: its connection is of no use any more. */
export const isCutOff = (request: FormRequest): boolean =>
  ((request.raw ?? request) as Partial<Readable>).readableEnded === false;

/** A line for each field: a field of the page has one line, and a value may have any `=` in it. */
function fieldsOf(text: string): Form {
  const fields = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const end = line.indexOf('=');
    if (end > 0) fields.set(line.slice(0, end), line.slice(end + 1));
  }
  return fields;
}
