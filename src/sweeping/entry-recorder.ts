/** Whoever writes down what is in a map, so that it survives a restart. None of its methods may throw or call back. */
export interface EntryRecorder {
  registered(slot: number): void;
  /** The entry has another value now. */
  overwritten(slot: number): void;
  /** The entry was set or touched now. */
  active(slot: number): void;
  /** A companion of the entry was, now. */
  used(slot: number): void;
  /** The entry was active at other instants than was known. */
  restamped(slot: number): void;
  /** The entry is leaving; its stamps are still there. */
  left(slot: number): void;
}
