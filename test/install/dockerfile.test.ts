import { access } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { parse } from 'yaml';
// @ts-expect-error The launcher is plain JavaScript without types: it compares versions before any TypeScript can run.
import { compareVersions, securityFloor } from '../../bin/launch.js';
import { readDocument } from '../support/markdown.ts';

const ROOT = join(import.meta.dirname, '../..');
const dockerfile = await readDocument('Dockerfile');
const instructions = dockerfile
  .replaceAll(/\\\n/g, ' ')
  .split('\n')
  .map((line) => line.trim());

function last(name: string): string {
  return instructions.findLast((line) => line.startsWith(`${name} `))?.slice(name.length + 1) ?? '';
}

test('the image is based on a version of Node.js that is known to be safe', (t) => {
  const [, version = ''] = /^docker\.io\/library\/node:(\d+\.\d+\.\d+)-\w+-slim$/.exec(last('ARG').slice(5)) ?? [];
  t.true(compareVersions(version, securityFloor('node').floor) >= 0, last('ARG'));
});

test('nobody is root in the image, whoever asks for a number', (t) => {
  t.regex(last('USER'), /^(?!0)\d+:(?!0)\d+$/);
  t.true(instructions.some((line) => line.startsWith('COPY ') && line.includes(`--chown=${last('USER')} `)));
});

test('the image gets what the gateway needs of the project, and its build sees nothing else', async (t) => {
  const ignored = (await readDocument('.dockerignore')).trim().split('\n');
  t.is(ignored[0], '*');
  const admitted = ignored.slice(1).map((line) => line.replace(/^!/, ''));
  const copied = instructions
    .filter((line) => line.startsWith('COPY ') && !line.includes('--from='))
    .flatMap((line) => line.split(/\s+/).slice(1, -1));
  t.deepEqual([...new Set(copied)].sort(), admitted.sort());
  for (const path of copied) await t.notThrowsAsync(access(join(ROOT, path)), path);
});

test('the image and compose.yaml ask for the health of the gateway in the same way', async (t) => {
  const { services } = parse(await readDocument('compose.yaml'), { merge: true }) as {
    services: { layover: { healthcheck: { test: string[]; interval: string; timeout: string; start_period: string } } };
  };
  const { test: command, interval, timeout, start_period } = services.layover.healthcheck;
  const [, own = '[]'] = /CMD (\[.*\])$/.exec(last('HEALTHCHECK')) ?? [];
  t.deepEqual(['CMD', ...(JSON.parse(own) as string[])], command);
  t.true(last('HEALTHCHECK').startsWith(`--interval=${interval} --timeout=${timeout} --start-period=${start_period}`));
});
