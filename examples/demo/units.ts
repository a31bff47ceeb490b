/** Numbers as a person reads them. */

/** `1,400`, whatever the locale of the machine. */
export const grouped = (value: number): string => value.toLocaleString('en-GB');

/** `44 min`, `24 h 55 min`. */
export const hoursAndMinutes = (ms: number): string => {
  const hours = Math.floor(ms / 3_600_000);
  const minutes = Math.floor((ms % 3_600_000) / 60_000);
  return hours === 0 ? `${minutes} min` : `${hours} h ${minutes} min`;
};

/** `07:05:09`. */
export const gatewayTime = (ms: number): string =>
  [ms / 3_600_000, (ms / 60_000) % 60, (ms / 1_000) % 60]
    .map((part) => String(Math.floor(part)).padStart(2, '0'))
    .join(':');

/** `53.4 MB`. */
export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** `6.2 s`. */
export const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

/** `14 ms`. */
export const milliseconds = (ms: number): string => `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;

/** `1 run`, `2,800 runs`. */
export const counted = (value: number, one: string, many = `${one}s`): string =>
  `${grouped(value)} ${value === 1 ? one : many}`;
