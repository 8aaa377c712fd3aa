import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { type ClientHttp2Stream, connect } from 'node:http2';
import { connect as dial } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Account, Client, Pulled, Store } from './client.ts';
import { Containerd, keepsWrongBytes } from './containerd.ts';

/** Where the CRI plugin of containerd 1 finds hosts.toml; containerd 2 looks there by itself. */
const configuration = `version = 2
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "/etc/containerd/certs.d"
`;

/** Pulls as a kubelet or crictl has them done: one call of the CRI, and containerd does the rest. */
class CriStore implements Store {
  readonly #containerd: Containerd;
  readonly #home: string;

  constructor(containerd: Containerd, home: string) {
    this.#containerd = containerd;
    this.#home = home;
  }

  /** A kubelet has no login: the account goes with each call. */
  async login(_registry: string, account: Account): Promise<void> {
    await writeFile(join(this.#home, 'account.json'), JSON.stringify(account));
  }

  async pull(reference: string, architecture: string): Promise<Pulled> {
    const kept = await readFile(join(this.#home, 'account.json'), 'utf8').catch(() => undefined);
    const account = kept === undefined ? undefined : (JSON.parse(kept) as Account);
    await call(this.#containerd.address, 'PullImage', pullRequest(reference, account));
    return this.#containerd.read(reference, architecture);
  }

  push(): Promise<void> {
    throw new Error('the CRI has no push');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#containerd[Symbol.asyncDispose]();
  }
}

/** `PullImageRequest { image: ImageSpec { image }, auth: AuthConfig { username, password } }` as protobuf. */
function pullRequest(reference: string, account: Account | undefined): Buffer {
  const image = field(1, field(1, Buffer.from(reference)));
  if (account === undefined) return image;
  const fields = [field(1, Buffer.from(account.username)), field(2, Buffer.from(account.password))];
  return Buffer.concat([image, field(2, Buffer.concat(fields))]);
}

/** A field of bytes; 16 KiB at most. */
function field(number: number, value: Buffer): Buffer {
  const { length } = value;
  const size = length < 0x80 ? [length] : [(length & 0x7f) | 0x80, length >> 7];
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...size]), value]);
}

/** One unary call of the image service, by gRPC over a unix socket; a minute at most. */
async function call(socket: string, method: string, request: Buffer): Promise<void> {
  const session = connect('http://localhost', { createConnection: () => dial(socket) });
  session.on('error', () => {}); // the stream tells it
  try {
    const headers = { 'content-type': 'application/grpc', te: 'trailers' };
    const path = `/runtime.v1.ImageService/${method}`;
    const stream = session.request(
      { ':method': 'POST', ':path': path, ...headers },
      { signal: AbortSignal.timeout(60_000) },
    );
    const ending = outcome(stream);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(request.length, 1);
    stream.end(Buffer.concat([head, request]));
    const [, { status, message }] = await Promise.all([buffer(stream), ending]);
    if (status !== '0') throw new Error(`${method}: status ${status}\n${decodeURIComponent(message)}`);
  } finally {
    session.destroy();
  }
}

/** gRPC's status stands in the trailers, or in the head of an answer without a body. */
async function outcome(stream: ClientHttp2Stream): Promise<{ status: string; message: string }> {
  let found = { status: 'none', message: '' };
  const read = (headers: Readonly<Record<string, unknown>>) => {
    const { 'grpc-status': status, 'grpc-message': message = '' } = headers;
    if (status !== undefined) found = { status: String(status), message: String(message) };
  };
  stream.on('response', read).on('trailers', read);
  await once(stream, 'close');
  return found;
}

export const cri: Client = {
  version: ['containerd', '--version'],
  remarks: keepsWrongBytes,
  cannot: {
    'other platform': 'a node pulls for its own platform',
    push: 'the CRI has no push',
  },
  async open(machine, home) {
    await machine.write({ '/etc/containerd/config.toml': configuration });
    const containerd = await Containerd.start(machine, 'k8s.io');
    await ready(containerd);
    return new CriStore(containerd, home);
  },
};

/** containerd answers before its CRI plugin does. */
async function ready({ address }: Containerd): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await call(address, 'ListImages', Buffer.alloc(0));
    } catch (error) {
      if (attempt === 100) throw error;
    }
    await sleep(100);
  }
}
