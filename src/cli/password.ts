import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';

/** Everything on standard input, without the line end that `echo` and editors put behind it. */
export async function passwordFromStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) chunks.push(chunk);
  const text = Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '');
  if (text.includes('\n')) throw new Error('expected a single line with the password on standard input');
  return text;
}

/** Asks twice on the terminal, and shows nothing of what is typed. Throws without a terminal. */
export async function askPassword(name: string): Promise<string> {
  if (!process.stdin.isTTY) {
    throw new Error('there is no terminal to ask for the password on: use --password-stdin');
  }
  const password = await ask(`password for ${name}: `);
  if ((await ask('once more: ')) !== password) throw new Error('the two passwords differ');
  return password;
}

async function ask(question: string): Promise<string> {
  // The terminal is in raw mode while this reads, so that only what goes here would be shown.
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: silent, terminal: true, historySize: 0 });
  process.stderr.write(question);
  try {
    const left = new Promise<never>((_resolve, reject) => {
      lines.once('SIGINT', () => reject(new Error('given up')));
      lines.once('close', () => reject(new Error('given up')));
    });
    return await Promise.race([lines.question(''), left]);
  } finally {
    process.stderr.write('\n');
    lines.close();
  }
}
