import { chmodSync, constants, existsSync, openSync, readdirSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createConnection, createServer, type Server } from 'node:net';
import { join } from 'node:path';

/** Bytes that the path of a Unix socket may have everywhere (unix(7): 108 with the final zero; fewer elsewhere). */
const LONGEST = 100;
const SUFFIX = '.sock';
const DIRECTORY = 'fleet';

/** A directory of Unix sockets, each of which answers questions of one line; mode 0700, and the sockets 0600. */
export class Meeting {
  readonly directory: string;
  readonly #base: string;

  private constructor(directory: string, base: string) {
    this.directory = directory;
    this.#base = base;
  }

  /** Opens the one of a data directory (an absolute path), and makes both where they are missing. */
  static async open(root: string): Promise<Meeting> {
    const directory = join(root, DIRECTORY);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return new Meeting(directory, shortened(directory));
  }

  /** As {@link Meeting.open}, without making anything: `undefined` when it is not there. */
  static find(root: string): Meeting | undefined {
    const directory = join(root, DIRECTORY);
    return existsSync(directory) ? new Meeting(directory, shortened(directory)) : undefined;
  }

  /** The names that somebody has, or has left. */
  names(): readonly string[] {
    return readdirSync(this.directory)
      .filter((name) => name.endsWith(SUFFIX))
      .map((name) => name.slice(0, -SUFFIX.length));
  }

  /** Answers by a name until the server is closed. Throws when somebody has it, `EADDRINUSE`, dead or alive. */
  listen(name: string, answer: (question: string) => Promise<string>): Promise<Server> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      let question = '';
      socket.setEncoding('utf8').on('error', () => socket.destroy());
      socket.on('data', (text: string) => {
        question += text;
      });
      socket.on('end', () => {
        answer(question).then(
          (text) => socket.end(`${text}\n`),
          () => socket.destroy(),
        );
      });
    });
    const path = this.#path(name);
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, () => {
        chmodSync(path, 0o600);
        server.unref();
        resolve(server);
      });
    });
  }

  /** The answer of who has a name; `undefined` when nobody has, or does not answer within `milliseconds`. */
  ask(name: string, question: string, milliseconds: number): Promise<string | undefined> {
    return new Promise((resolve) => {
      const socket = createConnection(this.#path(name)).setEncoding('utf8');
      const timer = setTimeout(() => end(undefined), milliseconds);
      let answer = '';
      const end = (found: string | undefined): void => {
        clearTimeout(timer);
        socket.destroy();
        resolve(found);
      };
      socket.on('data', (text: string) => {
        answer += text;
      });
      // Whoever dies in the midst of an answer has given none.
      socket.once('end', () => end(answer.endsWith('\n') ? answer.slice(0, -1) : undefined));
      socket.once('error', () => end(undefined));
      socket.once('close', () => end(undefined));
      socket.end(question);
    });
  }

  /** Takes away what somebody left who is no more. */
  forget(name: string): void {
    rmSync(join(this.directory, `${name}${SUFFIX}`), { force: true });
  }

  #path(name: string): string {
    return join(this.#base, `${name}${SUFFIX}`);
  }
}

/** A way to a directory that is short enough; the descriptor in it stays open as long as the process lives. */
function shortened(directory: string): string {
  const isShort = Buffer.byteLength(join(directory, `${'x'.repeat(24)}${SUFFIX}`)) <= LONGEST;
  if (isShort) return directory;
  if (process.platform !== 'linux') {
    throw new Error(`${directory} is too long a path for sockets: choose a shorter storage.root for several processes`);
  }
  return `/proc/self/fd/${openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY)}`;
}
