/**
 * The load of `--serve`: batch after batch, against both gateways, in real time. A minute of a batch takes a second of
 * it, so that runs begin and end while somebody looks.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createBatch, type Operation, TICKETS_START_WITHIN_MS } from './batch.ts';
import type { GatewayClient } from './client.ts';

const GATEWAY_MS_PER_MS = 60;
const TICKETS_A_BATCH = 40;

/** Sends the same requests to all gateways until it is told to stop. Rejects when one does not answer. */
export async function playOn(
  clients: readonly GatewayClient[],
  seed: number,
  signal: AbortSignal,
): Promise<void> {
  const failed = new AbortController();
  const over = AbortSignal.any([signal, failed.signal]);
  const playing = new Set<Promise<void>>();
  for (let batch = 0; !over.aborted; batch++) {
    const played = playBatch(clients, operationsOf(seed + batch), over).catch((error: unknown) => {
      if (!over.aborted) failed.abort(error);
    });
    playing.add(played);
    void played.then(() => playing.delete(played));
    // The next one begins when all runs of this one have begun. Most of them still go on then.
    await sleep(TICKETS_START_WITHIN_MS / GATEWAY_MS_PER_MS, undefined, { signal: over }).catch(() => {});
  }
  await Promise.all(playing);
  failed.signal.throwIfAborted();
}

/** Without the runs that live for a day, and the one-shot ones: both gateways keep those for a while. */
function operationsOf(seed: number): Operation[] {
  const { operations, runs } = createBatch({ seed, tickets: TICKETS_A_BATCH });
  return operations.filter(({ run }) => !runs[run]!.active && runs[run]!.kind !== 'run');
}

async function playBatch(
  clients: readonly GatewayClient[],
  operations: readonly Operation[],
  signal: AbortSignal,
): Promise<void> {
  const startedAt = performance.now();
  for (const operation of operations) {
    const inMs = startedAt + operation.atMs / GATEWAY_MS_PER_MS - performance.now();
    if (inMs > 0) await sleep(inMs, undefined, { signal });
    signal.throwIfAborted();
    await Promise.all(clients.map((client) => client.send(operation)));
  }
}
