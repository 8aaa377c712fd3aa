import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { GatewayProcess } from '../support/gateway-process.ts';
import type { FakeUpstream } from '../support/upstream/upstream.ts';
import { account, fill, ownRepositories, type ReadOnlyContent, repository, startRegistry } from './content.ts';
import { runProgram, type Verdict } from './program.ts';
import { Tunnel } from './tunnel.ts';

const usage = `usage: npm run test:conformance -- --program FILE
  --program FILE  the OCI distribution-spec conformance program, built`;

const { values } = parseArgs({ options: { program: { type: 'string' }, help: { type: 'boolean', default: false } } });
const artifacts = resolve('artifacts/conformance');
const hosted = { hosted: { repositories: ['team/**'], push: 'anyone', delete: ['**'] } };
/** A cache answers what it has proven, whatever was deleted behind it, so deleting is not its business. */
const withoutDeletes = {
  OCI_API_BLOBS_DELETE: 'false',
  OCI_API_MANIFESTS_DELETE: 'false',
  OCI_API_TAGS_DELETE: 'false',
};

let passed = 0;
let failed = 0;
if (values.help) console.log(usage);
else {
  await main().catch((error: Error) => fail('conformance', error.message));
  console.log(`conformance: ${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}

async function main(): Promise<void> {
  if (values.program === undefined) throw new Error(usage);
  const program = resolve(values.program);
  const dir = await mkdtemp(join(tmpdir(), 'layover-conformance-'));
  try {
    await using upstream = await startRegistry();
    const hosts = upstream.roles.map((role) => upstream.authority(role));
    const ca = upstream.ca === undefined ? {} : { ca: upstream.ca };
    await using gateway = await GatewayProcess.start(
      dir,
      { 'docker.io': { url: upstream.url(), hosts, ...ca } },
      hosted,
    );
    await reading(program, gateway, upstream);
    await everything(program, gateway, dir);
    for (const version of ['1.1', 'dev']) await hosting(program, gateway, version);
  } finally {
    await rm(dir, { recursive: true });
  }
}

/** The read-only mode by the path door, cold and then warm: the second time no blob comes from the registry. */
async function reading(program: string, gateway: GatewayProcess, upstream: FakeUpstream): Promise<void> {
  const env = readOnly(gateway, fill(upstream));
  const run = async (name: string) =>
    judge(
      `read-only, ${name}`,
      await runProgram(program, join(artifacts, name), env),
      /\b(?:push|put|delete)\b|blobs$/,
    );
  await run('cold');
  const bytes = upstream.bytes({ kind: 'blob' });
  await run('warm');
  const more = upstream.bytes({ kind: 'blob' }) - bytes;
  if (bytes === 0 || more !== 0) fail('read-only, warm', `the registry sent ${more} bytes of blobs after ${bytes}`);
}

function readOnly(gateway: GatewayProcess, content: ReadOnlyContent): Record<string, string> {
  return {
    ...withoutDeletes,
    OCI_REGISTRY: gateway.greeting.http,
    OCI_TLS: 'disabled',
    OCI_REPO1: `docker.io/${repository}`,
    OCI_API_PUSH: 'false',
    OCI_RO_DATA_TAGS: content.tags.join(' '),
    OCI_RO_DATA_MANIFESTS: content.manifests.join(' '),
    OCI_RO_DATA_BLOBS: content.blobs.join(' '),
    OCI_RO_DATA_REFERRERS: content.referrers.join(' '),
  };
}

/**
 * The whole program by the transparent door. What it pushes passes through, so all that it reads is cold, ranges
 * among it, and it knows every byte.
 */
async function everything(program: string, gateway: GatewayProcess, dir: string): Promise<void> {
  await using tunnel = await Tunnel.start(gateway.httpsPort);
  const root = join(dir, 'root.pem');
  await writeFile(root, await gateway.rootCertificate());
  const [first, second] = ownRepositories;
  const verdicts = await runProgram(program, join(artifacts, 'transparent'), {
    ...withoutDeletes,
    SSL_CERT_FILE: root,
    HTTPS_PROXY: tunnel.url,
    OCI_REGISTRY: 'registry-1.docker.io',
    OCI_REPO1: first,
    OCI_REPO2: second,
    OCI_API_BLOBS_UPLOAD_CANCEL: 'true',
    OCI_USERNAME: account.username,
    OCI_PASSWORD: account.password,
  });
  judge('transparent', verdicts, /delete|mount anonymous/);
}

/** The whole program, deletions too, against repositories of our own; `version` of the specification. */
async function hosting(program: string, gateway: GatewayProcess, version: string): Promise<void> {
  const verdicts = await runProgram(program, join(artifacts, `hosted-${version}`), {
    OCI_VERSION: version,
    OCI_REGISTRY: gateway.greeting.http,
    OCI_TLS: 'disabled',
    OCI_REPO1: `team/conformance-${version}`,
    OCI_REPO2: `team/other-${version}`,
  });
  // In 1.1 a registry need not cancel uploads.
  judge(`hosted, ${version}`, verdicts, version === 'dev' ? /^$/ : /post cancel/);
}

/** Counts the tests of a run; one that was skipped has failed, unless its name says that it was to be. */
function judge(run: string, verdicts: readonly Verdict[], mayBeSkipped: RegExp): void {
  for (const { test, status, complaint } of verdicts) {
    if (status === 'passed') passed++;
    else if (status === 'failed' || !mayBeSkipped.test(test)) fail(`${run}: ${test}`, complaint || status);
  }
  const count = (status: Verdict['status']) => verdicts.filter((verdict) => verdict.status === status).length;
  console.log(`${run}: ${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped`);
}

function fail(test: string, reason: string): void {
  failed++;
  console.log(`FAIL ${test}\n      ${reason.replaceAll('\n', '\n      ')}`);
}
