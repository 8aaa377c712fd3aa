import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { makeImage, TYPES } from '../support/image.ts';
import { startUpstream } from '../support/upstream/upstream.ts';
import { ChildGateway } from './child.ts';

const LIBRARY = `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/faketime/libfaketime.so.1`;
const REGISTRY = 'registry-1.docker.io';

/** The clock of the processes that have this environment is moved by writing to the file. */
const clockOf = (file: string): NodeJS.ProcessEnv => ({
  LD_PRELOAD: LIBRARY,
  FAKETIME_TIMESTAMP_FILE: file,
  FAKETIME_NO_CACHE: '1',
  FAKETIME_DONT_FAKE_MONOTONIC: '1',
});

test('gateway and clients whose system clocks jump by a year trust each other, and what is cached is served', async (t) => {
  if (!existsSync(LIBRARY)) {
    t.log(`not run: it needs ${LIBRARY}, of Debian's package faketime`);
    t.pass();
    return;
  }
  const dir = await mkdtemp(join(tmpdir(), 'layover-clock-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const clock = join(dir, 'clock');
  await writeFile(clock, '+0d');
  const upstream = await startUpstream({ profile: 'mcr', tls: false });
  t.teardown(() => upstream.close());
  const image = makeImage({ seed: 'clock', platforms: ['linux/amd64'], layers: [200_000] });
  upstream.add('clock', image);
  const [blob = ''] = image.blobs.keys();
  await using gateway = await ChildGateway.start(upstream, clockOf(clock));

  /** A new connection by a client on the same clock; the status. */
  const ask = async (what: string): Promise<string> => {
    const { stdout } = await promisify(execFile)(
      'curl',
      [
        ['--silent', '--show-error', '--output', '/dev/null', '--write-out', '%{http_code} %{size_download}'],
        ['--cacert', join(gateway.dir, 'certs/ca.crt'), '--connect-to', `${REGISTRY}:443:${gateway.https}`],
        ['--header', `Accept: ${TYPES.ociManifest}`, `https://${REGISTRY}/v2/clock/${what}`],
      ].flat(),
      { env: { ...process.env, ...clockOf(clock) } },
    );
    return stdout;
  };
  const size = image.blobs.get(blob)?.size;
  t.regex(await ask('manifests/latest'), /^200 /);
  t.is(await ask(`blobs/${blob}`), `200 ${size}`);
  await upstream.close();
  for (const jump of ['+400d', '+730d', '+366d', '+1d', '+0d']) {
    await writeFile(clock, jump);
    t.is(await ask(`blobs/${blob}`), `200 ${size}`, jump);
    t.regex(await ask(`manifests/${image.digest}`), /^200 /, jump);
  }
});
