import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';

/** What a handler reads of a request; that of `node:http`, Express and Fastify have it. */
export interface HandlerRequest {
  /** As `node:http` has it: upper case. */
  readonly method?: string | undefined;
  /** The path and the query. */
  readonly url?: string | undefined;
  /** The same as it was before it was mounted, in Express and Fastify. */
  readonly originalUrl?: string | undefined;
  /** By their names in lower case. */
  readonly headers: IncomingHttpHeaders;
}

/** What a handler writes to: the response of `node:http` and Express. */
export interface HandlerResponse {
  /** Is set before anything is written. */
  statusCode: number;
  /** Is called before anything is written. */
  setHeader(name: string, value: string | number): unknown;
  /** Is called once, with all of the body. */
  end(body?: string): unknown;
}

/** What a handler writes to in Fastify. */
export interface HandlerReply {
  /** The response of `node:http`; by it a reply is told from a response. */
  readonly raw: unknown;
  /** Sets the status. */
  code(statusCode: number): unknown;
  /** Sets all headers at once. */
  headers(values: OutgoingHttpHeaders): unknown;
  /** Is called once, with all of the body. */
  send(body: string): unknown;
}

/** Answers a request, in `node:http`, Express or Fastify. What it returns never rejects. */
export type Handler<Request extends HandlerRequest = HandlerRequest> = (
  request: Request,
  response: HandlerResponse | HandlerReply,
) => Promise<void>;

/** What is answered. */
export interface Answer {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly body: string;
}

/** The headers of an answer in plain text. */
export const plainText = { 'Content-Type': 'text/plain; charset=utf-8' };

/** Figures of this moment are nothing to keep, and a text of the owner's is nothing to take for a page. */
const everyAnswer = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' };

/** The methods of what is only looked at. */
export const toLook: readonly string[] = ['GET', 'HEAD'];

/**
 * Makes a handler of what answers GET and HEAD. Other methods are answered with 405. No answer is to be stored, and
 * HEAD has none of the body.
 *
 * @param answerTo if it rejects, that is a plain 500: what went wrong is no one's who asks
 * @param methods what it answers instead
 */
export function handlerOf<Request extends HandlerRequest = HandlerRequest>(
  answerTo: (request: Request) => Promise<Answer>,
  methods = toLook,
): Handler<Request> {
  return async (request, response) => {
    const isHead = request.method === 'HEAD';
    const isAnswered = methods.includes(request.method as string);
    const answer = isAnswered ? await answerTo(request).catch(() => failed) : methodNotAllowed(methods);
    // A reply of Fastify is thenable, and to return it is how an async handler says that it answers by itself.
    if (isReply(response)) return reply(response, answer) as never;
    try {
      respond(response, answer, isHead);
    } catch {
      // Somebody else has answered meanwhile, such as a middleware that ran out of patience.
    }
  };
}

/** The answer to a method that is not one of these. */
export const methodNotAllowed = (methods: readonly string[]): Answer => ({
  statusCode: 405,
  headers: { ...plainText, Allow: methods.join(', ') },
  body: 'Method not allowed\n',
});

const failed: Answer = { statusCode: 500, headers: plainText, body: 'There is no answer\n' };

const isReply = (response: HandlerResponse | HandlerReply): response is HandlerReply =>
  'raw' in response && 'send' in response;

function reply(to: HandlerReply, { statusCode, headers, body }: Answer): unknown {
  to.code(statusCode);
  to.headers({ ...everyAnswer, ...headers });
  // Fastify takes the body of a HEAD for its length.
  return to.send(body);
}

function respond(to: HandlerResponse, { statusCode, headers, body }: Answer, isHead: boolean): void {
  to.statusCode = statusCode;
  for (const [name, value] of Object.entries({ ...everyAnswer, ...headers })) to.setHeader(name, value);
  to.setHeader('Content-Length', Buffer.byteLength(body));
  if (isHead) to.end();
  else to.end(body);
}
