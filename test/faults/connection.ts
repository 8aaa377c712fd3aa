import { connect, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';

/** What came of sending bytes. */
export interface Heard {
  readonly text: string;
  /** The other side ended the connection. */
  readonly closed: boolean;
}

export interface Dialled {
  readonly port: number;
  /** With it the connection speaks TLS. */
  readonly tls?: Pick<ConnectionOptions, 'ca' | 'servername' | 'checkServerIdentity'>;
}

/**
 * Sends bytes and listens until the connection is over, what came is enough, or nothing has come for `idle`
 * milliseconds.
 */
export function send(
  { port, tls }: Dialled,
  bytes: Buffer | string,
  idle: number,
  isEnough: (text: string) => boolean = () => false,
): Promise<Heard> {
  return new Promise((resolve) => {
    const socket: Socket =
      tls === undefined ? connect({ host: '127.0.0.1', port }) : connectTls({ host: '127.0.0.1', port, ...tls });
    let text = '';
    let closed = false;
    const quit = (): void => {
      socket.destroy();
    };
    let timer = setTimeout(quit, idle);
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (isEnough(text)) return quit();
      clearTimeout(timer);
      timer = setTimeout(quit, idle);
    });
    socket.on('end', () => {
      closed = true;
    });
    socket.on('error', () => {
      closed = true;
    });
    socket.on('close', () => {
      clearTimeout(timer);
      resolve({ text, closed });
    });
    socket.write(bytes);
  });
}

/** The statuses of the answers in a text, interim ones left out; bodies are told by their Content-Length. */
export function statusesOf(text: string): number[] {
  const found: number[] = [];
  for (let at = 0; at < text.length; ) {
    const head = /^HTTP\/1\.1 (\d{3})[^\n]*\n([\s\S]*?)\r\n\r\n/.exec(text.slice(at));
    if (head === null) break;
    const status = Number(head[1]);
    if (status >= 200) found.push(status);
    const length = /^content-length: (\d+)/im.exec(head[2] ?? '')?.[1];
    const chunks = /^transfer-encoding: chunked/im.test(head[2] ?? '');
    at += head[0].length + (chunks ? Math.max(0, text.indexOf('0\r\n\r\n', at) - at) + 5 : Number(length ?? 0));
  }
  return found;
}
