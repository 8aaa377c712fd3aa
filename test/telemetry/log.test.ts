import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { publish } from '../../src/events.ts';
import { openLog, textLine } from '../../src/telemetry/log.ts';

const NOON = new Date(2026, 10, 21, 12, 0, 5);
const refused = Object.assign(new Error('connect ECONNREFUSED 192.0.2.1:443'), { code: 'ECONNREFUSED' });

/** What the log writes to its descriptor while `act` runs. */
function logged(t: ExecutionContext, options: Omit<Parameters<typeof openLog>[0], 'fd'>, act: () => void): string {
  const directory = mkdtempSync(join(tmpdir(), 'layover-log-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'out');
  const fd = openSync(file, 'w');
  const close = openLog({ ...options, fd });
  act();
  close();
  closeSync(fd);
  return readFileSync(file, 'utf8');
}

test('a notice on a terminal is one readable line with its fields and the chain of causes', (t) => {
  const error = new Error('no address of registry-1.docker.io answers', { cause: refused });
  t.is(
    textLine(
      { level: 'warn', message: 'the upstream does not answer', fields: { upstream: 'docker.io' }, error },
      NOON,
    ),
    '12:00:05 warn  the upstream does not answer upstream=docker.io ' +
      '(no address of registry-1.docker.io answers: connect ECONNREFUSED 192.0.2.1:443)\n',
  );
});

test('a cause that the outer error already quotes is not said twice', (t) => {
  const error = new Error(`request failed: ${refused.message}`, { cause: refused });
  t.regex(textLine({ level: 'error', message: 'x', error }, NOON), /x \(request failed: connect ECONN[^(]*443\)\n$/);
});

test('a failure to connect to several addresses names each of them', (t) => {
  const error = new AggregateError([new Error('connect A'), new Error('connect B')]);
  t.regex(textLine({ level: 'error', message: 'x', error }, NOON), /\(connect A, connect B\)/);
});

test('text of a client cannot start a line of its own or steer the terminal', (t) => {
  const line = textLine({ level: 'info', message: 'a\nb\x1b[31m', fields: { host: 'c\r\nd' } }, NOON);
  t.is(line, '12:00:05 info  a\\x0Ab\\x1B[31m host=c\\x0D\\x0Ad\n');
});

test('a cycle of causes ends', (t) => {
  const error = new Error('outer');
  error.cause = new Error('inner', { cause: error });
  t.regex(textLine({ level: 'error', message: 'x', error }, NOON), /\(outer: inner\)/);
});

test.serial('the JSON log has one object per notice, with the error, its code and its cause', (t) => {
  const output = logged(t, { level: 'info', format: 'json' }, () =>
    publish('notice', {
      level: 'error',
      message: 'cannot store',
      fields: { digest: 'sha256:ab' },
      error: new Error('write failed', { cause: refused }),
    }),
  );
  const line = JSON.parse(output);
  t.like(line, { level: 'error', message: 'cannot store', digest: 'sha256:ab' });
  t.like(line.error, { name: 'Error', message: 'write failed', cause: { code: 'ECONNREFUSED' } });
  t.regex(line.time, /^\d{4}-\d\d-\d\dT/);
  t.regex(line.error.stack, /log\.test\.ts/);
});

test.serial('no form of a secret in a foreign error reaches the log', (t) => {
  const act = (): void =>
    publish('notice', {
      level: 'warn',
      message: 'asked https://u:s3cret@a.test/v2/?token=s3cret',
      fields: { url: 'https://cdn.test/x?sig=s3cret' },
      error: new Error('Authorization: Basic czNjcmV0czNjcmV0', { cause: 'https://u:s3cret@b.test/' }),
    });
  for (const format of ['json', 'text'] as const) {
    const output = logged(t, { level: 'info', format }, act);
    t.notRegex(output, /s3cret|czNjcmV0/);
    t.regex(output, /cdn\.test/);
  }
});

test.serial('notices below the level are not written', (t) => {
  const output = logged(t, { level: 'warn', format: 'text' }, () => {
    for (const level of ['debug', 'info', 'warn', 'error'] as const)
      publish('notice', { level, message: `of ${level}` });
  });
  t.deepEqual(output.match(/of \w+/g), ['of warn', 'of error']);
});
