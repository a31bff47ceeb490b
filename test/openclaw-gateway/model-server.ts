import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** A model that answers every chat completion with the same few words. */
export interface ModelServer {
  /** What `models.providers.*.baseUrl` names. */
  readonly baseUrl: string;
  /** Completions that it has begun. */
  readonly completions: number;
  /** Completions that are under way. */
  readonly underWay: number;
  /** How many completions were asked for with this text in what came after the last answer. */
  timesAsked(text: string): number;
  /** Ends all answers that were to last until then. */
  finish(): void;
  close(): Promise<void>;
}

/** What it answers. */
export const ANSWER = 'The ticket is done.';

/** Where a message says so, the answer is streamed for this long, a word a second. */
const SLOW = /answer for (\d+) seconds/;

/** Where a message says so, the answer is streamed until it is told to end, a word every 40 ms. */
export const UNTIL_TOLD = /answer until told/;

const LONGEST_BODY = 16_000_000;

/** Starts a server of the OpenAI chat completions API on loopback. */
export async function startModelServer(): Promise<ModelServer> {
  let completions = 0;
  let underWay = 0;
  const lastMessages: string[] = [];
  const untold = new Set<() => void>();
  const untilTold = (): Promise<void> => new Promise((resolve) => untold.add(resolve));
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) {
      body += chunk;
      if (body.length > LONGEST_BODY) return request.destroy();
    }
    if (request.method !== 'POST') {
      response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify({ object: 'list', data: [{ id: 'clerk', object: 'model' }] }));
      return;
    }
    completions += 1;
    underWay += 1;
    const id = `completion-${completions}`;
    const chat = JSON.parse(body) as ChatRequest;
    const asked = askedLast(chat);
    lastMessages.push(asked);
    await answer(response, id, { ...chat, asked }, untilTold).catch(() => response.destroy());
    underWay -= 1;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    baseUrl: `http://127.0.0.1:${port}/v1`,
    get completions() {
      return completions;
    },
    get underWay() {
      return underWay;
    },
    timesAsked: (text) => lastMessages.filter((asked) => asked.includes(text)).length,
    finish() {
      for (const tell of untold) tell();
      untold.clear();
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface ChatRequest {
  readonly stream?: boolean;
  readonly messages?: ReadonlyArray<{ readonly role: string; readonly content: unknown }>;
}

/** What came after the last answer: the history of a session holds earlier ones, and a release adds messages of its own. */
function askedLast({ messages = [] }: ChatRequest): string {
  const last = messages.findLastIndex(({ role }) => role === 'assistant');
  return JSON.stringify(messages.slice(last + 1));
}

async function answer(
  response: ServerResponse,
  id: string,
  { stream, asked }: Pick<ChatRequest, 'stream'> & { readonly asked: string },
  untilTold: () => Promise<void>,
): Promise<void> {
  if (stream !== true) {
    response.setHeader('Content-Type', 'application/json');
    const message = { role: 'assistant', content: ANSWER };
    response.end(JSON.stringify({ id, choices: [{ index: 0, message, finish_reason: 'stop' }] }));
    return;
  }
  const send = (delta: object, finishReason: string | null = null): void => {
    const choices = [{ index: 0, delta, finish_reason: finishReason }];
    response.write(
      `data: ${JSON.stringify({ id, object: 'chat.completion.chunk', model: 'clerk', choices })}\n\n`,
    );
  };
  response.setHeader('Content-Type', 'text/event-stream');
  send({ role: 'assistant', content: '' });
  const seconds = Number(SLOW.exec(asked)?.[1] ?? 0);
  for (let second = 0; second < seconds && !response.destroyed; second += 1) {
    await pause(1_000);
    send({ content: 'Working. ' });
  }
  if (UNTIL_TOLD.test(asked)) {
    let isTold = false;
    void untilTold().then(() => {
      isTold = true;
    });
    for (; !isTold && !response.destroyed; await pause(40)) send({ content: 'Working. ' });
  }
  await pause(20);
  send({ content: ANSWER });
  send({}, 'stop');
  response.end('data: [DONE]\n\n');
}
