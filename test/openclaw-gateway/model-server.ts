import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** A model that answers every chat completion with the same few words. */
export interface ModelServer {
  /** What `models.providers.*.baseUrl` names. */
  readonly baseUrl: string;
  /** Completions that it has begun. */
  readonly completions: number;
  close(): Promise<void>;
}

/** What it answers. */
export const ANSWER = 'The ticket is done.';

/** Where a message says so, the answer is streamed for this long, a word a second. */
const SLOW = /answer for (\d+) seconds/;

const LONGEST_BODY = 16_000_000;

/** Starts a server of the OpenAI chat completions API on loopback. */
export async function startModelServer(): Promise<ModelServer> {
  let completions = 0;
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
    const id = `completion-${completions}`;
    await answer(response, id, JSON.parse(body) as ChatRequest).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    baseUrl: `http://127.0.0.1:${port}/v1`,
    get completions() {
      return completions;
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

async function answer(
  response: ServerResponse,
  id: string,
  { stream, messages = [] }: ChatRequest,
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
  // Of the last message alone: the history of a session holds earlier ones.
  const seconds = Number(SLOW.exec(JSON.stringify(messages.at(-1) ?? ''))?.[1] ?? 0);
  for (let second = 0; second < seconds && !response.destroyed; second += 1) {
    await pause(1_000);
    send({ content: 'Working. ' });
  }
  await pause(20);
  send({ content: ANSWER });
  send({}, 'stop');
  response.end('data: [DONE]\n\n');
}
