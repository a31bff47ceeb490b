import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** A network between a gateway and its server that can be cut, and can swallow what goes through it. */
export class CuttableProxy {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  readonly #silent = new Set<readonly [Socket, Socket]>();
  #isCut = false;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async to(port: number): Promise<CuttableProxy> {
    const server = createServer();
    const proxy = new CuttableProxy(server);
    server.on('connection', (near) => proxy.#accept(near, port));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  get connections(): number {
    return this.#pairs.size;
  }

  /** Ends all connections, and refuses new ones. */
  cut(): void {
    this.#isCut = true;
    this.#end([...this.#pairs]);
  }

  /** Ends the oldest connections, as many as are asked for; new ones come through. */
  cutOldest(count: number): void {
    this.#end([...this.#pairs].slice(0, count));
  }

  /**
   * Loses every byte of the present connections from here on, and says nothing of it, nor to the server that the gateway closes
   * one; new ones come through.
   */
  swallow(): void {
    for (const pair of this.#pairs) this.#silent.add(pair);
  }

  /** Keeps what the server says to the present connections, until {@link CuttableProxy.letGo}. */
  hold(): void {
    for (const [, far] of this.#pairs) far.pause();
  }

  /** Hands on what was kept. */
  letGo(): void {
    for (const [, far] of this.#pairs) far.resume();
  }

  /** Lets new connections through again. */
  heal(): void {
    this.#isCut = false;
  }

  close(): void {
    this.cut();
    this.#server.close();
  }

  #accept(near: Socket, port: number): void {
    if (this.#isCut) {
      near.destroy();
      return;
    }
    const far = connect(port, '127.0.0.1');
    const pair = [near, far] as const;
    this.#pairs.add(pair);
    for (const [from, to] of [pair, [far, near] as const]) {
      from.on('data', (bytes) => {
        if (!this.#silent.has(pair)) to.write(bytes);
      });
      from.on('error', () => {});
      from.on('close', () => {
        if (from === far || !this.#silent.has(pair)) this.#end([pair]);
      });
    }
  }

  #end(pairs: ReadonlyArray<readonly [Socket, Socket]>): void {
    for (const pair of pairs) {
      this.#pairs.delete(pair);
      this.#silent.delete(pair);
      for (const socket of pair) socket.destroy();
    }
  }
}
