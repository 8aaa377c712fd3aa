import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import anyTest, { type ExecutionContext, type TestFn } from 'ava';
import { digestOf } from '../hosted/stage.ts';
import type { TestGateway } from '../support/gateway.ts';
import { startWithUsers, usersFile } from './stage.ts';

/** The machine's own skopeo and podman, at the plain listener and at the one with TLS. */
const test = anyTest as TestFn<{ gateway: TestGateway; file: string; dir: string; missing: string | undefined }>;

test.before(async (t) => {
  const missing = ['skopeo', 'podman'].find((program) => spawnSync(program, ['--version']).status !== 0);
  const file = await usersFile({ ada: 'of ada' });
  const dir = await mkdtemp(join(tmpdir(), 'layover-login-'));
  const gateway = await startWithUsers(file, []);
  await mkdir(join(dir, 'trust'));
  await writeFile(join(dir, 'trust', 'ca.crt'), await gateway.rootCertificate());
  await writeImage(join(dir, 'image'));
  Object.assign(t.context, { gateway, file, dir, missing });
});

test.after.always(async ({ context: { gateway, file, dir } }) => {
  await gateway[Symbol.asyncDispose]();
  for (const left of [dirname(file), dir]) await rm(left, { recursive: true, force: true });
});

/** An OCI layout with an image of one layer, tagged `1`. */
async function writeImage(dir: string): Promise<void> {
  const blobs = join(dir, 'blobs', 'sha256');
  await mkdir(blobs, { recursive: true });
  const put = async (content: string): Promise<{ digest: string; size: number }> => {
    const digest = digestOf(content);
    await writeFile(join(blobs, digest.slice('sha256:'.length)), content);
    return { digest, size: Buffer.byteLength(content) };
  };
  const oci = 'application/vnd.oci.image';
  // Two empty blocks end an archive: one without files.
  const layer = await put('\0'.repeat(1024));
  const rootfs = { type: 'layers', diff_ids: [layer.digest] };
  const config = await put(JSON.stringify({ architecture: 'amd64', os: 'linux', config: {}, rootfs }));
  const manifest = {
    schemaVersion: 2,
    mediaType: `${oci}.manifest.v1+json`,
    config: { mediaType: `${oci}.config.v1+json`, ...config },
    layers: [{ mediaType: `${oci}.layer.v1.tar`, ...layer }],
  };
  const annotations = { 'org.opencontainers.image.ref.name': '1' };
  const entry = { mediaType: manifest.mediaType, annotations, ...(await put(JSON.stringify(manifest))) };
  await writeFile(join(dir, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
  await writeFile(join(dir, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
}

for (const listener of ['http', 'https'] as const)
  for (const program of ['skopeo', 'podman'])
    test.serial(`${program} login opens pushes over ${listener}, and a wrong password opens none`, async (t) => {
      const { gateway, dir, missing } = t.context;
      t.timeout(120_000);
      if (missing !== undefined) {
        t.log(`skipped: ${missing} is not installed`);
        t.pass();
        return;
      }
      const at = listener === 'http' ? new URL(gateway.own).host : `127.0.0.1:${gateway.tlsPort}`;
      const trust = listener === 'http' ? ['--tls-verify=false'] : ['--cert-dir', join(dir, 'trust')];
      const run = (words: readonly string[], input = ''): Promise<string> => runIn(t, dir, words, input);
      const auth = ['--authfile', join(dir, `${program}-${listener}.json`)];
      const login = [program, 'login', ...trust, ...auth, '-u', 'ada', '--password-stdin', at];
      const to = trust.map((word) => word.replace(/^--/, '--dest-'));
      const copy = ['skopeo', 'copy', '-q', ...to, 'oci:image:1', `docker://${at}/team/${program}-${listener}:1`];
      t.regex(await run(copy), /only users may push here/);
      t.regex(await run(login, 'of bob\n'), /invalid username\/password/);
      t.regex(await run(login, 'of ada\n'), /^exit 0[\s\S]*Login Succeeded/);
      t.regex(await run([...copy, ...auth]), /^exit 0/);
      t.regex(await run([...copy, '--dest-creds', 'ada:of bob']), /wrong user name or password/);
      const inspect = ['skopeo', 'inspect', ...trust, '--raw', `docker://${at}/team/${program}-${listener}:1`];
      t.regex(await run(inspect), /^exit 0[\s\S]*application\/vnd\.oci\.image\.manifest/, 'whoever is nobody pulls');
      t.regex(await run([program, 'logout', ...auth, at]), /^exit 0/);
      t.regex(await run([...copy, ...auth]), /only users may push here/);
    });

/** Runs a program with a home of its own; returns its exit code and all that it printed. */
async function runIn(t: ExecutionContext, dir: string, words: readonly string[], input: string): Promise<string> {
  const [program = '', ...args] = words;
  const env = { ...process.env, HOME: dir, XDG_RUNTIME_DIR: dir, TMPDIR: dir };
  const child = spawn(program, args, { cwd: dir, env, timeout: 60_000 });
  t.teardown(() => child.kill('SIGKILL'));
  child.stdin.end(input);
  const [out, complaint, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return `exit ${code}\n${out}\n${complaint}`;
}
