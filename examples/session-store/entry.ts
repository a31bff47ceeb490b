/** What a gateway keeps of a session. */
export interface SessionEntry {
  updatedAt: number;
  /** Where the transcript is, a file beside the store. */
  transcript: string;
  /** The skills as they were when it began: most of the 30 kB of an entry. */
  skills: string;
}

/** Where sessions are kept. */
export interface SessionStore {
  save(key: string, entry: SessionEntry): void;
  get(key: string): SessionEntry | undefined;
  readonly size: number;
  close(): Promise<void>;
}
