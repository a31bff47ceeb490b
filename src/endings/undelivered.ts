import { counted, shownKey } from '../events/shown.js';

/** Warns, by a warning of the process, of endings of which nobody will hear. */
export function warnOfUndelivered(what: string): void {
  process.emitWarning(`mapsweep: ${what}`, { code: 'MAPSWEEP_UNDELIVERED' });
}

/** What {@link warnOfUndelivered} says of endings that were pending when a registry was detached. */
export function leftUndelivered(registry: string | undefined, count: number): string {
  return (
    `${notDelivered(registry, count)} detached, and without persistTo nobody will hear of them. await close() delivers ` +
    'them first'
  );
}

/** The same where it had a journal, which could not be written: the next life may know of them, or not. */
export function leftUnwritten(registry: string | undefined, count: number): string {
  return (
    `${notDelivered(registry, count)} closed, and its journal could not be written, so that perhaps nobody will hear of ` +
    'them. The event journal-failed has the error'
  );
}

function notDelivered(registry: string | undefined, count: number): string {
  const endings = counted(count, 'ending was', 'endings were');
  return `${endings} not delivered when the registry ${shownKey(registry)} was`;
}

/** The same of the first run that ends when a registry delivers nothing any more. */
export function endedTooLate(registry: string | undefined): string {
  return (
    `a run has ended after the registry ${shownKey(registry)} was closed, and without persistTo nobody will hear of it, nor ` +
    'of others. End what is to be told of before close()'
  );
}
