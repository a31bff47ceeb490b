/** What the blocks of this chapter presume. */
import type { EndedEvent } from 'mapsweep';

export interface Run {
  runId: string;
  isBusy: boolean;
}

export interface Session {
  user: string;
}

export const deliver = async (_event: EndedEvent<unknown, Run>): Promise<void> => {};
