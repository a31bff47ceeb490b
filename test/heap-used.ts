/** The heap in use after two collections, bytes. @throws if Node runs without `--expose-gc` */
export function heapUsed(): number {
  const { gc } = globalThis;
  if (gc === undefined) throw new Error('these tests measure memory: run node with --expose-gc');
  gc();
  gc();
  return process.memoryUsage().heapUsed;
}
