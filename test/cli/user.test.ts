import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, lstat, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import test, { type ExecutionContext } from 'ava';
import { compareSync } from 'bcryptjs';
import { parseHtpasswd } from '../../src/users/htpasswd.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');

async function directory(t: ExecutionContext, config = 'users: { file: ./users.htpasswd }\n'): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'layover-user-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  await writeFile(join(dir, 'gateway.yaml'), config);
  return dir;
}

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly complaint: string;
}

async function layover(dir: string, args: readonly string[], input = ''): Promise<Ran> {
  const child = spawn(process.execPath, [MAIN, ...args, '--config', 'gateway.yaml'], { cwd: dir });
  child.stdin.end(input);
  const [out, complaint, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: code as number, out, complaint };
}

async function hashIn(dir: string, name: string): Promise<string> {
  const file = join(dir, 'users.htpasswd');
  return parseHtpasswd(await readFile(file, 'utf8'), file).get(name)?.hash ?? '';
}

test('a user is added, gets another password, is listed and removed', async (t) => {
  const dir = await directory(t);
  const file = join(dir, 'users.htpasswd');
  const added = await layover(dir, ['user', 'add', 'ada', '--password-stdin'], 'first one\n');
  t.is(added.out, `ada was added to ${file}; a running gateway notices by itself\n`);
  t.true(compareSync('first one', await hashIn(dir, 'ada')));
  t.regex(await hashIn(dir, 'ada'), /^\$2b\$12\$/);
  t.is((await stat(file)).mode & 0o777, 0o600);
  await chmod(file, 0o644);
  const changed = await layover(dir, ['user', 'add', 'ada', '--password-stdin'], 'another');
  t.regex(changed.out, /^ada has another password in /);
  t.true(compareSync('another', await hashIn(dir, 'ada')));
  t.is((await stat(file)).mode & 0o777, 0o600);
  await layover(dir, ['user', 'add', 'bob', '--password-stdin'], 'of bob\r\n');
  t.true(compareSync('of bob', await hashIn(dir, 'bob')));
  t.is((await layover(dir, ['user', 'list'])).out, 'ada\nbob\n');
  t.is((await layover(dir, ['user', 'list', '--json'])).out, '["ada","bob"]\n');
  t.is((await layover(dir, ['user', 'remove', 'ada'])).code, 0);
  t.is((await layover(dir, ['user', 'list'])).out, 'bob\n');
  t.deepEqual((await readdir(dir)).sort(), ['gateway.yaml', 'users.htpasswd']);
  await symlink(file, join(dir, 'link'));
  await layover(dir, ['user', 'remove', 'bob', '--file', 'link']);
  t.true((await lstat(join(dir, 'link'))).isSymbolicLink());
  t.is(await hashIn(dir, 'bob'), '');
});

test('what cannot be a user is refused, and the file stays as it was', async (t) => {
  const dir = await directory(t);
  const cases: readonly (readonly [readonly string[], string, RegExp])[] = [
    [['user', 'add', 'ada'], '', /no terminal .* --password-stdin/],
    [['user', 'add', 'ada', 'secret'], '', /never given as a word/],
    [['user', 'add', 'ada', '--password-stdin'], '', /the password is empty/],
    [['user', 'add', 'ada', '--password-stdin'], '\n', /the password is empty/],
    [['user', 'add', 'ada', '--password-stdin'], 'one\ntwo\n', /a single line/],
    [['user', 'add', 'ada', '--password-stdin'], 'x'.repeat(73), /72 bytes/],
    [['user', 'add', 'a:b', '--password-stdin'], 'secret', /128 characters/],
    [['user', 'add', '--password-stdin'], 'secret', /expected a name/],
    [['user', 'remove', 'ada'], '', /has no user ada/],
    [['user'], '', /expected user add NAME/],
  ];
  const ran = await Promise.all(cases.map(([args, input]) => layover(dir, args, input)));
  for (const [index, { code, out, complaint }] of ran.entries()) {
    const [args = [], , message = /^$/] = cases[index] ?? [];
    t.deepEqual([code, out], [1, ''], args.join(' '));
    t.regex(complaint, message);
    t.notRegex(complaint, /secret|\n\s+at /);
  }
  t.deepEqual(await readdir(dir), ['gateway.yaml']);
});

test('without a file in the configuration one has to be named, and one of another sort is not written to', async (t) => {
  const dir = await directory(t, '');
  t.regex((await layover(dir, ['user', 'list'])).complaint, /names no users\.file: set it, or name one by --file/);
  await writeFile(join(dir, 'other'), '# kept\neve:$apr1$abc$def\n');
  const ran = await layover(dir, ['user', 'add', 'ada', '--password-stdin', '--file', 'other'], 'secret');
  t.regex(ran.complaint, /other:2: expected the password of eve as bcrypt/);
  t.is(await readFile(join(dir, 'other'), 'utf8'), '# kept\neve:$apr1$abc$def\n');
  t.is((await layover(dir, ['user', 'add', 'ada', '--password-stdin', '--file', 'new'], 'secret')).code, 0);
});

test('on a terminal the password is asked for twice, and nothing of it is shown', async (t) => {
  if (spawnSync('script', ['--version']).status !== 0) {
    t.log('skipped: there is no program `script` to give a terminal');
    t.pass();
    return;
  }
  const dir = await directory(t);
  const asked = async (...answers: readonly string[]): Promise<string> => {
    const line = `'${process.execPath}' '${MAIN}' user add ada --config gateway.yaml`;
    const child = spawn('script', ['-qefc', line, '/dev/null'], { cwd: dir });
    let shown = '';
    const prompts = ['password for ada: ', 'once more: '];
    child.stdout.on('data', (chunk: Buffer) => {
      shown += chunk;
      while (prompts[0] !== undefined && shown.includes(prompts[0])) {
        child.stdin.write(`${answers[2 - prompts.length]}\r`);
        prompts.shift();
      }
    });
    await once(child, 'close');
    return shown;
  };
  t.regex(await asked('hunter2', 'hunter3'), /the two passwords differ/);
  t.regex(await asked('\x03', ''), /given up/);
  t.deepEqual(await readdir(dir), ['gateway.yaml']);
  const shown = await asked('hunter2!\x7f', 'hunter2');
  t.regex(shown, /ada was added/);
  t.notRegex(shown, /hunter|\*/);
  t.true(compareSync('hunter2', await hashIn(dir, 'ada')));
});

test('check warns of a file of users that others can read, that is empty, weak or wrong', async (t) => {
  const dir = await directory(t);
  const file = join(dir, 'users.htpasswd');
  const warnings = async (): Promise<readonly string[]> => {
    const { out } = await layover(dir, ['check', '--json']);
    const found = JSON.parse(out) as { warnings: { key: string; message: string }[] };
    return found.warnings.filter(({ key }) => key === 'users.file').map(({ message }) => message.replaceAll(dir, '.'));
  };
  t.regex((await warnings()).join(), /^ENOENT/);
  await writeFile(file, '', { mode: 0o644 });
  t.deepEqual(await warnings(), [
    './users.htpasswd can be read or changed by others (mode 644): chmod 600 ./users.htpasswd',
    './users.htpasswd names no users: add one by "layover user add NAME"',
  ]);
  await chmod(file, 0o600);
  await writeFile(file, `eve:$2y$05$${'a'.repeat(53)}\nada:$2b$12$${'a'.repeat(53)}\n`);
  t.regex((await warnings()).join('\n'), /^bcrypt with a cost below 10 for eve: [^\n]*$/);
  await writeFile(file, 'eve:plain\n');
  t.regex((await warnings()).join('\n'), /^\.\/users\.htpasswd:1: expected the password of eve as bcrypt[^\n]*$/);
});
