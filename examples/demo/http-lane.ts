/**
 * One keep-alive connection to the gateway: HTTP/1.1 with nothing but what the gateway answers.
 *
 * The client of `node:http` costs more than the gateway and both of its registries together, and it is the gateway that
 * is on show.
 */
import { connect, type Socket } from 'node:net';

const HEADERS_END = '\r\n\r\n';
const STATUS_AT = 'HTTP/1.1 '.length;

interface Waiting {
  resolve(status: number): void;
  reject(error: Error): void;
}

/** Sends requests one after another, without waiting for the answers; those come in the same order. */
export class HttpLane {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #received = '';

  /** Connects to a port on 127.0.0.1. */
  constructor(port: number) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.setEncoding('latin1');
    this.#socket.on('data', (text: string) => this.#take(text));
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('close', () => this.#fail(new Error('the gateway closed the connection')));
  }

  /** Posts JSON; resolves with the status. Rejects where the connection fails. */
  post(path: string, body: Readonly<Record<string, unknown>>): Promise<number> {
    const json = JSON.stringify(body);
    const head = [
      `POST ${path} HTTP/1.1`,
      'Host: 127.0.0.1',
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(json)}`,
    ].join('\r\n');
    this.#socket.write(head + HEADERS_END + json);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
    });
  }

  /** Hangs up. */
  close(): void {
    this.#socket.destroy();
  }

  /** The gateway answers without a body, so an answer ends where its headers do. */
  #take(text: string): void {
    this.#received += text;
    for (;;) {
      const end = this.#received.indexOf(HEADERS_END);
      if (end === -1) return;
      const status = Number(this.#received.slice(STATUS_AT, STATUS_AT + 3));
      this.#received = this.#received.slice(end + HEADERS_END.length);
      this.#waiting.shift()?.resolve(status);
    }
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}
