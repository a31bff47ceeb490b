/** A text without any character that the encoding of a database may lack: as JSON escapes them, and the same JSON. */
export const inAscii = (text: string): string =>
  text.replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
